"""Messages as frames: a fixed header that is parsed first, then the body. PROTOCOL.md is the specification.

Everything that arrives is checked before it is believed: sizes, then the header, then each field's type. Whatever is
wrong raises ProtocolError and says which field; nothing else may come out of ``decode``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack

from dadc_net.errors import InvariantError, ProtocolError
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

MAGIC = b"DADC"
PROTOCOL_VERSION = 1
FRAME_BYTES_MAX = 16 * 2**20
"""Largest frame, either way; the largest record is far smaller."""
BODY_BYTES_MAX = 2**20
"""Largest msgpack body."""
_NO_HEAD = bytes(DIGEST_BYTES)
_HEADER = struct.Struct(f">4sHBB{RUN_ID_BYTES}sIIQ{DIGEST_BYTES}s")
_CODES: dict[type[Message], int] = {Join: 1, Begin: 2, Step: 3, Act: 4, End: 5, Fault: 6, Probe: 7, Alive: 8}


class _Header(NamedTuple):
    code: int
    run_id: bytes
    epoch: int
    agent: int
    sequence: int
    head: bytes


def _header(
    code: int, run_id: bytes = NO_RUN, epoch: int = 0, agent: int = 0, sequence: int = 0, head: bytes = _NO_HEAD
) -> bytes:
    return _HEADER.pack(MAGIC, PROTOCOL_VERSION, code, 0, run_id, epoch, agent, sequence, head)


def encode(message: Message) -> list[bytes]:
    """Frames of a message.

    Raises:
        InvariantError: if a frame would be larger than a receiver accepts.
    """
    code = _CODES[type(message)]
    match message:
        case Step(run_id, epoch, sequence, head, common, private):
            frames = [_header(code, run_id, epoch, 0, sequence, head), common, private]
        case Act(run_id, epoch, agent, sequence, actions, digest, update_digest):
            frames = [_header(code, run_id, epoch, agent, sequence), actions, digest, update_digest]
        case Join(agent, commitment, selftest, settings_digest, host):
            body = {"commitment": commitment, "selftest": selftest, "settings": settings_digest, "host": host}
            frames = [_header(code, agent=agent), _pack(body)]
        case Begin(run_id, epoch, settings, structure, menu, observation_space):
            body = {"settings": settings, "structure": structure, "menu": menu, "space": observation_space}
            frames = [_header(code, run_id, epoch), _pack(body)]
        case End(run_id, epoch, sequence, learner_digest):
            frames = [_header(code, run_id, epoch, 0, sequence), learner_digest]
        case Fault(exit_code, text):
            frames = [_header(code), _pack({"exit_code": exit_code, "text": text})]
        case Probe(agent) | Alive(agent):
            frames = [_header(code, agent=agent)]
    if any(len(frame) > FRAME_BYTES_MAX for frame in frames):
        sizes = [len(frame) for frame in frames]
        raise InvariantError(f"a {type(message).__name__} has frames of {sizes} bytes; the limit is {FRAME_BYTES_MAX}")
    return frames


def _pack(body: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(body, use_bin_type=True)
    if len(packed) > BODY_BYTES_MAX:
        raise InvariantError(f"a message body has {len(packed)} bytes; the limit is {BODY_BYTES_MAX}")
    return packed


def decode(frames: Sequence[bytes]) -> Message:
    """The message that frames carry.

    Raises:
        ProtocolError: naming what is wrong with them.
    """
    header = _decode_header(frames)
    reader = _READERS.get(header.code)
    if reader is None:
        raise ProtocolError(f"message type {header.code} does not exist in protocol version {PROTOCOL_VERSION}")
    return reader(header, frames[1:])


def _decode_header(frames: Sequence[bytes]) -> _Header:
    if not frames or len(frames[0]) < 6 or frames[0][:4] != MAGIC:
        start = bytes(frames[0][:16]) if frames else b""
        raise ProtocolError(
            f"a message begins with {start!r} instead of {MAGIC!r}. The peer is not dadc-net. Check the address."
        )
    version = int.from_bytes(frames[0][4:6], "big")
    if version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"the peer speaks protocol version {version}, this process speaks {PROTOCOL_VERSION}. No step was taken. "
            "Install the same version of dadc-net on every host."
        )
    if len(frames[0]) != _HEADER.size or any(len(frame) > FRAME_BYTES_MAX for frame in frames):
        raise ProtocolError(f"frames of {[len(frame) for frame in frames]} bytes do not fit the protocol")
    _, _, code, reserved, run_id, epoch, agent, sequence, head = _HEADER.unpack(frames[0])
    if reserved != 0:
        raise ProtocolError(f"the reserved byte of a header is {reserved}, not 0")
    return _Header(code, run_id, epoch, agent, sequence, head)


def _parts(body: Sequence[bytes], count: int, name: str) -> Sequence[bytes]:
    if len(body) != count:
        raise ProtocolError(f"a {name} has {len(body)} body frames where {count} belong")
    return body


def _digest(raw: bytes, field: str, optional: bool = False) -> bytes:
    if len(raw) != DIGEST_BYTES and not (optional and not raw):
        raise ProtocolError(f"{field} has {len(raw)} bytes where {DIGEST_BYTES} belong")
    return bytes(raw)


def _unpack(body: Sequence[bytes], name: str, schema: dict[str, type]) -> dict[str, Any]:
    (raw,) = _parts(body, 1, name)
    if len(raw) > BODY_BYTES_MAX:
        raise ProtocolError(f"the body of a {name} has {len(raw)} bytes; the limit is {BODY_BYTES_MAX}")
    try:
        fields = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            max_str_len=2**16,
            max_bin_len=2**16,
            max_array_len=2**16,
            max_map_len=2**10,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(f"the body of a {name} is not valid msgpack: {error}") from error
    if not isinstance(fields, dict) or set(fields) != set(schema):
        raise ProtocolError(f"the body of a {name} must be a map with the keys {sorted(schema)}")
    for key, kind in schema.items():
        if type(fields[key]) is not kind:
            raise ProtocolError(f"field {key} of a {name} is a {type(fields[key]).__name__}, not a {kind.__name__}")
    return fields


def _read_join(header: _Header, body: Sequence[bytes]) -> Join:
    fields = _unpack(body, "Join", {"commitment": bytes, "selftest": bytes, "settings": bytes, "host": dict})
    host = fields["host"]
    if any(not isinstance(key, str) or not isinstance(value, str) for key, value in host.items()):
        raise ProtocolError("field host of a Join must map text to text")
    return Join(
        header.agent,
        _digest(fields["commitment"], "commitment of a Join"),
        _digest(fields["selftest"], "selftest of a Join"),
        _digest(fields["settings"], "settings of a Join", optional=True),
        host,
    )


def _read_begin(header: _Header, body: Sequence[bytes]) -> Begin:
    fields = _unpack(body, "Begin", {"settings": dict, "structure": str, "menu": dict, "space": dict})
    return Begin(header.run_id, header.epoch, fields["settings"], fields["structure"], fields["menu"], fields["space"])


def _read_step(header: _Header, body: Sequence[bytes]) -> Step:
    common, private = _parts(body, 2, "Step")
    return Step(header.run_id, header.epoch, header.sequence, header.head, bytes(common), bytes(private))


def _read_act(header: _Header, body: Sequence[bytes]) -> Act:
    actions, digest, update = _parts(body, 3, "Act")
    return Act(
        header.run_id,
        header.epoch,
        header.agent,
        header.sequence,
        bytes(actions),
        _digest(digest, "digest of an Act"),
        _digest(update, "update digest of an Act", optional=True),
    )


def _read_end(header: _Header, body: Sequence[bytes]) -> End:
    (digest,) = _parts(body, 1, "End")
    return End(header.run_id, header.epoch, header.sequence, _digest(digest, "learner digest of an End"))


def _read_fault(header: _Header, body: Sequence[bytes]) -> Fault:
    fields = _unpack(body, "Fault", {"exit_code": int, "text": str})
    return Fault(fields["exit_code"], fields["text"])


def _read_probe(header: _Header, body: Sequence[bytes]) -> Probe:
    _parts(body, 0, "Probe")
    return Probe(header.agent)


def _read_alive(header: _Header, body: Sequence[bytes]) -> Alive:
    _parts(body, 0, "Alive")
    return Alive(header.agent)


_READERS: dict[int, Callable[[_Header, Sequence[bytes]], Message]] = {
    _CODES[Join]: _read_join,
    _CODES[Begin]: _read_begin,
    _CODES[Step]: _read_step,
    _CODES[Act]: _read_act,
    _CODES[End]: _read_end,
    _CODES[Fault]: _read_fault,
    _CODES[Probe]: _read_probe,
    _CODES[Alive]: _read_alive,
}
