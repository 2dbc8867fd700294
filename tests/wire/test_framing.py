"""Messages survive the wire; nothing else gets past it, and what is refused is named."""

from __future__ import annotations

import contextlib
import random
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadc_net.errors import InvariantError, ProtocolError, UsageError
from dadc_net.node.messages import (
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
from dadc_net.wire import limits
from dadc_net.wire.bodies import printable
from dadc_net.wire.framing import decode, encode
from dadc_net.wire.header import FAULT, HEADER, JOIN, MAGIC, PROTOCOL_VERSION
from dadc_net.wire.limits import SendTooLargeError

RUN_ID = bytes(range(16))
DIGEST = bytes(range(32))
CONTROL = {"name": "control", "parameters": {}}
JOIN_BODY = {"commitment": DIGEST, "selftest": DIGEST, "settings_digest": b"", "rule": b"", "host": {}, "answers": {}}

run_ids = st.binary(min_size=16, max_size=16)
digests = st.binary(min_size=32, max_size=32)
maybe_digests = st.one_of(st.just(b""), digests)
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf")), max_size=40)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=40),
)
plain = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
records = st.dictionaries(texts, leaves | st.lists(st.lists(leaves, max_size=3), max_size=3), max_size=5)
facts = st.dictionaries(texts, texts, max_size=5)
said = {
    **{"agent": uint32, "commitment": digests, "selftest": digests, "host": facts},
    **{"settings_digest": maybe_digests, "rule": maybe_digests},
}
held = {"answers": facts, "run_id": run_ids.filter(any), "epoch": uint32, "next_step": uint64, "head": digests}
reply = {"run_id": run_ids, "epoch": uint32, "agent": uint32, "step": uint64}
answer = {"actions": st.binary(max_size=50), "step_digest": digests, "learner_digest": maybe_digests}
begun = {"settings": records, "structure": records, "family": records, "observation_space": records, "action_space": records}
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Join, **said),
    st.builds(Join, **said, **held),
    st.builds(Bye, **reply),
    st.builds(Who),
    st.builds(Query, run_ids, uint32, uint64),
    st.builds(Account, **reply, digests=st.dictionaries(texts, digests, max_size=5)),
    st.builds(Begin, run_id=run_ids, epoch=uint32, **begun),
    st.builds(Step, run_ids, uint32, st.builds(Record, uint64, digests, st.binary(max_size=200)), st.binary(max_size=50)),
    st.builds(Act, **reply, **answer),
    st.builds(End, run_ids, uint32, uint64, digests),
    st.builds(Probe, uint32, uint64),
    st.builds(Alive, uint32, uint64),
    st.builds(Fault, st.integers(0, 255), texts),
)


def one_of_each() -> list[Message]:
    """A message of every type."""
    return [
        Join(
            agent=2,
            commitment=DIGEST,
            selftest=DIGEST,
            settings_digest=b"",
            host={"hostname": "here", "pid": "1"},
            answers={"tanh": "6d6326f9"},
        ),
        Begin(
            run_id=RUN_ID,
            epoch=1,
            settings={"updates": 3, "betas": [0.5, 0.75]},
            structure=CONTROL,
            family={"actions": [[[0, 1]]]},
            observation_space={"sizes": [2]},
            action_space={"sizes": [3]},
        ),
        Step(RUN_ID, 1, Record(7, DIGEST, b"common"), b"observation"),
        Act(run_id=RUN_ID, epoch=1, agent=2, step=7, actions=b"\1\0", step_digest=DIGEST, learner_digest=DIGEST),
        End(RUN_ID, 1, 9, DIGEST),
        Bye(run_id=RUN_ID, epoch=1, agent=2, step=9),
        Probe(1),
        Alive(1),
        Who(),
        Query(RUN_ID, 1, 9),
        Account(run_id=RUN_ID, epoch=1, agent=2, step=9, digests={"act/ais/x_t": DIGEST}),
        Fault(10, "agents diverged"),
    ]


