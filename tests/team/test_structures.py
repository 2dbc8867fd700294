"""Information structures with parameters, against the paper's definitions applied to whole recorded episodes."""

from __future__ import annotations

import dataclasses
import inspect
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from dadc_net.errors import ConfigError, ProtocolError, UsageError
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.information import JointStep
from dadc_net.team.spaces import BoxSpace, FiniteSpace
from dadc_net.team.structures.by_name import BUILT_IN, is_built_in, structure_by_name, structure_from_plain
from dadc_net.team.structures.delayed import DelayedSharing, FullSharing
from dadc_net.team.structures.own_memory import ControlSharing, MeanFieldSharing, NoSharing
from dadc_net.team.structures.periodic import PeriodicSharing
from dadc_net.team.structures.structure import InformationStructure, Integers

AGENTS, COLUMNS, COPIES, STEPS = 3, 2, 4, 40
SPEC = EnvironmentSpec("random", AGENTS, FiniteSpace((3, 2)), FiniteSpace((4,)), FiniteSpace((5,)), 0)
STRUCTURES = [
    *(DelayedSharing(delay) for delay in (1, 2, 3)),
    *(PeriodicSharing(period, reading) for period in (1, 2, 3) for reading in ("a", "c")),
    *(ControlSharing(memory) for memory in (0, 1, 2)),
    *(NoSharing(memory) for memory in (0, 1, 2)),
    FullSharing(),
]


class Moment(NamedTuple):
    """All that is true at one lock-step of a recorded run."""

    history: list[JointStep]
    step: Integers
    """[E] t in the episode of each copy"""
    observations: list[list[Integers]]
    """[E][t] O of the whole episode, [K, O]"""
    actions: list[list[Integers]]
    """[E][t] A, [K]; one fewer than observations"""


def recorded(structure: InformationStructure, seed: int = 0) -> Iterator[Moment]:
    """Random joint steps of copies that begin at different times, with windows as a run gives them."""
    random = np.random.Generator(np.random.Philox(seed))
    history: deque[JointStep] = deque(maxlen=structure.history_steps)
    step = np.zeros(COPIES, dtype=np.int64)
    observations: list[list[Integers]] = [[] for _ in range(COPIES)]
    actions: list[list[Integers]] = [[] for _ in range(COPIES)]
    for t in range(STEPS):
        begin = random.random(COPIES) < 0.15 if t else np.ones(COPIES, dtype=np.bool_)
        step = np.where(begin, 0, step + 1)
        seen = random.integers(0, [3, 2], (COPIES, AGENTS, COLUMNS))
        action = np.where(begin[:, None], 0, random.integers(0, 4, (COPIES, AGENTS)))
        history.append(JointStep(seen, random.integers(0, 5, (COPIES, 1)), action, begin))
        for e in range(COPIES):
            if begin[e]:
                observations[e], actions[e] = [], []
            else:
                actions[e].append(action[e])
            observations[e].append(seen[e])
        yield Moment(list(history), step.copy(), [list(own) for own in observations], [list(own) for own in actions])


def flat(parts: list[Any]) -> list[int]:
    """Side by side."""
    return [int(x) for part in parts for x in np.asarray(part).reshape(-1)]


def at(values: list[Integers], time: int, like: Any) -> Any:
    """The value at a time; where there is none, as many zeros as in ``like``."""
    return values[time] if 0 <= time < len(values) else np.zeros_like(like)


def expected_common(structure: InformationStructure, o: list[Integers], a: list[Integers], public: Integers) -> list[int]:
    """z_t by the definition, from whole episodes."""
    t, no_action = len(o) - 1, np.zeros(AGENTS, dtype=np.int64)
    if isinstance(structure, DelayedSharing):
        return flat([at(o, t - structure.delay_steps, o[0]), at(a, t - structure.delay_steps, no_action), public])
    if isinstance(structure, FullSharing):
        return flat([at(o, t, o[0]), at(a, t - 1, no_action), public])
    if isinstance(structure, ControlSharing):
        return flat([at(a, t - 1, no_action), public])
    if isinstance(structure, NoSharing):
        return flat([public])
    assert isinstance(structure, PeriodicSharing)
    p, phase = structure.period_steps, t % structure.period_steps
    times = range(t - p + 1, t + 1) if structure.reading == "a" else range(t - p, t)
    pairs = [(at(o, u, o[0]), at(a, u - 1 if structure.reading == "a" else u, no_action)) for u in times]
    pairs = [pair if phase == 0 else (0 * pair[0], 0 * pair[1]) for pair in pairs]
    return flat([[phase], *(part for pair in pairs for part in pair), public])


