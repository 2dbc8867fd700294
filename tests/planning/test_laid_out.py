"""Structures that are code: against trying everything, against the planner's own view of the built-in ones, and in words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from dadc_net.errors import UsageError
from dadc_net.planning.finite.laid_out import laid_out
from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.planning.finite.policy_words import describe_plan
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.finite.environment import FiniteEnvironment, FiniteParameters
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.shipped import SHIPPED
from dadc_net.team.spaces import FiniteSpace, Space
from dadc_net.team.structures.by_name import structure_by_name
from dadc_net.team.structures.own_memory import NoSharing
from dadc_net.team.structures.structure import InformationStructure, Integers, JointStep, Values, past_observations
from tests.planning.looks import LateAfter
from tests.planning.team_by_force import Cut, Past, TinyTeam, optimum
from tests.planning.test_finite_against_force import STRUCTURES, UNLIMITED, model_of, team


@dataclass(frozen=True)
class FirstTells(InformationStructure):
    """What the first agent saw ``late`` steps ago is common at every ``period``-th step; all keep what they see now."""

    name: ClassVar[str] = "first-tells"
    late: int = 0
    period: int = 1

    @property
    def history_steps(self) -> int:
        return 1 + self.late

    def recurring_step(self, step: int) -> int:
        return min(step, self.late + 1) if self.period == 1 else step

    def common_space(self, spec: EnvironmentSpec) -> Space:
        return FiniteSpace((spec.agents[0].observation_space.parts[0].sizes[0] + 1,))

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        seen = past_observations(history, self.late, step_in_episode)[:, :1] + 1
        tells = (step_in_episode % self.period == 0) & (step_in_episode > self.late)
        return np.where(tells[:, None], seen, 0)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return observation_space

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        return observation_next.copy()


def first_tells(late: int, period: int) -> Cut:
    """The same, cut from all that has happened: past[i] holds a_i and o_{i + 1}."""

    def split(past: Past) -> tuple[Any, Sequence[Any]]:
        told = tuple(past[t - 1 - late][1][0] for t in range(late + 1, len(past) + 1) if t % period == 0)
        own = past[-1][1] if past else (0,) * 3
        return (len(past), told), own

    return split


def counts(past: Past) -> tuple[Any, Sequence[Any]]:
    """Mean-field sharing: how many agents saw 1 at each step, and the present observation."""
    return tuple(sum(seen) for _, seen in past), past[-1][1] if past else (0,) * 3


def planned(
    model: FiniteModel,
    structure: InformationStructure,
    horizon: int | None,
    discount: float = 1.0,
    limits: Limits = UNLIMITED,
) -> TeamPlan:
    spec = FiniteEnvironment(model, FiniteParameters(horizon=horizon or 0), 1).spec
    told = laid_out(model, spec, structure, decisions=horizon, memory_bytes=limits.memory_bytes, stop=limits.is_late)
    return plan_team(told.model, told.sharing, horizon=horizon, discount=discount, limits=limits)


def value(plan: TeamPlan) -> float:
    assert plan.upper - plan.lower < 1e-8
    return plan.lower


@pytest.mark.parametrize(
    ("structure", "split"),
    [
        (FirstTells(), first_tells(0, 1)),
        (FirstTells(late=1), first_tells(1, 1)),
        (FirstTells(period=2), first_tells(0, 2)),
        (structure_by_name("mean-field-sharing"), counts),
    ],
)
@pytest.mark.parametrize(("agents", "horizon"), [(2, 3), (3, 2)])
def test_trying_everything(structure: InformationStructure, split: Cut, agents: int, horizon: int) -> None:
    tiny: TinyTeam = team(94 if agents == 2 else 5, agents=agents)
    assert value(planned(model_of(tiny), structure, horizon)) == pytest.approx(optimum(tiny, split, horizon), abs=1e-8)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [(n, p) for _, _, n, p in STRUCTURES if p.get("memory_steps") is not None or not n.startswith(("no-", "control-"))],
)
def test_the_planner_reads_structures_as_server_and_agents_do(name: str, parameters: dict[str, Any]) -> None:
    model = model_of(team(94))
    own = value(planned(model, structure_by_name(name, parameters), 3))
    known = plan_team(model, Sharing.from_record(name, parameters), horizon=3, discount=1.0, limits=UNLIMITED)
    assert own == pytest.approx(value(known), abs=1e-8)


def test_structures_are_told_apart() -> None:
    # Otherwise what is above would prove nothing.
    model = model_of(team(94))
    structures = [NoSharing(0), FirstTells(late=1), FirstTells(period=2), FirstTells()]
    structures += [structure_by_name("mean-field-sharing"), structure_by_name("full-sharing")]
    found = [value(planned(model, structure, 3)) for structure in structures]
    # Each tells more than the one before it.
    assert all(less + 1e-3 < more for less, more in itertools.pairwise(found)), found


def test_without_end_where_steps_are_alike() -> None:
    near = Limits(gap=1e-4, memory_bytes=1 << 30, is_late=lambda: False)
    model = SHIPPED["recycling"]()
    own = planned(model, structure_by_name("control-sharing"), None, 0.9, near)
    assert own.upper - own.lower < 2e-4
    # Control sharing with the present observation alone loses nothing here: a delay of one step is worth as much.
    assert own.lower - 1e-5 <= 32.211392 <= own.upper + 1e-5
    soon = Limits(gap=1e-4, memory_bytes=1 << 30, is_late=LateAfter(300))
    tells = planned(model, FirstTells(), None, 0.9, soon)
    assert tells.stopped == "time"
    assert tells.upper >= 31.929128 - 1e-4
    assert tells.lower <= tells.upper <= 33.847871 + 1e-4


def test_without_end_where_none_are_it_is_refused() -> None:
    with pytest.raises(UsageError, match="treats no two steps alike"):
        planned(SHIPPED["recycling"](), FirstTells(period=2), None, 0.9)


@pytest.mark.parametrize(("memory", "late"), [(20_000, False), (1 << 30, True)])
def test_more_states_than_time_and_memory_allow_are_refused_in_words(memory: int, late: bool) -> None:
    scarce = Limits(gap=1e-9, memory_bytes=memory, is_late=lambda: late)
    with pytest.raises(UsageError, match="--time and --memory") as refused:
        planned(SHIPPED["box-pushing"](), FirstTells(late=1), 4, limits=scarce)
    assert "full-sharing" in str(refused.value)


def test_what_is_laid_out_counts() -> None:
    model = SHIPPED["dec-tiger"]()
    spec = FiniteEnvironment(model, FiniteParameters(horizon=3), 1).spec
    told = laid_out(model, spec, FirstTells(), decisions=3, memory_bytes=1 << 30, stop=lambda: False)
    beside = Limits(gap=1e-9, memory_bytes=1 << 30, is_late=lambda: False, bytes_beside=told.bytes_held)
    alone = plan_team(told.model, told.sharing, horizon=3, discount=1.0, limits=UNLIMITED)
    counted = plan_team(told.model, told.sharing, horizon=3, discount=1.0, limits=beside)
    assert told.bytes_held > 0
    assert counted.bytes_held == alone.bytes_held + told.bytes_held


def test_the_policy_is_told_by_local_values() -> None:
    plan = planned(SHIPPED["dec-tiger"](), NoSharing(1), 3)
    assert plan.sharing.text() == "no-sharing (memory_steps 1)"
    lines = describe_plan(plan).splitlines()
    assert lines[0] == "decision 1 (100.0 %): agent 1 listen; agent 2 listen"
    assert "open-left after L=1,1,0" in lines[2]
    assert "told" not in lines[2]