@given(messages)
@settings(max_examples=300)
def test_a_message_survives_the_wire(message: Message) -> None:
    frames = encode(message)
    assert all(isinstance(frame, bytes) for frame in frames)
    assert decode(frames) == message


def test_the_header_has_the_layout_of_the_specification() -> None:
    header = encode(Step(RUN_ID, 0x01020304, Record(0x05060708, DIGEST, b"c"), b"p"))[0]
    assert HEADER.size == 72
    assert header == (b"DADC" + b"\5\0" + b"\3" + b"\0" + RUN_ID + b"\4\3\2\1" + bytes(4) + b"\x08\7\6\5\0\0\0\0" + DIGEST)


def test_step_and_act_carry_their_bytes_as_they_are() -> None:
    assert encode(Step(RUN_ID, 1, Record(7, DIGEST, b"common"), b"observation"))[1:] == [b"common", b"observation"]
    act = Act(run_id=RUN_ID, epoch=1, agent=2, step=7, actions=b"\1\0", step_digest=DIGEST, learner_digest=b"")
    assert encode(act)[1:] == [b"\1\0", DIGEST]


@pytest.mark.parametrize("message", one_of_each(), ids=lambda message: type(message).__name__)
def test_another_version_is_refused_with_both_versions(message: Message) -> None:
    frames = encode(message)
    frames[0] = MAGIC + struct.pack("<H", PROTOCOL_VERSION + 1) + frames[0][6:]
    with pytest.raises(ProtocolError, match=f"version {PROTOCOL_VERSION + 1}.*version {PROTOCOL_VERSION}") as caught:
        decode(frames)
    assert caught.value.exit_code == 13


def test_another_version_is_named_even_if_its_header_has_another_length() -> None:
    with pytest.raises(ProtocolError, match="version 513"):
        decode([MAGIC + struct.pack("<H", 513) + b"whatever a later version puts here"])


@pytest.mark.parametrize(
    ("frames", "field"),
    [
        ([], "begins with nothing"),
        ([b""], "begins with nothing"),
        ([b"GET / HTTP/1.1"], "did not come from dadc-net"),
        ([MAGIC + struct.pack("<H", PROTOCOL_VERSION)], "length of a header"),
        ([HEADER.pack(MAGIC, PROTOCOL_VERSION, 0, 0, RUN_ID, 1, 1, 1, DIGEST)], "type of a message"),
        ([HEADER.pack(MAGIC, PROTOCOL_VERSION, 99, 0, RUN_ID, 1, 1, 1, DIGEST)], "type of a message"),
        ([HEADER.pack(MAGIC, PROTOCOL_VERSION, 3, 1, RUN_ID, 1, 1, 1, DIGEST)], "reserved byte"),
    ],
)
def test_a_bad_header_is_named(frames: list[bytes], field: str) -> None:
    with pytest.raises(ProtocolError, match=field):
        decode(frames)


@pytest.mark.parametrize("message", one_of_each(), ids=lambda message: type(message).__name__)
def test_a_wrong_number_of_frames_is_refused(message: Message) -> None:
    frames = encode(message)
    for wrong in ([*frames, b""], frames[:-1]):
        with pytest.raises(ProtocolError):
            decode(wrong)