def expected_local(structure: InformationStructure, o: list[Integers], a: list[Integers]) -> list[int]:
    """L_t of one agent by the definition, from its own observations and actions of the whole episode."""
    t = len(o) - 1
    if isinstance(structure, FullSharing):
        return [0]
    if isinstance(structure, PeriodicSharing):
        p, reading = structure.period_steps, structure.reading
        since = t - t % p
        seen = [at(o, u, o[0]) for u in range(since + (reading == "a"), since + p)]
        return flat([*seen, *(at(a, u, 0) if u < t else 0 for u in range(since, since + p - 1))]) or [0]
    if isinstance(structure, DelayedSharing):
        observations, done = structure.delay_steps, structure.delay_steps - 1
    else:
        assert isinstance(structure, ControlSharing | NoSharing)
        observations = structure.memory_steps + 1
        done = structure.memory_steps if isinstance(structure, NoSharing) else 0
    return flat([*(at(o, u, o[0]) for u in range(t - observations + 1, t + 1)), *(at(a, u, 0) for u in range(t - done, t))])


def own(values: list[Integers], agent: int) -> list[Integers]:
    return [value[agent] for value in values]


def each(structure: InformationStructure) -> str:
    return "-".join([structure.name, *map(str, structure.to_plain()["parameters"].values())])


@pytest.mark.parametrize("structure", STRUCTURES, ids=each)
def test_common_and_local_are_what_the_definition_says(structure: InformationStructure) -> None:
    space = structure.common_space(SPEC)
    local_space = structure.local_space(SPEC.observation_space, SPEC.action_space)
    local = np.full((AGENTS, COPIES, len(local_space.sizes)), 77)
    for moment in recorded(structure):
        now = moment.history[-1]
        z = structure.common(moment.history, moment.step)
        assert z.dtype == np.int64
        assert space.contains(z)
        for agent in range(AGENTS):
            given = (now.joint_action_tm1[:, agent], now.observations[:, agent], moment.step)
            local[agent] = structure.local(local[agent], *given)
        assert local_space.contains(local)
        for e in range(COPIES):
            o, a = moment.observations[e], moment.actions[e]
            assert z[e].tolist() == expected_common(structure, o, a, now.public[e])
            for agent in range(AGENTS):
                assert local[agent, e].tolist() == expected_local(structure, own(o, agent), own(a, agent))


@pytest.mark.parametrize("structure", STRUCTURES, ids=each)
def test_revealed_local_values_are_those_that_were_met(structure: InformationStructure) -> None:
    commons: deque[Integers] = deque(maxlen=max(1, structure.revealed_steps))
    found = 0
    for moment in recorded(structure, seed=1):
        commons.append(structure.common(moment.history, moment.step))
        revealed = structure.revealed(SPEC, list(commons), moment.step)
        assert revealed.local.shape[:3] == (COPIES, len(revealed.lags), AGENTS)
        for e in range(COPIES):
            o, a, t = moment.observations[e], moment.actions[e], int(moment.step[e])
            for g, lag in enumerate(revealed.lags):
                if not revealed.known[e, g]:
                    continue
                found += 1
                for agent in range(AGENTS):
                    then = own(o, agent)[: t - lag + 1], own(a, agent)[: t - lag]
                    assert revealed.local[e, g, agent].tolist() == expected_local(structure, *then)
    assert (found > 0) == (structure.revealed_steps > 0) == (not isinstance(structure, ControlSharing | NoSharing))


def test_every_local_value_of_a_period_is_revealed_at_its_end() -> None:
    structure = PeriodicSharing(3)
    for moment in recorded(structure):
        z = structure.common(moment.history, moment.step)
        revealed = structure.revealed(SPEC, [z], moment.step)
        assert revealed.lags == (3, 2, 1)
        ends = (moment.step > 0) & (moment.step % 3 == 0)
        assert np.array_equal(revealed.known, np.repeat(ends[:, None], 3, axis=1))


def with_another_past(moment: Moment) -> list[JointStep]:
    """The same history, but for what was before the episode of each copy."""
    changed = []
    for lag, joint in zip(range(len(moment.history) - 1, -1, -1), moment.history, strict=True):
        before = moment.step < lag
        parts: list[Any] = [np.where(before.reshape(-1, *[1] * (x.ndim - 1)), 1 - x % 2, x) for x in joint]
        changed.append(JointStep(*parts))
    return changed


@pytest.mark.parametrize("structure", STRUCTURES, ids=each)
def test_what_was_before_the_episode_does_not_matter(structure: InformationStructure) -> None:
    for moment in recorded(structure, seed=2):
        z = structure.common(moment.history, moment.step)
        assert np.array_equal(z, structure.common(with_another_past(moment), moment.step))


