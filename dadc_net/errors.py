"""Every error a user can meet, and the exit code that belongs to it.

    DadcError
    |-- UsageError             2   wrong option, key or value: the user's input
    |   `-- ConfigError        2   ... in a configuration file or a --set override
    |-- DivergenceError       10   two replicas computed different bits
    |-- MismatchError         11   configuration, seed or self-test differ at joining
    |-- SelftestError         11   this host's arithmetic does not give the specified bits
    |-- AuthenticationError   12   keys missing, unreadable or refused
    |   `-- KeyRefusedError   12   ... the server does not admit this key
    |-- ProtocolError         13   the peer speaks another protocol version, or nonsense
    |-- DuplicateAgentError   14   another process already runs under this agent id
    |-- CorruptStateError     15   a file of a run fails its digest
    |-- NumericError          16   NaN, infinity or a value outside a primitive's domain
    |-- InvariantError        70   a promise inside this package was broken: our bug
    |-- TemporaryError        75   server unreachable, a deadline passed, port in use: try again
    `-- Interrupted          130   Ctrl-C or SIGTERM

Messages are three sentences: what differs (both values), where (agent, step), what to do next.
Whatever starts processes again should do so after 75, after 130 and after a signal, and not after ``FINAL_EXIT_CODES``.
"""

from __future__ import annotations

import unicodedata

WORDS_MAX = 500
"""Characters of another party's text that are shown."""
SERVER_WORDS_MAX = 2000
"""The same of the server, whose sentences name hosts and quote an agent."""
NAME_MAX = 100
"""The same of a name or of one fact."""
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of what is not seen but steers what is: controls, directions of writing, line ends."""


class DadcError(Exception):
    """Base of all errors of this package; ``exit_code`` is what a command exits with."""

    exit_code = 1
    speaker = ""
    """Another party, if the error is its word and not found here."""


class UsageError(DadcError):
    """An option, argument or value that the user can correct."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key that is unknown, or whose value is outside its range."""


class DivergenceError(DadcError):
    """Two replicas of the coordinator computed different bits from the same common information."""

    exit_code = 10


class MismatchError(DadcError):
    """Seed, configuration or self-test of a joining agent differs from the team's."""

    exit_code = 11


class SelftestError(MismatchError):
    """This host's arithmetic or random streams do not give the specified bits."""


class AuthenticationError(DadcError):
    """A key is missing, unreadable, badly protected or not authorised."""

    exit_code = 12


class KeyRefusedError(AuthenticationError):
    """The server does not admit this agent's key: it was never listed, or is listed no more."""


class ProtocolError(DadcError):
    """The peer speaks another protocol version, or its bytes break the protocol."""

    exit_code = 13


class DuplicateAgentError(DadcError):
    """Another live process already runs under this agent id."""

    exit_code = 14


class CorruptStateError(DadcError):
    """A file of a run is incomplete or fails its digest."""

    exit_code = 15


class NumericError(DadcError):
    """A tensor holds NaN or infinity, or an argument left a primitive's stated domain."""

    exit_code = 16


class UserCodeError(DadcError):
    """An environment, information structure or factory of the user's raised an error or ended its process."""

    exit_code = 17


class InvariantError(DadcError):
    """A promise inside this package was broken; please report it as a bug."""

    exit_code = 70


class TemporaryError(DadcError):
    """The server is unreachable, a deadline passed or an address is in use: try again."""

    exit_code = 75


class Interrupted(DadcError):
    """The user or the system asked the process to stop."""

    exit_code = 130


_BY_EXIT_CODE: dict[int, type[DadcError]] = {
    error.exit_code: error
    for error in (
        UsageError,
        DivergenceError,
        MismatchError,
        AuthenticationError,
        ProtocolError,
        DuplicateAgentError,
        CorruptStateError,
        NumericError,
        UserCodeError,
        InvariantError,
        TemporaryError,
        Interrupted,
    )
}

FINAL_EXIT_CODES = (1, *sorted(_BY_EXIT_CODE.keys() - {TemporaryError.exit_code, Interrupted.exit_code}))
"""After these the same command would end in the same way. 1 is Python's own, where this package was not even loaded."""


def error_for_exit_code(exit_code: int, message: str, speaker: str = "") -> DadcError:
    """Rebuild the error of another process: its type from ``exit_code``, its text from ``message``."""
    error = _BY_EXIT_CODE.get(exit_code, DadcError)(message)
    error.speaker = speaker
    return error


def error_told_by(speaker: str, exit_code: int, text: str, most: int = WORDS_MAX) -> DadcError:
    """The error that another party reported, in its words, which are told as its own."""
    return error_for_exit_code(exit_code, f'{speaker} says: "{foreign_words(text, most)}"', speaker)


def foreign_words(text: str, most: int = WORDS_MAX) -> str:
    """``text`` of another party as it may stand in a line of ours: one line of at most ``most`` characters, no quotes of
    ours, nothing that steers a terminal, turns the direction of writing or forges a second line."""
    shown = "".join(_seen(character) for character in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 4] + " ..."


def _seen(character: str) -> str:
    if character in "\n\r\t":
        return " "
    if character == '"':
        return "'"
    return "\ufffd" if unicodedata.category(character) in _UNSEEN else character