@pytest.mark.parametrize(
    ("message", "unused"),
    [
        (Probe(1), ("run_id", "epoch", "head")),
        (Alive(1), ("run_id", "epoch", "head")),
        (
            Join(agent=1, commitment=DIGEST, selftest=DIGEST, settings_digest=b""),
            ("epoch", "step", "head"),
        ),  # of one that holds no run
        (Bye(run_id=RUN_ID, epoch=1, agent=1, step=1), ("head",)),
        (Query(RUN_ID, 1, 1), ("agent", "head")),
        (Account(run_id=RUN_ID, epoch=1, agent=1, step=1, digests={}), ("head",)),
        (Who(), ("run_id", "epoch", "agent", "step", "head")),
        (
            Begin(run_id=RUN_ID, epoch=1, settings={}, structure={}, family={}, observation_space={}, action_space={}),
            ("agent", "step", "head"),
        ),
        (Step(RUN_ID, 1, Record(1, DIGEST, b""), b""), ("agent",)),
        (Act(run_id=RUN_ID, epoch=1, agent=1, step=1, actions=b"", step_digest=DIGEST, learner_digest=b""), ("head",)),
        (End(RUN_ID, 1, 1, DIGEST), ("agent", "head")),
        (Fault(1, ""), ("run_id", "epoch", "agent", "step", "head")),
    ],
)
def test_a_field_that_a_type_does_not_use_must_be_zero(message: Message, unused: tuple[str, ...]) -> None:
    names = ("magic", "version", "kind", "reserved", "run_id", "epoch", "agent", "step", "head")
    frames = encode(message)
    for name in unused:
        fields: list[Any] = list(HEADER.unpack(frames[0]))
        place = names.index(name)
        fields[place] = b"\1" * len(fields[place]) if isinstance(fields[place], bytes) else 1
        with pytest.raises(ProtocolError, match=f"^{name} of a {type(message).__name__} message"):
            decode([HEADER.pack(*fields), *frames[1:]])


def test_what_is_too_large_is_not_sent_and_names_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    common = bytes(limits.COMMON_BYTES_MAX + 1)
    with pytest.raises(SendTooLargeError, match=rf"{len(common)} bytes.*{limits.COMMON_BYTES_MAX} bytes"):
        encode(Step(RUN_ID, 1, Record(1, DIGEST, common), b""))
    with pytest.raises(SendTooLargeError, match="observation"):
        encode(Step(RUN_ID, 1, Record(1, DIGEST, b""), bytes(limits.OBSERVATION_BYTES_MAX + 1)))
    with pytest.raises(SendTooLargeError, match=r"learner\.num_envs"):
        encode(
            Act(
                run_id=RUN_ID,
                epoch=1,
                agent=1,
                step=1,
                actions=bytes(limits.ACTIONS_BYTES_MAX + 1),
                step_digest=DIGEST,
                learner_digest=b"",
            )
        )
    with pytest.raises(SendTooLargeError, match="menu"):
        encode(
            Begin(
                run_id=RUN_ID,
                epoch=1,
                settings={},
                structure=CONTROL,
                family={str(n): "x" * 60_000 for n in range(10)},
                observation_space={},
                action_space={},
            )
        )
    with pytest.raises(SendTooLargeError, match="menu"):
        encode(
            Begin(
                run_id=RUN_ID,
                epoch=1,
                settings={},
                structure=CONTROL,
                family={"actions": [0] * (limits.ARRAY_ITEMS_MAX + 1)},
                observation_space={},
                action_space={},
            )
        )


def test_what_is_too_large_is_refused_on_receipt() -> None:
    header = encode(Step(RUN_ID, 1, Record(1, DIGEST, b""), b""))[0]
    with pytest.raises(ProtocolError, match="size of the common part"):
        decode([header, bytes(limits.COMMON_BYTES_MAX + 1), b""])
    with pytest.raises(ProtocolError, match="size of the observation"):
        decode([header, b"", bytes(limits.OBSERVATION_BYTES_MAX + 1)])
    header = encode(Act(run_id=RUN_ID, epoch=1, agent=1, step=1, actions=b"", step_digest=DIGEST, learner_digest=b""))[0]
    with pytest.raises(ProtocolError, match="size of the actions"):
        decode([header, bytes(limits.ACTIONS_BYTES_MAX + 1), DIGEST])
    with pytest.raises(ProtocolError, match="size of the digests"):
        decode([header, b"", DIGEST[:-1]])
    with pytest.raises(ProtocolError, match=f"has {limits.JOIN_BYTES_MAX + 1} bytes"):
        decode(
            [
                encode(Join(agent=1, commitment=DIGEST, selftest=DIGEST, settings_digest=b""))[0],
                bytes(limits.JOIN_BYTES_MAX + 1),
            ]
        )