def test_it_would_matter_to_a_structure_that_does_not_ask_for_the_step() -> None:
    structure = DelayedSharing(2)
    late = np.full(COPIES, 50)
    assert any(
        not np.array_equal(structure.common(moment.history, late), structure.common(with_another_past(moment), late))
        for moment in recorded(structure, seed=2)
    )


@pytest.mark.parametrize("structure", STRUCTURES, ids=each)
def test_local_has_no_argument_for_common_information(structure: InformationStructure) -> None:
    assert list(inspect.signature(structure.local).parameters) == ["local", "action", "observation_next", "step_in_episode"]
    assert dataclasses.is_dataclass(structure)
    with pytest.raises(dataclasses.FrozenInstanceError):
        structure.seen = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("structure", [*STRUCTURES, MeanFieldSharing(4)], ids=each)
def test_a_structure_is_its_record(structure: InformationStructure) -> None:
    assert structure_from_plain(structure.to_plain()) == structure
    assert is_built_in(structure)


def test_a_users_structure_is_not_built_in() -> None:
    class Mine(ControlSharing):
        pass

    assert not is_built_in(Mine())


def test_the_mean_field_counts_any_number_of_values() -> None:
    spec = dataclasses.replace(SPEC, num_agents=5, observation_space=FiniteSpace((4,)))
    structure = MeanFieldSharing(4)
    assert structure.common_space(spec) == FiniteSpace((6, 6, 6), ordered=True)
    seen = np.array([[[0], [3], [3], [1], [0]]])
    step = JointStep(seen, np.zeros((1, 1), dtype=np.int64), np.zeros((1, 5), dtype=np.int64), np.ones(1, dtype=np.bool_))
    assert structure.common([step], np.zeros(1, dtype=np.int64)).tolist() == [[1, 0, 2]]
    with pytest.raises(UsageError, match=r"structure\.values is 4, but random has the observation"):
        structure.common_space(SPEC)


def test_agents_that_differ_have_local_spaces_of_their_own() -> None:
    structure = DelayedSharing(2)
    assert structure.local_space(FiniteSpace((2,)), FiniteSpace((3,))) == FiniteSpace((2, 2, 3))
    assert structure.local_space(FiniteSpace((5,)), FiniteSpace((7,))) == FiniteSpace((5, 5, 7))


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("delayed-sharing", {"delay_steps": 0}, r"structure\.delay_steps is 0"),
        ("delayed-sharing", {"delay": 2}, r"no key structure\.delay\. Did you mean 'delay_steps'"),
        ("delayed-sharing", {"delay_steps": 1.5}, r"structure\.delay_steps is 1\.5, which is not of type int"),
        ("periodic-sharing", {"period_steps": 0}, r"structure\.period_steps is 0"),
        ("periodic-sharing", {"reading": "b"}, r"structure\.reading is 'b'"),
        ("control-sharing", {"memory_steps": -1}, r"structure\.memory_steps is -1"),
        ("no-sharing", {"memory_steps": -1}, r"structure\.memory_steps is -1"),
        ("mean-field-sharing", {"values": 1}, r"structure\.values is 1"),
        ("full-sharing", {"delay_steps": 1}, r"no key structure\.delay_steps"),
    ],
)
def test_bad_parameters_are_refused(name: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        structure_by_name(name, parameters)


def test_names_from_the_network_are_only_looked_up() -> None:
    with pytest.raises(UsageError, match="--structure"):
        structure_by_name("os:system")
    with pytest.raises(UsageError, match="Did you mean 'delayed-sharing'"):
        structure_by_name("delay-sharing")
    for record in ({"name": "full-sharing"}, {"name": "full-sharing", "parameters": 3}, {}):
        with pytest.raises(ProtocolError, match="does not describe an information structure"):
            structure_from_plain(record)


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_does_not_fit_is_told_at_once(name: str) -> None:
    structure = structure_by_name(name)
    boxes = dataclasses.replace(SPEC, observation_space=BoxSpace((0.0,), (1.0,)), public_space=BoxSpace((0.0,), (1.0,)))
    with pytest.raises(UsageError, match=r"which is not finite|has the observation") as raised:
        structure.common_space(boxes)
    assert str(raised.value).count(". ") == 2


def test_a_local_memory_that_is_too_large_is_refused() -> None:
    with pytest.raises(UsageError, match=r"under no-sharing, memory_steps=9 an agent has 15850845241344 local values"):
        NoSharing(9).local_space(FiniteSpace((3, 2)), FiniteSpace((4,)))
