"""Messages as frames of bytes, and back. PROTOCOL.md is the specification of what is written here.

    Step                   [header][common bytes][observation]
    Act                    [header][actions][digests]
    Join, Begin, Fault     [header][msgpack body], see ``bodies``
    End                    [header][learner digest]
    Probe, Alive           [header]

The bodies of Step and Act are not parsed here: they are canonical bytes already (``node/record``), the chain hashes
exactly these, and the step path must cost microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dadc_net.errors import InvariantError
from dadc_net.node.messages import (
    DIGEST_BYTES,
    NO_HEAD,
    NO_RUN,
    Account,
    Act,
    Alive,
    Begin,
    Bye,
    End,
    Fault,
    Join,
    Message,
    Probe,
    Query,
    Step,
    Who,
)
from dadc_net.node.record import Record
from dadc_net.wire import bodies
from dadc_net.wire.header import (
    ACCOUNT,
    ACT,
    ALIVE,
    BEGIN,
    BYE,
    END,
    FAULT,
    JOIN,
    NAMES,
    PROBE,
    QUERY,
    STEP,
    WHO,
    Header,
    broken,
    pack_header,
    parse_header,
    require_unused,
)
from dadc_net.wire.limits import ACTIONS_BYTES_MAX, COMMON_BYTES_MAX, OBSERVATION_BYTES_MAX, check_send_size

_FEWER_COPIES = "Lower learner.num_envs."


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
    header = parse_header(frames)
    if len(frames) != _FRAMES[header.kind]:
        raise broken(header.kind, "number of frames", len(frames), _FRAMES[header.kind])
    return _DECODERS[header.kind](header, frames)


def _encode_step(step: Step) -> list[bytes]:
    run_id, epoch, (number, head, common), observation = step
    if len(common) > COMMON_BYTES_MAX or len(observation) > OBSERVATION_BYTES_MAX:
        check_send_size("the common part of a record", len(common), COMMON_BYTES_MAX, _FEWER_COPIES)
        check_send_size("the observation of a record", len(observation), OBSERVATION_BYTES_MAX, _FEWER_COPIES)
    return [pack_header(STEP, run_id, epoch, 0, number, head), common, observation]


def _decode_step(header: Header, frames: Sequence[bytes]) -> Step:
    _, run_id, epoch, agent, step, head = header
    if agent:
        raise broken(STEP, "agent", agent, "zero")
    _, common, observation = frames
    if len(common) > COMMON_BYTES_MAX:
        raise broken(STEP, "size of the common part", len(common), f"at most {COMMON_BYTES_MAX}")
    if len(observation) > OBSERVATION_BYTES_MAX:
        raise broken(STEP, "size of the observation", len(observation), f"at most {OBSERVATION_BYTES_MAX}")
    return Step(run_id, epoch, Record(step, head, common), observation)


def _encode_act(act: Act) -> list[bytes]:
    run_id, epoch, agent, step, actions, step_digest, learner_digest = act
    if len(actions) > ACTIONS_BYTES_MAX:
        check_send_size("the actions of a record", len(actions), ACTIONS_BYTES_MAX, _FEWER_COPIES)
    if len(step_digest) != DIGEST_BYTES or len(learner_digest) not in (0, DIGEST_BYTES):
        _checked_digest(ACT, "step digest", step_digest)
        _checked_digest(ACT, "learner digest", learner_digest)
    return [pack_header(ACT, run_id, epoch, agent, step), actions, step_digest + learner_digest]


def _decode_act(header: Header, frames: Sequence[bytes]) -> Act:
    _, run_id, epoch, agent, step, head = header
    if head != NO_HEAD:
        raise broken(ACT, "head", head.hex(), "zero")
    _, actions, digests = frames
    if len(actions) > ACTIONS_BYTES_MAX:
        raise broken(ACT, "size of the actions", len(actions), f"at most {ACTIONS_BYTES_MAX}")
    if len(digests) not in (DIGEST_BYTES, 2 * DIGEST_BYTES):
        raise broken(ACT, "size of the digests", len(digests), f"{DIGEST_BYTES} or {2 * DIGEST_BYTES}")
    return Act(
        run_id=run_id,
        epoch=epoch,
        agent=agent,
        step=step,
        actions=actions,
        step_digest=digests[:DIGEST_BYTES],
        learner_digest=digests[DIGEST_BYTES:],
    )


def _checked_digest(kind: int, field: str, digest: bytes) -> bytes:
    if len(digest) != DIGEST_BYTES:
        raise InvariantError(f"{NAMES[kind]}: {field} has {len(digest)} bytes, not {DIGEST_BYTES}")
    return digest


def _encode_join(join: Join) -> list[bytes]:
    header = pack_header(JOIN, join.run_id, join.epoch, join.agent, join.next_step, join.head)
    return [header, bodies.pack_join(join)]


def _decode_join(header: Header, frames: Sequence[bytes]) -> Join:
    if header.run_id == NO_RUN:
        require_unused(header, epoch=0, step=0, head=NO_HEAD)
    return bodies.unpack_join(header, frames[1])


def _encode_begin(begin: Begin) -> list[bytes]:
    return [pack_header(BEGIN, begin.run_id, begin.epoch), bodies.pack_begin(begin)]


def _decode_begin(header: Header, frames: Sequence[bytes]) -> Begin:
    require_unused(header, agent=0, step=0, head=NO_HEAD)
    return bodies.unpack_begin(header.run_id, header.epoch, frames[1])


def _encode_end(end: End) -> list[bytes]:
    header = pack_header(END, end.run_id, end.epoch, step=end.step)
    return [header, _checked_digest(END, "learner digest", end.learner_digest)]


def _decode_end(header: Header, frames: Sequence[bytes]) -> End:
    require_unused(header, agent=0, head=NO_HEAD)
    if len(frames[1]) != DIGEST_BYTES:
        raise broken(END, "size of the learner digest", len(frames[1]), DIGEST_BYTES)
    return End(header.run_id, header.epoch, header.step, frames[1])


def _encode_bye(bye: Bye) -> list[bytes]:
    return [pack_header(BYE, bye.run_id, bye.epoch, bye.agent, bye.step)]


def _decode_bye(header: Header, _frames: Sequence[bytes]) -> Bye:
    require_unused(header, head=NO_HEAD)
    return Bye(run_id=header.run_id, epoch=header.epoch, agent=header.agent, step=header.step)


def _encode_who(_who: Who) -> list[bytes]:
    return [pack_header(WHO)]


def _decode_who(header: Header, _frames: Sequence[bytes]) -> Who:
    require_unused(header, run_id=NO_RUN, epoch=0, agent=0, step=0, head=NO_HEAD)
    return Who()


def _encode_query(query: Query) -> list[bytes]:
    return [pack_header(QUERY, query.run_id, query.epoch, step=query.step)]


def _decode_query(header: Header, _frames: Sequence[bytes]) -> Query:
    require_unused(header, agent=0, head=NO_HEAD)
    return Query(header.run_id, header.epoch, header.step)


def _encode_account(account: Account) -> list[bytes]:
    header = pack_header(ACCOUNT, account.run_id, account.epoch, account.agent, account.step)
    return [header, bodies.pack_account(account)]


def _decode_account(header: Header, frames: Sequence[bytes]) -> Account:
    require_unused(header, head=NO_HEAD)
    return Account(
        run_id=header.run_id,
        epoch=header.epoch,
        agent=header.agent,
        step=header.step,
        digests=bodies.unpack_account(frames[1]),
    )


def _encode_probe(probe: Probe) -> list[bytes]:
    return [pack_header(PROBE, agent=probe.agent, step=probe.number)]


def _decode_probe(header: Header, _frames: Sequence[bytes]) -> Probe:
    require_unused(header, run_id=NO_RUN, epoch=0, head=NO_HEAD)
    return Probe(header.agent, header.step)


def _encode_alive(alive: Alive) -> list[bytes]:
    return [pack_header(ALIVE, agent=alive.agent, step=alive.number)]


def _decode_alive(header: Header, _frames: Sequence[bytes]) -> Alive:
    require_unused(header, run_id=NO_RUN, epoch=0, head=NO_HEAD)
    return Alive(header.agent, header.step)


def _encode_fault(fault: Fault) -> list[bytes]:
    return [pack_header(FAULT), bodies.pack_fault(fault)]


def _decode_fault(header: Header, frames: Sequence[bytes]) -> Fault:
    require_unused(header, run_id=NO_RUN, epoch=0, agent=0, step=0, head=NO_HEAD)
    return bodies.unpack_fault(frames[1])


_ENCODERS: dict[type[Any], Callable[[Any], list[bytes]]] = {
    Join: _encode_join,
    Begin: _encode_begin,
    Step: _encode_step,
    Act: _encode_act,
    End: _encode_end,
    Bye: _encode_bye,
    Who: _encode_who,
    Query: _encode_query,
    Account: _encode_account,
    Probe: _encode_probe,
    Alive: _encode_alive,
    Fault: _encode_fault,
}

_DECODERS: dict[int, Callable[[Header, Sequence[bytes]], Message]] = {
    JOIN: _decode_join,
    BEGIN: _decode_begin,
    STEP: _decode_step,
    ACT: _decode_act,
    END: _decode_end,
    BYE: _decode_bye,
    WHO: _decode_who,
    QUERY: _decode_query,
    ACCOUNT: _decode_account,
    PROBE: _decode_probe,
    ALIVE: _decode_alive,
    FAULT: _decode_fault,
}

_FRAMES = {JOIN: 2, BEGIN: 2, STEP: 3, ACT: 3, END: 2, PROBE: 1, ALIVE: 1, FAULT: 2, BYE: 1, WHO: 1, QUERY: 1, ACCOUNT: 2}
"""Frames of a message of each type, header included."""