@pytest.mark.parametrize(
    "message",
    [
        Step(RUN_ID[:-1], 1, Record(1, DIGEST, b""), b""),
        Step(RUN_ID, 1, Record(1, DIGEST + b"x", b""), b""),
        Step(RUN_ID, 2**32, Record(1, DIGEST, b""), b""),
        Step(RUN_ID, 1, Record(2**64, DIGEST, b""), b""),
        Step(RUN_ID, 1, Record(-1, DIGEST, b""), b""),
        Act(run_id=RUN_ID, epoch=1, agent=1, step=1, actions=b"", step_digest=b"short", learner_digest=b""),
        Act(run_id=RUN_ID, epoch=1, agent=1, step=1, actions=b"", step_digest=DIGEST, learner_digest=b"short"),
        End(RUN_ID, 1, 1, b""),
        Join(agent=1, commitment=b"short", selftest=DIGEST, settings_digest=b""),
        Join(agent=1, commitment=DIGEST, selftest=DIGEST, settings_digest=b"", host={"pid": 3}),  # type: ignore[dict-item]
        Begin(
            run_id=RUN_ID,
            epoch=1,
            settings={"updates": object()},
            structure=CONTROL,
            family={},
            observation_space={},
            action_space={},
        ),
        Begin(
            run_id=RUN_ID,
            epoch=1,
            settings={"seed": 2**64},
            structure=CONTROL,
            family={},
            observation_space={},
            action_space={},
        ),
        Fault(256, ""),
    ],
    ids=lambda message: type(message).__name__,
)
def test_our_own_mistake_shows_at_our_end(message: Message) -> None:
    with pytest.raises(InvariantError):
        encode(message)


@pytest.mark.parametrize("agent", [-1, 2**32])
def test_an_agent_id_that_does_not_fit_is_the_users_error(agent: int) -> None:
    with pytest.raises(UsageError, match=f"agent id {agent}"):
        encode(Join(agent=agent, commitment=DIGEST, selftest=DIGEST, settings_digest=b""))


def test_a_fault_can_always_be_sent() -> None:
    long = decode(encode(Fault(70, "é" * 100_000)))
    assert isinstance(long, Fault)
    assert set(long.text) == {"é"}
    assert 50_000 < len(long.text.encode()) <= limits.FAULT_TEXT_BYTES_MAX
    assert decode(encode(Fault(1, "lone \ud800 surrogate"))) == Fault(1, "lone ? surrogate")


def test_text_of_a_peer_cannot_steer_a_terminal() -> None:
    fault = decode(encode(Fault(10, "line one\nline two \x1b[2Jcleared \u202eturned")))
    assert fault == Fault(10, "line one\nline two \ufffd[2Jcleared \ufffdturned")
    assert printable("plain text, ünïcode ✓") == "plain text, ünïcode ✓"


