"""The general planner against trying everything, on teams small enough for that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dadc_net.planning.finite.plan import plan_team
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sparse_rows import SparseRows
from tests.planning.team_by_force import TinyTeam, cut, optimum

UNLIMITED = Limits(gap=1e-10, memory_bytes=1 << 30, is_late=lambda: False)


def team(seed: int, agents: int = 2, states: int = 2, actions: int = 2, observations: int = 2) -> TinyTeam:
    rng = np.random.default_rng(seed)
    joint_actions, joint_observations = actions**agents, observations**agents

    def laws(*shape: int) -> np.ndarray:
        # Some outcomes are impossible, and probabilities are coarse, so that beliefs coincide.
        raw = rng.integers(0, 4, size=shape).astype(np.float64)
        raw[..., 0] += 1.0
        return raw / raw.sum(axis=-1, keepdims=True)

    return TinyTeam(
        laws(states),
        laws(joint_actions, states, states),
        laws(joint_actions, states, joint_observations),
        rng.integers(-3, 4, size=(joint_actions, states)).astype(np.float64),
        (actions,) * agents,
        (observations,) * agents,
    )


def model_of(tiny: TinyTeam) -> FiniteModel:
    def names(counts: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(f"x{i}" for i in range(count)) for count in counts)

    return FiniteModel(
        name="tiny",
        states=tuple(f"s{i}" for i in range(len(tiny.start))),
        actions=names(tiny.actions),
        observations=names(tiny.observations),
        start=tiny.start,
        transitions=tuple(SparseRows.from_dense(table) for table in tiny.transition),
        observation_probabilities=tuple(SparseRows.from_dense(table) for table in tiny.observation),
        rewards=tuple(tiny.reward),
        discount=0.9,
    )


STRUCTURES: list[tuple[str, int, str, dict[str, Any]]] = [
    ("full", 0, "full-sharing", {}),
    ("delayed", 1, "delayed-sharing", {"delay_steps": 1}),
    ("delayed", 2, "delayed-sharing", {"delay_steps": 2}),
    ("delayed", 3, "delayed-sharing", {"delay_steps": 3}),
    ("periodic-a", 2, "periodic-sharing", {"period_steps": 2}),
    ("periodic-c", 2, "periodic-sharing", {"period_steps": 2, "reading": "c"}),
    ("control", 0, "control-sharing", {}),
    ("control-memory", 0, "control-sharing", {"memory_steps": 0}),
    ("control-memory", 1, "control-sharing", {"memory_steps": 1}),
    ("none", 0, "no-sharing", {}),
    ("none-memory", 0, "no-sharing", {"memory_steps": 0}),
    ("none-memory", 1, "no-sharing", {"memory_steps": 1}),
]


@pytest.mark.parametrize(("definition", "number", "name", "parameters"), STRUCTURES)
def test_three_decisions_of_two_agents(definition: str, number: int, name: str, parameters: dict[str, object]) -> None:
    tiny = team(59)
    expected = optimum(tiny, cut(definition, 2, number), 3)
    sharing = Sharing.from_record(name, parameters)
    plan = plan_team(model_of(tiny), sharing, horizon=3, discount=1.0, limits=UNLIMITED)
    assert plan.lower - 1e-9 <= expected <= plan.upper + 1e-9
    assert plan.upper - plan.lower < 1e-8


@pytest.mark.parametrize(("definition", "number", "name", "parameters"), STRUCTURES)
def test_two_decisions_of_three_agents(definition: str, number: int, name: str, parameters: dict[str, object]) -> None:
    tiny = team(5, agents=3)
    expected = optimum(tiny, cut(definition, 3, number), 2, discount=0.7)
    sharing = Sharing.from_record(name, parameters)
    plan = plan_team(model_of(tiny), sharing, horizon=2, discount=0.7, limits=UNLIMITED)
    assert plan.lower - 1e-9 <= expected <= plan.upper + 1e-9
    assert plan.upper - plan.lower < 1e-8


def test_the_tiny_team_tells_structures_apart() -> None:
    # Otherwise the comparisons above would prove nothing.
    model = model_of(team(59))
    values = {
        (name, *parameters.values()): plan_team(
            model, Sharing.from_record(name, parameters), horizon=3, discount=1.0, limits=UNLIMITED
        ).lower
        for _, _, name, parameters in STRUCTURES
    }
    assert len({round(value, 6) for value in values.values()}) >= 5, values
