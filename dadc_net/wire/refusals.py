"""Why an agent could not connect, as sentences for its user."""

from __future__ import annotations

from dadc_net.errors import AuthenticationError, DadcError, KeyRefusedError, ProtocolError, TemporaryError
from dadc_net.wire.endpoint import Endpoint
from dadc_net.wire.handshake import Outcome
from dadc_net.wire.keys import AgentKeys

_WHY_UNREACHABLE = {
    Outcome.UNRESOLVED: "The host name does not resolve.",
    Outcome.SILENT: "Something accepts the connection there but does not answer.",
}
_NOTHING = "Nothing listens there, or a firewall is in between."


def key_refused(server: Endpoint, keys: AgentKeys | None) -> KeyRefusedError:
    """The server knows its own key, but not this agent's."""
    if keys is None:
        return KeyRefusedError(f"the server at {server} refused a connection without a key. Give --keys FOLDER.")
    return KeyRefusedError(
        f"the server at {server} refused the key {_short(keys.pair.public)} of agent {keys.agent}, from "
        f"{keys.folder}. Its list authorised.toml does not hold that key. Copy agent-{keys.agent}.key from the folder "
        "in which the server's keys were made, or add the key to the list; the server reads it again."
    )


def mechanism(server: Endpoint, keys: AgentKeys | None) -> AuthenticationError:
    """One side has keys and the other has none."""
    if keys is None:
        return AuthenticationError(
            f"the server at {server} requires encryption, and this agent has no keys. Nothing was sent. Start the "
            "agent without --insecure and with --keys FOLDER."
        )
    return AuthenticationError(
        f"the server at {server} runs without encryption, and agent {keys.agent} has keys. Nothing was sent. Start the "
        "server without --insecure, or on loopback both with --insecure."
    )


def broken_off(server: Endpoint, keys: AgentKeys | None, attempts: int) -> AuthenticationError:
    """The server hangs up during the handshake and does not say why: it must not tell a stranger."""
    if keys is None:
        return AuthenticationError(
            f"the server at {server} broke off {attempts} handshakes, and this agent has no keys. Most likely the "
            "server requires encryption. Start the agent without --insecure and with --keys FOLDER."
        )
    return AuthenticationError(
        f"the server at {server} broke off {attempts} handshakes with agent {keys.agent}. Most likely its key is not "
        f"the {_short(keys.server_public)} of {keys.folder / 'server.pub'}. Copy server.pub from the folder in which "
        "the server's keys were made, and check that dadc-env listens at this address. Its log says where it slows a "
        "key that has misbehaved."
    )


def foreign(server: Endpoint) -> ProtocolError:
    """A web server, say."""
    return ProtocolError(
        f"what answers at {server} does not speak ZeroMQ. Nothing was sent. Check host and port: dadc-env prints the "
        "address at which it listens."
    )


def unreachable(server: Endpoint, seconds: float, last: Outcome) -> TemporaryError:
    """No connection before the deadline."""
    return TemporaryError(
        f"server unreachable: no connection to {server} within {seconds:g} s. {_WHY_UNREACHABLE.get(last, _NOTHING)} "
        "Start dadc-env there, or give its address with --server."
    )


def final(outcome: Outcome, server: Endpoint, keys: AgentKeys | None) -> DadcError | None:
    """The error of an outcome that trying again cannot change; None: it can."""
    if outcome is Outcome.KEY_REFUSED:
        return key_refused(server, keys)
    if outcome is Outcome.MECHANISM:
        return mechanism(server, keys)
    return None


def _short(public: bytes) -> str:
    return f"{public[:8].decode('ascii', 'replace')}..."