def body_of(kind: int, value: object) -> list[bytes]:
    """Frames of a message of ``kind`` with any msgpack body."""
    header = HEADER.pack(MAGIC, PROTOCOL_VERSION, kind, 0, bytes(16), 0, 0, 0, bytes(32))
    return [header, value if isinstance(value, bytes) else msgpack.packb(value)]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (body_of(FAULT, {"exit_code": 1}), "has the fields exit_code, not exit_code, text"),
        (body_of(FAULT, {"exit_code": 1, "text": "", "more": 0}), "has the fields"),
        (body_of(FAULT, {"exit_code": "1", "text": ""}), "'exit_code'"),
        (body_of(FAULT, {"exit_code": True, "text": ""}), "'exit_code'"),
        (body_of(FAULT, {"exit_code": 1, "text": b"x"}), "'text'"),
        (body_of(FAULT, [1, 2]), "is list, not a map"),
        (body_of(FAULT, {1: 2}), "not msgpack within its limits"),
        (body_of(FAULT, b"\xc1"), "not msgpack within its limits"),
        (body_of(FAULT, b""), "not msgpack within its limits"),
        (body_of(FAULT, msgpack.packb({"exit_code": 1, "text": ""}) + b"\0"), "not msgpack within its limits"),
        (body_of(FAULT, msgpack.packb(msgpack.ExtType(5, b"x"))), "not msgpack within its limits"),
        (body_of(FAULT, b"\xdd\xff\xff\xff\xff"), "not msgpack within its limits"),
        (body_of(FAULT, b"\xdc\x0f\xff" * 2000), "not msgpack within its limits"),
        (body_of(FAULT, b"\xa4\xff\xff\xff\xff"), "not msgpack within its limits"),
        (body_of(JOIN, {**JOIN_BODY, "commitment": b""}), "'commitment'"),
        (body_of(JOIN, {**JOIN_BODY, "host": {"a": 1}}), "'host'"),
        (body_of(JOIN, {**JOIN_BODY, "answers": {"tanh": b""}}), "'answers'"),
    ],
)
def test_a_bad_body_is_refused_with_the_field(frames: list[bytes], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode(frames)


def test_deeply_nested_settings_are_refused() -> None:
    nested: object = 0
    for _ in range(limits.NESTING_MAX):
        nested = [nested]
    with pytest.raises(InvariantError, match="nested"):
        encode(
            Begin(
                run_id=RUN_ID,
                epoch=1,
                settings={"deep": nested},
                structure=CONTROL,
                family={},
                observation_space={},
                action_space={},
            )
        )
    frames = encode(
        Begin(run_id=RUN_ID, epoch=1, settings={}, structure=CONTROL, family={}, observation_space={}, action_space={})
    )
    body = {"settings": {"deep": nested}, "structure": {}, "family": {}, "observation_space": {}, "action_space": {}}
    with pytest.raises(ProtocolError, match=r"'settings'.*nested"):
        decode([frames[0], msgpack.packb(body)])


def decode_or_refuse(frames: list[bytes]) -> None:
    """Only ProtocolError may come out of ``decode``."""
    with contextlib.suppress(ProtocolError):
        decode(frames)


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_random_frames_are_refused_cleanly(frames: list[bytes]) -> None:
    decode_or_refuse(frames)


@given(st.integers(1, 12), plain | st.dictionaries(st.sampled_from(["exit_code", "text", "host", "menu"]), plain))
def test_random_msgpack_is_refused_cleanly(kind: int, value: object) -> None:
    decode_or_refuse(body_of(kind, value if not isinstance(value, bytes) else [value]))


@given(st.integers(1, 12), st.binary(max_size=200))
def test_random_bodies_are_refused_cleanly(kind: int, body: bytes) -> None:
    decode_or_refuse(body_of(kind, body))


def test_mutated_messages_are_refused_or_read_cleanly() -> None:
    seed = 20240611
    generator = random.Random(seed)
    originals = [encode(message) for message in one_of_each()]
    for _ in range(20_000):
        frames = list(generator.choice(originals))
        place = generator.randrange(len(frames))
        frame = bytearray(frames[place])
        match generator.randrange(5):
            case 0 if frame:
                frame[generator.randrange(len(frame))] ^= 1 << generator.randrange(8)
            case 1:
                del frame[generator.randrange(len(frame) + 1) :]
            case 2:
                at = generator.randrange(len(frame) + 1)
                frame[at:at] = generator.randbytes(generator.randrange(8))
            case 3:
                frames.insert(place, generator.randbytes(generator.randrange(80)))
            case _:
                frame = bytearray(generator.choice(generator.choice(originals)))
        frames[place] = bytes(frame)
        decode_or_refuse(frames)
