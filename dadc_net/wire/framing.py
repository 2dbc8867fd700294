"""Messages as frames of bytes, and back. PROTOCOL.md is the specification of what is written here.

Frame 0 is a header of 72 bytes with a fixed layout. It is read, and every reason to refuse the message that it can
show is checked, before any byte of a body is looked at. What follows depends on the type:

    Step            [header][common bytes][private bytes]
    Act             [header][actions][digests]
    Join, Begin, Fault     [header][msgpack body], see ``bodies``
    End             [header][learner digest]
    Probe, Alive    [header]

The bodies of Step and Act are not parsed here: they are canonical bytes already (``node/record``), the chain hashes
exactly these, and the step path must cost microseconds.

Header fields that a type does not use must be zero, so that a later version can give them a meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct, error as StructError
from typing import Any, NamedTuple

from dadc_net.errors import InvariantError, ProtocolError, UsageError
from dadc_net.node.messages import (
    DIGEST_BYTES,
    NO_RUN,
    RUN_ID_BYTES,
    Act,
    Alive,
    Begin,
    End,
    Fault,
    Join,
    Message,
    Probe,
    Step,
)
from dadc_net.wire import bodies, limits

MAGIC = b"DADC"
PROTOCOL_VERSION = 1
HEADER = Struct("<4sHBB16sIIQ32s")
"""magic, version u16, type u8, reserved u8, run id, epoch u32, agent u32, sequence u64, chain hash. Little endian."""

JOIN, BEGIN, STEP, ACT, END, PROBE, ALIVE, FAULT = range(1, 9)
_NAMES = ("", "Join", "Begin", "Step", "Act", "End", "Probe", "Alive", "Fault")
_ZERO_HASH = bytes(DIGEST_BYTES)
_PREFIX = Struct("<4sH")
_UINT32_MAX = 2**32 - 1
_FEWER_COPIES = "Lower learner.num_envs."


class Header(NamedTuple):
    """The fields of a header after ``magic``, ``version`` and ``reserved``, which have one legal value each."""

    kind: int
    run_id: bytes
    epoch: int
    agent: int
    sequence: int
    head: bytes


def encode(message: Message) -> list[bytes]:
    """The frames of ``message``.

    Raises:
        SendTooLargeError: if a part is larger than the receiver accepts (a Fault's text is cut instead).
        UsageError: if an agent id does not fit the protocol.
        InvariantError: if a field has a length or a value that it cannot have.
    """
    return _ENCODERS[type(message)](message)


def decode(frames: Sequence[bytes]) -> Message:
    """The message in ``frames``.

    Raises:
        ProtocolError: naming both versions, or the field that breaks the protocol.
    """
    header = _parse_header(frames)
    if len(frames) != _FRAMES[header.kind]:
        raise _broken(header.kind, "number of frames", len(frames), _FRAMES[header.kind])
    return _DECODERS[header.kind](header, frames)


def _pack_header(
    kind: int,
    run_id: bytes = NO_RUN,
    epoch: int = 0,
    agent: int = 0,
    sequence: int = 0,
    head: bytes = _ZERO_HASH,
) -> bytes:
    # struct would cut or pad byte strings of another length without a word.
    if len(run_id) != RUN_ID_BYTES or len(head) != DIGEST_BYTES:
        raise InvariantError(f"{_NAMES[kind]}: run id has {len(run_id)} bytes and chain hash {len(head)}, not 16 and 32")
    try:
        return HEADER.pack(MAGIC, PROTOCOL_VERSION, kind, 0, run_id, epoch, agent, sequence, head)
    except StructError as error:
        if not 0 <= agent <= _UINT32_MAX:
            raise UsageError(
                f"agent id {agent} does not fit the protocol, whose ids go from 1 to {_UINT32_MAX}. Nothing was sent. "
                "Give a smaller id."
            ) from error
        raise InvariantError(f"{_NAMES[kind]}: epoch {epoch} or sequence {sequence} does not fit the header") from error


def _parse_header(frames: Sequence[bytes]) -> Header:
    raw = frames[0] if frames else b""
    if len(raw) != HEADER.size or raw[:6] != _GOOD_PREFIX:
        raise _bad_start(raw)
    _, _, kind, reserved, run_id, epoch, agent, sequence, head = HEADER.unpack(raw)
    if reserved:
        raise ProtocolError(_text("the reserved byte of a header", reserved, "0"))
    if kind not in _DECODERS:
        raise ProtocolError(_text("the type of a message", kind, f"one of {JOIN} to {FAULT}"))
    return Header(kind, run_id, epoch, agent, sequence, head)


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
    return ProtocolError(_text("the length of a header", len(raw), str(HEADER.size)))


def _text(field: str, value: object, expected: str) -> str:
    return (
        f"{field} is {value}, not {expected}. The message was refused. "
        "Check that server and agents run the same version of dadc-net."
    )


def _broken(kind: int, field: str, value: object, expected: object) -> ProtocolError:
    return ProtocolError(_text(f"{field} of a {_NAMES[kind]} message", value, str(expected)))


def _require_unused(header: Header, **unused: object) -> None:
    """Every keyword names a field that this type does not use, with its zero."""
    for field, zero in unused.items():
        value = getattr(header, field)
        if value != zero:
            raise _broken(header.kind, field, value.hex() if isinstance(value, bytes) else value, "zero")


def _check_digest(kind: int, field: str, digest: bytes) -> bytes:
    if len(digest) != DIGEST_BYTES:
        raise InvariantError(f"{_NAMES[kind]}: {field} has {len(digest)} bytes, not {DIGEST_BYTES}")
    return digest


def _encode_step(step: Step) -> list[bytes]:
    header = _pack_header(STEP, step.run_id, step.epoch, 0, step.sequence, step.head)
    limits.check_send_size("the common part of a record", len(step.common), limits.COMMON_BYTES_MAX, _FEWER_COPIES)
    limits.check_send_size("the private part of a record", len(step.private), limits.PRIVATE_BYTES_MAX, _FEWER_COPIES)
    return [header, step.common, step.private]


def _decode_step(header: Header, frames: Sequence[bytes]) -> Step:
    if header.agent:
        raise _broken(STEP, "agent", header.agent, "zero")
    common, private = frames[1], frames[2]
    if len(common) > limits.COMMON_BYTES_MAX:
        raise _broken(STEP, "size of the common part", len(common), f"at most {limits.COMMON_BYTES_MAX}")
    if len(private) > limits.PRIVATE_BYTES_MAX:
        raise _broken(STEP, "size of the private part", len(private), f"at most {limits.PRIVATE_BYTES_MAX}")
    return Step(header.run_id, header.epoch, header.sequence, header.head, common, private)


def _encode_act(act: Act) -> list[bytes]:
    header = _pack_header(ACT, act.run_id, act.epoch, act.agent, act.sequence)
    limits.check_send_size("the actions of a record", len(act.actions), limits.ACTIONS_BYTES_MAX, _FEWER_COPIES)
    digests = _check_digest(ACT, "digest", act.digest)
    if act.update_digest:
        digests += _check_digest(ACT, "update digest", act.update_digest)
    return [header, act.actions, digests]


def _decode_act(header: Header, frames: Sequence[bytes]) -> Act:
    if header.head != _ZERO_HASH:
        raise _broken(ACT, "head", header.head.hex(), "zero")
    actions, digests = frames[1], frames[2]
    if len(actions) > limits.ACTIONS_BYTES_MAX:
        raise _broken(ACT, "size of the actions", len(actions), f"at most {limits.ACTIONS_BYTES_MAX}")
    if len(digests) not in (DIGEST_BYTES, 2 * DIGEST_BYTES):
        raise _broken(ACT, "size of the digests", len(digests), f"{DIGEST_BYTES} or {2 * DIGEST_BYTES}")
    digest, update_digest = digests[:DIGEST_BYTES], digests[DIGEST_BYTES:]
    return Act(header.run_id, header.epoch, header.agent, header.sequence, actions, digest, update_digest)


def _encode_join(join: Join) -> list[bytes]:
    return [_pack_header(JOIN, agent=join.agent), bodies.pack_join(join)]


def _decode_join(header: Header, frames: Sequence[bytes]) -> Join:
    _require_unused(header, run_id=NO_RUN, epoch=0, sequence=0, head=_ZERO_HASH)
    return bodies.unpack_join(header.agent, frames[1])


def _encode_begin(begin: Begin) -> list[bytes]:
    return [_pack_header(BEGIN, begin.run_id, begin.epoch), bodies.pack_begin(begin)]


def _decode_begin(header: Header, frames: Sequence[bytes]) -> Begin:
    _require_unused(header, agent=0, sequence=0, head=_ZERO_HASH)
    return bodies.unpack_begin(header.run_id, header.epoch, frames[1])


def _encode_end(end: End) -> list[bytes]:
    header = _pack_header(END, end.run_id, end.epoch, sequence=end.sequence)
    return [header, _check_digest(END, "learner digest", end.learner_digest)]


def _decode_end(header: Header, frames: Sequence[bytes]) -> End:
    _require_unused(header, agent=0, head=_ZERO_HASH)
    if len(frames[1]) != DIGEST_BYTES:
        raise _broken(END, "size of the learner digest", len(frames[1]), DIGEST_BYTES)
    return End(header.run_id, header.epoch, header.sequence, frames[1])


def _decode_probe(header: Header, _frames: Sequence[bytes]) -> Probe:
    _require_unused(header, run_id=NO_RUN, epoch=0, sequence=0, head=_ZERO_HASH)
    return Probe(header.agent)


def _decode_alive(header: Header, _frames: Sequence[bytes]) -> Alive:
    _require_unused(header, run_id=NO_RUN, epoch=0, sequence=0, head=_ZERO_HASH)
    return Alive(header.agent)


def _decode_fault(header: Header, frames: Sequence[bytes]) -> Fault:
    _require_unused(header, run_id=NO_RUN, epoch=0, agent=0, sequence=0, head=_ZERO_HASH)
    return bodies.unpack_fault(frames[1])


_GOOD_PREFIX = _PREFIX.pack(MAGIC, PROTOCOL_VERSION)

_ENCODERS: dict[type[Any], Callable[[Any], list[bytes]]] = {
    Join: _encode_join,
    Begin: _encode_begin,
    Step: _encode_step,
    Act: _encode_act,
    End: _encode_end,
    Probe: lambda probe: [_pack_header(PROBE, agent=probe.agent)],
    Alive: lambda alive: [_pack_header(ALIVE, agent=alive.agent)],
    Fault: lambda fault: [_pack_header(FAULT), bodies.pack_fault(fault)],
}

_DECODERS: dict[int, Callable[[Header, Sequence[bytes]], Message]] = {
    JOIN: _decode_join,
    BEGIN: _decode_begin,
    STEP: _decode_step,
    ACT: _decode_act,
    END: _decode_end,
    PROBE: _decode_probe,
    ALIVE: _decode_alive,
    FAULT: _decode_fault,
}

_FRAMES = {JOIN: 2, BEGIN: 2, STEP: 3, ACT: 3, END: 2, PROBE: 1, ALIVE: 1, FAULT: 2}
