"""What any rule is worth on a finite model, against enumerating everything, and against the planner's optimum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.finite.baselines import best_constant, random_coordinator
from dadc_net.planning.finite.exact_law import LawOfTeam
from dadc_net.planning.finite.plan import plan_team
from dadc_net.planning.finite.rule_value import RuleValues
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.monte_carlo import monte_carlo
from dadc_net.team.finite.environment import FiniteEnvironment, FiniteParameters
from dadc_net.team.finite.menus import deterministic_menu
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.structures.by_name import structure_by_name
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.tasks import TASKS
from tests.planning.team_by_force import TinyTeam, cut
from tests.planning.test_finite_against_force import UNLIMITED, model_of, team

SEED = seed_bytes(3)
STRUCTURES = [
    ("full", 0, "full-sharing", {}),
    ("delayed", 1, "delayed-sharing", {"delay_steps": 1}),
    ("delayed", 2, "delayed-sharing", {"delay_steps": 2}),
    ("periodic-a", 2, "periodic-sharing", {"period_steps": 2}),
    ("periodic-c", 2, "periodic-sharing", {"period_steps": 2, "reading": "c"}),
    ("control-memory", 0, "control-sharing", {"memory_steps": 0}),
    ("control-memory", 1, "control-sharing", {"memory_steps": 1}),
    ("none-memory", 0, "no-sharing", {"memory_steps": 0}),
    ("none-memory", 1, "no-sharing", {"memory_steps": 1}),
]


class HistoryRule:
    """Theta by the whole common history; each history its own, drawn once."""

    is_memoryless = False

    def __init__(self, theta_of: Callable[[tuple[Any, ...]], Any]) -> None:
        self._theta_of = theta_of
        self._seen: list[tuple[Any, ...]] = []

    def begin(self, copies: int) -> None:
        self._seen = [()] * copies

    def choose(self, common: NDArray[np.int64]) -> NDArray[Any]:
        self._seen = [(*before, tuple(z)) for before, z in zip(self._seen, common.tolist(), strict=True)]
        return np.array([self._theta_of(seen) for seen in self._seen])


def values_of(
    tiny: TinyTeam, structure: InformationStructure, family: PrescriptionFamily, horizon: int, discount: float
) -> RuleValues:
    model = model_of(tiny)
    spec = FiniteEnvironment(model, FiniteParameters(), 1).spec
    return RuleValues(LawOfTeam(model, spec, structure, family), discount, horizon)


def by_force(tiny: TinyTeam, definition: str, number: int, play: Callable[[Any, Any, int], Any], horizon: int) -> float:
    """A rule's value over every path; ``play``: (common, private of agent k, k) -> chances [A]."""
    split, agents = cut(definition, len(tiny.actions), number), range(len(tiny.actions))
    laws = {(): tiny.start}
    total = 0.0
    for _ in range(horizon):
        after: dict[Any, Any] = {}
        for past, law in laws.items():
            common, private = split(past)
            chances = [play(common, private[k], k) for k in agents]
            for a in range(len(tiny.reward)):
                action = tuple(int(x) for x in np.unravel_index(a, tiny.actions))
                weighed = law * np.prod([chances[k][action[k]] for k in agents])
                total += float(weighed @ tiny.reward[a])
                for o in range(tiny.observation.shape[2]):
                    reached = (weighed @ tiny.transition[a]) * tiny.observation[a, :, o]
                    if reached.any():
                        seen = tuple(int(x) for x in np.unravel_index(o, tiny.observations))
                        after[*past, (action, seen)] = reached
        laws = after
    return total


def gibbs(tiny: TinyTeam, structure: InformationStructure) -> GibbsFamily:
    spec = FiniteEnvironment(model_of(tiny), FiniteParameters(), 1).spec
    spaces = [structure.local_space(own.observation_space, own.action_space) for own in spec.agents]
    widest = max(space.num_values for space in spaces)  # type: ignore[attr-defined]
    return GibbsFamily(name="gibbs", tables=2, local_values=widest, num_actions=2, bound=5.0)


@pytest.mark.parametrize("agents_differ", [False, True])
def test_rules_without_memory_of_what_is_local_have_the_value_of_every_path(agents_differ: bool) -> None:
    # What is played is the same whatever is known, so that every structure must give the value that enumeration gives.
    tiny = team(59)
    chances = np.array([[0.5, 0.5], [0.5, 0.5]])
    if agents_differ:
        chances = np.array([[1.0, 0.0], [0.0, 1.0]])
    expected = by_force(tiny, "none", 0, lambda common, private, k: chances[k], 3)
    for _, _, name, parameters in STRUCTURES:
        structure = structure_by_name(name, parameters)
        family = gibbs(tiny, structure)
        values = values_of(tiny, structure, family, 3, 1.0)
        if agents_differ:
            theta = np.tile(np.where(chances[:, None, :] > 0.0, 5.0, -5.0), (1, family.shape[1], 1)).reshape(-1)
            theta = theta[: family.space.columns]
            played = family.probabilities(theta[None])[0, :, 0]
            expected = by_force(tiny, "none", 0, lambda common, private, k, played=played: played[k], 3)
        else:
            theta = np.zeros(family.space.columns)
        found = values.exact(HistoryRule(lambda seen, theta=theta: theta))
        assert found == pytest.approx(expected, abs=1e-10), name
