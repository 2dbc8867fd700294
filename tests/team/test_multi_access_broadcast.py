"""The environment of D.1, its clock, structure and menus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.errors import ConfigError, ProtocolError, UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.environment import Ended, EnvironmentSpec
from dadc_net.team.lockstep import EpisodeClock
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.multi_access_broadcast import (
    BLANK,
    BUSY,
    IDLE,
    MENUS,
    MultiAccessBroadcast,
    MultiAccessBroadcastParameters,
)
from dadc_net.team.spaces import BoxSpace, FiniteSpace, space_from_plain
from dadc_net.team.structures.by_name import structure_by_name
from dadc_net.team.structures.own_memory import ControlSharing
from dadc_net.team.structures.structure import JointStep
from dadc_net.team.tasks import find_task

NO = np.zeros(1, dtype=bool)
YES = np.ones(1, dtype=bool)
NEVER = np.array([[0.999, 0.999, 0.999]])
"""Draws with which no packet arrives and the channel becomes, or stays, idle."""


def environment(**parameters: object) -> MultiAccessBroadcast:
    return MultiAccessBroadcast(MultiAccessBroadcastParameters(**parameters), 1)  # type: ignore[arg-type]


def put(env: MultiAccessBroadcast, buffers: tuple[int, int], busy: int) -> None:
    env.restore({"buffers": np.array([buffers]), "busy": np.array([busy])})


@pytest.mark.parametrize(
    ("buffers", "busy", "action", "left", "reward", "symbol"),
    [
        ((1, 1), IDLE, (1, 0), (0, 1), 0.6, IDLE),  # one transmits on an idle channel: success
        ((1, 1), IDLE, (0, 1), (1, 0), 0.6, IDLE),
        ((1, 1), BUSY, (1, 0), (1, 1), -0.4, BUSY),  # busy: the packet stays, the cost is paid
        ((1, 1), IDLE, (1, 1), (1, 1), -0.8, IDLE),  # collision
        ((1, 1), BUSY, (1, 1), (1, 1), -0.8, BUSY),
        ((1, 0), IDLE, (0, 0), (1, 0), 0.0, BLANK),  # silence: the channel is not seen
    ],
)
def test_one_step(
    buffers: tuple[int, int], busy: int, action: tuple[int, int], left: tuple[int, int], reward: float, symbol: int
) -> None:
    env = environment()
    put(env, buffers, busy)
    outcome = env.advance(np.array([action]), NO, NEVER)
    assert outcome.observations[0, :, 0].tolist() == list(left)
    assert outcome.rewards[0] == pytest.approx(reward)
    assert outcome.public[0, 0] == symbol


def test_the_reward_uses_the_old_channel_and_arrivals_come_after() -> None:
    env = environment()
    put(env, (1, 0), IDLE)
    becomes_busy_and_packets_arrive = np.array([[0.0, 0.0, 0.9]])
    outcome = env.advance(np.array([[1, 0]]), NO, becomes_busy_and_packets_arrive)
    assert outcome.rewards[0] == pytest.approx(0.6)
    assert outcome.public[0, 0] == IDLE
    assert outcome.observations[0, :, 0].tolist() == [1, 1]
    put(env, (1, 0), BUSY)
    still = env.advance(np.array([[1, 0]]), NO, NEVER)
    assert still.rewards[0] == pytest.approx(-0.4)


def test_a_full_buffer_drops_the_packet() -> None:
    env = environment()
    put(env, (1, 1), IDLE)
    outcome = env.advance(np.array([[0, 0]]), NO, np.zeros((1, 3)))
    assert outcome.observations[0, :, 0].tolist() == [1, 1]


def test_a_device_without_a_packet_sends_nothing() -> None:
    env = environment()
    put(env, (0, 1), IDLE)
    outcome = env.advance(np.array([[1, 1]]), NO, NEVER)
    assert outcome.observations[0, :, 0].tolist() == [0, 0]  # device 2 was alone and succeeded
    assert outcome.rewards[0] == pytest.approx(0.6)
    put(env, (0, 0), BUSY)
    silence = env.advance(np.array([[1, 0]]), NO, NEVER)
    assert (silence.rewards[0], silence.public[0, 0]) == (0.0, BLANK)


@pytest.mark.parametrize(("busy", "symbol"), [(0.0, IDLE), (1.0, BUSY), (0.5, BLANK)])
def test_starts(busy: float, symbol: int) -> None:
    env = environment(initial_busy_probability=busy)
    put(env, (1, 1), BUSY)
    outcome = env.advance(np.array([[1, 1]]), YES, np.array([[0.0, 0.0, 0.3]]))
    assert outcome.observations[0, :, 0].tolist() == [0, 0]
    assert outcome.public[0, 0] == symbol
    assert outcome.rewards[0] == 0.0
    assert env.state()["busy"][0] == int(busy > 0.3)


def test_copies_do_not_depend_on_one_another() -> None:
    parameters = MultiAccessBroadcastParameters()
    stream = Stream("environment", seed_bytes(3))

    def trace(copies: int) -> NDArray[np.float64]:
        env = MultiAccessBroadcast(parameters, copies)
        rows = []
        for t in range(60):
            action = np.tile(np.array([[t % 2, 1 - t % 2]]), (copies, 1))
            outcome = env.advance(action, np.full(copies, t % 20 == 0), stream.uniforms(t, copies, 3))
            rows.append(np.concatenate([outcome.observations[:2].reshape(2, -1), outcome.rewards[:2, None]], axis=1))
        return np.stack(rows)

    assert np.array_equal(trace(2), trace(7))


def test_state_and_restore_continue_equally() -> None:
    env, stream = MultiAccessBroadcast(MultiAccessBroadcastParameters(), 3), Stream("environment", seed_bytes(3))
    none = np.zeros(3, dtype=bool)
    for t in range(5):
        env.advance(np.ones((3, 2), dtype=np.int64), none, stream.uniforms(t, 3, 3))
    twin = MultiAccessBroadcast(MultiAccessBroadcastParameters(), 3)
    twin.restore(env.state())
    for t in range(5, 20):
        a = env.advance(np.ones((3, 2), dtype=np.int64), none, stream.uniforms(t, 3, 3))
        b = twin.advance(np.ones((3, 2), dtype=np.int64), none, stream.uniforms(t, 3, 3))
        assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in a._fields)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("stay_probabilities", (1.5, 0.5), r"env\.stay_probabilities is \[1.5, 0.5\]"),
        ("stay_probabilities", (0.5,), r"env\.stay_probabilities is \[0.5\].*two probabilities from 0 to 1"),
        ("arrival_probabilities", (0.1, -0.1), r"env\.arrival_probabilities"),
        ("arrival_probabilities", (0.1, float("nan")), r"env\.arrival_probabilities"),
        ("transmission_cost", float("inf"), r"env\.transmission_cost is inf"),
        ("initial_busy_probability", 2.0, r"env\.initial_busy_probability is 2.0"),
        ("restart_steps", -1, r"env\.restart_steps is -1"),
        ("success_reward", 1e9, r"env\.success_reward"),
    ],
)
def test_parameters_are_checked(key: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(MultiAccessBroadcastParameters(), **{key: value})  # type: ignore[arg-type]


def test_clock_truncates_and_restarts() -> None:
    clock = EpisodeClock(2, 3)
    begins, codes = [], []
    for t in range(9):
        begins.append((clock.step_in_episode == 0).tolist())
        over = np.array([Ended.TERMINATED if t == 1 else Ended.NO, Ended.NO], dtype=np.uint8)
        codes.append(clock.observe(over).tolist())
    assert [row[1] for row in begins] == [True, False, False, False, True, False, False, False, True]
    assert [row[1] for row in codes] == [0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert [row[0] for row in begins][:3] == [True, False, True]
    assert [row[0] for row in codes][:6] == [0, 2, 0, 0, 0, 1]


@pytest.mark.parametrize("restart_steps", [1, 2, 7])
def test_clock_cuts_each_copy_by_its_own_age(restart_steps: int) -> None:
    draw = np.random.Generator(np.random.PCG64(restart_steps))
    clock, ages = EpisodeClock(3, restart_steps), [0, 0, 0]
    for step in range(200):
        assert clock.step_in_episode.tolist() == ages
        terminated = (draw.random(3) < 0.1).astype(np.uint8) * int(Ended.TERMINATED)
        cut = [int(Ended.TRUNCATED) if age >= restart_steps else 0 for age in ages]
        expected = [own or late for own, late in zip(terminated.tolist(), cut, strict=True)]
        assert clock.observe(terminated).tolist() == expected
        ages = [0 if own else age + 1 for own, age in zip(expected, ages, strict=True)]
        if step == 100:
            kept, clock = clock.state(), EpisodeClock(3, restart_steps)
            clock.restore(kept)


def test_clock_never_truncates_when_asked_so() -> None:
    clock = EpisodeClock(1, 0)
    assert all(clock.observe(np.zeros(1, dtype=np.uint8))[0] == Ended.NO for _ in range(1000))


def test_control_sharing_splits_common_from_local() -> None:
    structure = structure_by_name("control-sharing")
    spec = environment().spec
    assert isinstance(structure, ControlSharing)
    assert structure.common_space(spec) == FiniteSpace((2, 2, 3))
    step = JointStep(np.array([[1, 0]]), np.array([[BUSY]]), np.array([[1, 0]]), NO)
    assert structure.common([step], np.ones(1, dtype=np.int64)).tolist() == [[1, 0, BUSY]]
    local = structure.local(np.array([[0]]), np.array([1]), np.array([[1]]), np.ones(1, dtype=np.int64))
    assert local.tolist() == [[1]]


def test_structure_names_from_the_network_are_only_looked_up() -> None:
    with pytest.raises(UsageError, match="--structure"):
        structure_by_name("os:system")


def test_menus_are_opportunities() -> None:
    both = np.array([0, 1])
    for entry, (first, second) in enumerate([(1, 0), (0, 1), (1, 1), (0, 0)]):
        chosen = np.full(2, entry)
        assert MENUS["all"].draw(chosen, np.array([1]), both[:, None])[:, 0].tolist() == [0, first]
        assert MENUS["all"].draw(chosen, np.array([2]), both[:, None])[:, 0].tolist() == [0, second]
    assert MENUS["paper"].entries == MENUS["all"].entries[:3]
    assert PrescriptionMenu.from_plain(MENUS["all"].to_plain()) == MENUS["all"]
    with pytest.raises(ProtocolError):
        PrescriptionMenu.from_plain({"name": "x", "entries": ["a"], "actions": [[[1, 0], [1]]]})


@pytest.mark.parametrize("sizes", [(2, 2, 3), (7,), (5, 4, 3, 2)])
def test_finite_spaces_index_and_code(sizes: tuple[int, ...]) -> None:
    space = FiniteSpace(sizes)
    values = space.values(np.arange(space.num_values))
    assert np.array_equal(space.index(values), np.arange(space.num_values))
    assert space.contains(values)
    assert not space.contains(values + 1)
    codes = space.features(values)
    assert codes.shape == (space.num_values, space.feature_size)
    assert len({tuple(row) for row in codes.tolist()}) == space.num_values
    assert space_from_plain(space.to_plain()) == space


def test_box_spaces() -> None:
    box = BoxSpace((0.0, -1.0), (1.0, 1.0))
    assert box.contains(np.array([[0.5, 0.0]]))
    assert not box.contains(np.array([[0.5, np.nan]]))
    assert box.features(np.array([[2.0, -3.0]])).tolist() == [[1.0, -1.0]]
    assert space_from_plain(box.to_plain()) == box
    with pytest.raises(ProtocolError):
        space_from_plain({"kind": "sphere"})


def test_unknown_task_has_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean 'mabc'"):
        find_task("mabcc")


def test_specification() -> None:
    spec = environment().spec
    assert isinstance(spec, EnvironmentSpec)
    assert (spec.num_agents, spec.draws_per_step) == (2, 3)
