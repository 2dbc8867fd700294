"""The msgpack bodies of Join, Begin, Account and Fault, and the schema each must fit.

Decoding has three gates: the size of the body, the limits inside msgpack (counts and lengths, map keys that are
strings, no extension types), and a schema that names every field and its type. A field too many is refused like a field
too few.

Text from a peer ends in a terminal or a log: control characters, which could rewrite what it shows, are replaced. Whoever
shows it makes ``errors.foreign_words`` of it besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from dadc_net.errors import InvariantError, ProtocolError, foreign_words
from dadc_net.node.messages import DIGEST_BYTES, Account, Begin, Fault, Join
from dadc_net.wire import limits
from dadc_net.wire.header import Header

_EXIT_CODE_MAX = 255
_REPLACEMENT = "\ufffd"
_CONTROL_CODES = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {code: _REPLACEMENT for code in _CONTROL_CODES if chr(code) not in "\n\t"}
"""ASCII and Latin-1 controls, and the marks that turn the direction of writing."""

Check = Callable[[object], str]
"""Says what is wrong with a value; empty when nothing is."""


def pack_join(join: Join) -> bytes:
    """Body of a Join."""
    body = {
        "commitment": join.commitment,
        "selftest": join.selftest,
        "settings_digest": join.settings_digest,
        "rule": join.rule,
        "host": dict(join.host),
        "answers": dict(join.answers),
    }
    return _pack("Join", body, _JOIN, limits.JOIN_BYTES_MAX, "Give the host a shorter name.")


def unpack_join(header: Header, raw: bytes) -> Join:
    """The inverse of ``pack_join``. Raises ProtocolError naming the field."""
    body = _unpack("Join", raw, _JOIN, limits.JOIN_BYTES_MAX)
    host = {printable(name): printable(value) for name, value in body["host"].items()}
    answers = {printable(name): printable(value) for name, value in body["answers"].items()}
    return Join(
        agent=header.agent,
        commitment=body["commitment"],
        selftest=body["selftest"],
        settings_digest=body["settings_digest"],
        rule=body["rule"],
        host=host,
        answers=answers,
        run_id=header.run_id,
        epoch=header.epoch,
        next_step=header.step,
        head=header.head,
    )


def pack_begin(begin: Begin) -> bytes:
    """Body of a Begin."""
    body = {
        "settings": begin.settings,
        "structure": begin.structure,
        "family": begin.family,
        "observation_space": begin.observation_space,
        "action_space": begin.action_space,
    }
    return _pack("Begin", body, _BEGIN, limits.BEGIN_BYTES_MAX, "Use a smaller prescription menu.")


def unpack_begin(run_id: bytes, epoch: int, raw: bytes) -> Begin:
    """The inverse of ``pack_begin``, tuples having become lists. Raises ProtocolError naming the field."""
    body = _unpack("Begin", raw, _BEGIN, limits.BEGIN_BYTES_MAX)
    return Begin(run_id=run_id, epoch=epoch, **body)


def pack_account(account: Account) -> bytes:
    """Body of an Account."""
    advice = "Use fewer layers."
    return _pack("Account", {"digests": dict(account.digests)}, _ACCOUNT, limits.ACCOUNT_BYTES_MAX, advice)


def unpack_account(raw: bytes) -> dict[str, bytes]:
    """The inverse of ``pack_account``. Raises ProtocolError naming the field."""
    body = _unpack("Account", raw, _ACCOUNT, limits.ACCOUNT_BYTES_MAX)
    return {printable(name): value for name, value in body["digests"].items()}


def pack_fault(fault: Fault) -> bytes:
    """Body of a Fault; a text longer than the limit is cut."""
    text = fault.text.encode("utf-8", "replace")[: limits.FAULT_TEXT_BYTES_MAX].decode("utf-8", "ignore")
    return _pack("Fault", {"exit_code": fault.exit_code, "text": text}, _FAULT, limits.FAULT_BYTES_MAX, "")


def unpack_fault(raw: bytes) -> Fault:
    """The inverse of ``pack_fault``. Raises ProtocolError naming the field."""
    body = _unpack("Fault", raw, _FAULT, limits.FAULT_BYTES_MAX)
    return Fault(body["exit_code"], printable(body["text"]))


def printable(text: str) -> str:
    """``text`` without control characters; line ends stay."""
    return text.translate(_CONTROLS)


def _pack(name: str, body: dict[str, Any], schema: Mapping[str, Check], limit_bytes: int, advice: str) -> bytes:
    """Check what we send by everything that the receiver checks, so that our mistakes show at our end."""
    problem = _problem(name, body, schema)
    if problem:
        raise InvariantError(f"a {name} message that cannot be sent: {problem}")
    try:
        raw: bytes = msgpack.packb(body, use_bin_type=True, unicode_errors="replace")
    except (TypeError, ValueError, OverflowError) as error:
        raise InvariantError(f"a {name} message holds a value that msgpack cannot carry: {error}") from error
    limits.check_send_size(f"the body of a {name} message", len(raw), limit_bytes, advice)
    try:
        _parse(raw)
    except ValueError as error:
        raise limits.SendTooLargeError(
            f"the body of a {name} message holds more than the receiver accepts ({error}). It was not sent. {advice}"
        ) from error
    return raw


def _parse(raw: bytes) -> object:
    """Raises ValueError for whatever is not msgpack within our limits."""
    try:
        return msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            use_list=True,
            max_str_len=limits.STRING_BYTES_MAX,
            max_bin_len=limits.BINARY_BYTES_MAX,
            max_array_len=limits.ARRAY_ITEMS_MAX,
            max_map_len=limits.MAP_ITEMS_MAX,
            max_ext_len=0,
        )
    except (TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _unpack(name: str, raw: bytes, schema: Mapping[str, Check], limit_bytes: int) -> dict[str, Any]:
    if len(raw) > limit_bytes:
        raise _refused(f"the body of a {name} message has {len(raw)} bytes, not at most {limit_bytes}")
    try:
        body = _parse(raw)
    except ValueError as error:
        reason = foreign_words(str(error))
        raise _refused(f"the body of a {name} message is not msgpack within its limits ({reason})") from error
    problem = _problem(name, body, schema)
    if problem or not isinstance(body, dict):
        raise _refused(problem)
    return body


def _refused(problem: str) -> ProtocolError:
    return ProtocolError(
        f"{problem}. The message was refused. Check that server and agents run the same version of dadc-net."
    )


def _problem(name: str, body: object, schema: Mapping[str, Check]) -> str:
    """What is wrong with ``body``; empty when it fits."""
    if not isinstance(body, dict):
        return f"the body of a {name} message is {type(body).__name__}, not a map"
    if set(body) != set(schema):
        return f"a {name} message has the fields {_names(body)}, not {_names(schema)}"
    for field, check in schema.items():
        problem = check(body[field])
        if problem:
            return f"field {field!r} of a {name} message {problem}"
    return ""


def _names(fields: Mapping[Any, object]) -> str:
    return foreign_words(", ".join(sorted(map(str, fields))), 200) or "none"


def _is_digest(value: object) -> str:
    return "" if isinstance(value, bytes) and len(value) == DIGEST_BYTES else f"is not {DIGEST_BYTES} bytes"


def _is_digest_or_empty(value: object) -> str:
    return "" if value == b"" else _is_digest(value)


def _is_digests(value: object) -> str:
    if not isinstance(value, dict):
        return f"is {type(value).__name__}, not a map"
    if not all(isinstance(name, str) and not _is_digest(item) for name, item in value.items()):
        return f"is not a map from strings to {DIGEST_BYTES} bytes each"
    return ""


def _is_text(value: object) -> str:
    return "" if isinstance(value, str) else f"is {type(value).__name__}, not a string"


def _is_exit_code(value: object) -> str:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _EXIT_CODE_MAX
    return "" if fits else f"is not a number from 0 to {_EXIT_CODE_MAX}"


def _is_facts(value: object) -> str:
    if not isinstance(value, dict):
        return f"is {type(value).__name__}, not a map"
    if not all(isinstance(name, str) and isinstance(fact, str) for name, fact in value.items()):
        return "is not a map from strings to strings"
    return ""


def _is_record(value: object) -> str:
    """A map with string keys, of plain data down to ``NESTING_MAX`` levels."""
    if not isinstance(value, dict):
        return f"is {type(value).__name__}, not a map"
    return _plain_problem(value, limits.NESTING_MAX)


def _plain_problem(value: object, depth: int) -> str:
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return ""
    if depth == 0:
        return f"is nested more than {limits.NESTING_MAX} levels deep"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "has a key that is not a string"
        children: list[object] = list(value.values())
    elif isinstance(value, list | tuple):
        children = list(value)
    else:
        return f"holds {type(value).__name__}, which is not plain data"
    for child in children:
        problem = _plain_problem(child, depth - 1)
        if problem:
            return problem
    return ""


_JOIN: dict[str, Check] = {
    "commitment": _is_digest,
    "selftest": _is_digest,
    "settings_digest": _is_digest_or_empty,
    "rule": _is_digest_or_empty,
    "host": _is_facts,
    "answers": _is_facts,
}
_BEGIN: dict[str, Check] = {
    "settings": _is_record,
    "structure": _is_record,
    "family": _is_record,
    "observation_space": _is_record,
    "action_space": _is_record,
}
_ACCOUNT: dict[str, Check] = {"digests": _is_digests}
_FAULT: dict[str, Check] = {"exit_code": _is_exit_code, "text": _is_text}
