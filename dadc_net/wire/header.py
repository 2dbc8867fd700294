"""The header: 72 bytes of fixed layout at the start of every message.

It is read, and every reason to refuse a message that it can show is checked, before any byte of a body is looked at.
Magic and version keep their place in every version of the protocol, so that two versions can name each other.
Fields that a type of message does not use must be zero, so that a later version can give them a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from dadc_net.errors import InvariantError, ProtocolError, UsageError
from dadc_net.node.messages import DIGEST_BYTES, NO_HEAD, NO_RUN, RUN_ID_BYTES

MAGIC = b"DADC"
PROTOCOL_VERSION = 5
HEADER = Struct("<4sHBB16sIIQ32s")
"""magic, version u16, type u8, reserved u8, run id, epoch u32, agent u32, step u64, chain hash. Little endian."""

JOIN, BEGIN, STEP, ACT, END, PROBE, ALIVE, FAULT, BYE, WHO, QUERY, ACCOUNT = range(1, 13)
NAMES = ("", "Join", "Begin", "Step", "Act", "End", "Probe", "Alive", "Fault", "Bye", "Who", "Query", "Account")

_PREFIX = Struct("<4sH")
_GOOD_PREFIX = _PREFIX.pack(MAGIC, PROTOCOL_VERSION)
_UINT32_MAX = 2**32 - 1


class Header(NamedTuple):
    """The fields after magic, version and reserved byte, which have one legal value each."""

    kind: int
    run_id: bytes
    epoch: int
    agent: int
    step: int
    """Number of the record; of a Probe or an Alive, number of the question."""
    head: bytes


def pack_header(
    kind: int,
    run_id: bytes = NO_RUN,
    epoch: int = 0,
    agent: int = 0,
    step: int = 0,
    head: bytes = NO_HEAD,
) -> bytes:
    """A header.

    Raises:
        UsageError: if the agent id does not fit, because a user chose it.
        InvariantError: if another field does not fit.
    """
    # struct would cut or pad byte strings of another length without a word.
    if len(run_id) != RUN_ID_BYTES or len(head) != DIGEST_BYTES:
        raise InvariantError(
            f"{NAMES[kind]}: run id has {len(run_id)} bytes, not {RUN_ID_BYTES}, or chain hash {len(head)}, not "
            f"{DIGEST_BYTES}"
        )
    try:
        return HEADER.pack(MAGIC, PROTOCOL_VERSION, kind, 0, run_id, epoch, agent, step, head)
    except StructError as error:
        if not 0 <= agent <= _UINT32_MAX:
            raise UsageError(
                f"agent id {agent} does not fit the protocol, whose ids go from 1 to {_UINT32_MAX}. Nothing was sent. "
                "Give a smaller id."
            ) from error
        raise InvariantError(f"{NAMES[kind]}: epoch {epoch} or step {step} does not fit the header") from error


def parse_header(frames: Sequence[bytes]) -> Header:
    """The header in the first of ``frames``.

    Raises:
        ProtocolError: if it is none, or one of another version (naming both), or of an unknown type.
    """
    raw = frames[0] if frames else b""
    if len(raw) != HEADER.size or raw[: _PREFIX.size] != _GOOD_PREFIX:
        raise _bad_start(raw)
    _, _, kind, reserved, run_id, epoch, agent, step, head = HEADER.unpack(raw)
    if reserved:
        raise ProtocolError(_text("the reserved byte of a header", reserved, "0"))
    if not JOIN <= kind <= ACCOUNT:
        raise ProtocolError(_text("the type of a message", kind, f"one of {JOIN} to {ACCOUNT}"))
    return Header(kind, run_id, epoch, agent, step, head)


def require_unused(header: Header, **unused: object) -> None:
    """Every keyword names a field that this type does not use, with its zero. Raises ProtocolError."""
    for field, zero in unused.items():
        value = getattr(header, field)
        if value != zero:
            raise broken(header.kind, field, value.hex() if isinstance(value, bytes) else value, "zero")


def broken(kind: int, field: str, value: object, expected: object) -> ProtocolError:
    """The error for a message whose ``field`` is not what it must be."""
    return ProtocolError(_text(f"{field} of a {NAMES[kind]} message", value, expected))


def _bad_start(raw: bytes) -> ProtocolError:
    """The error for a first frame that is not a header of this version; the version is looked at before the length."""
    if len(raw) < _PREFIX.size or raw[:4] != MAGIC:
        return ProtocolError(
            f"a message begins with {raw[:4].hex() or 'nothing'} where {MAGIC.hex()} belongs. It did not come from "
            "dadc-net. Check the address and port."
        )
    version = _PREFIX.unpack_from(raw)[1]
    if version != PROTOCOL_VERSION:
        return ProtocolError(
            f"the peer speaks protocol version {version}, this process speaks version {PROTOCOL_VERSION}. They cannot "
            "take part in one run. Install the same version of dadc-net on all hosts."
        )
    return ProtocolError(_text("the length of a header", len(raw), HEADER.size))


def _text(field: str, value: object, expected: object) -> str:
    return (
        f"{field} is {value}, not {expected}. The message was refused. "
        "Check that server and agents run the same version of dadc-net."
    )
