"""What any rule is worth on a finite model, against enumerating everything, and against the planner's optimum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.evaluation import Estimate
from dadc_net.planning.finite import rule_value
from dadc_net.planning.finite.best_constant import best_constant
from dadc_net.planning.finite.exact_law import LawOfTeam
from dadc_net.planning.finite.plan import plan_team
from dadc_net.planning.finite.random_coordinator import random_coordinator
from dadc_net.planning.finite.rule_value import RuleValues
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.monte_carlo import monte_carlo
from dadc_net.team.finite.environment import FiniteEnvironment, FiniteParameters
from dadc_net.team.finite.menus import deterministic_menu
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.menu import PrescriptionMenu
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


def drawn(history: Any, entries: int) -> int:
    """An entry that differs between histories without a pattern."""
    return int.from_bytes(seed_of(history), "little") % entries


def seed_of(history: Any) -> bytes:
    return hashlib.sha256(repr(history).encode()).digest()[:4]


def as_cut(definition: str, seen: tuple[Any, ...]) -> Any:
    """The common history z_0 .. z_t as ``team_by_force.cut`` writes it."""
    if definition == "none-memory":
        return len(seen) - 1
    if definition == "control-memory":
        return tuple(z[:2] for z in seen[1:])
    if definition == "delayed":
        return tuple(z[2:4] for z in seen[1:]), tuple(z[:2] for z in seen[2:])
    return tuple((z[2:4], z[:2]) for z in seen[1:])


LOCAL_IS_LAST_OBSERVATION = [
    ("full", 0, "full-sharing", {}),
    ("delayed", 1, "delayed-sharing", {"delay_steps": 1}),
    ("control-memory", 0, "control-sharing", {"memory_steps": 0}),
    ("none-memory", 0, "no-sharing", {"memory_steps": 0}),
]


@pytest.mark.parametrize(("definition", "number", "name", "parameters"), LOCAL_IS_LAST_OBSERVATION)
def test_a_rule_that_depends_on_everything_common_has_the_value_of_every_path(
    definition: str, number: int, name: str, parameters: dict[str, Any]
) -> None:
    tiny = team(59)
    menu = deterministic_menu("all", [["x0", "x1"]] * 2, [2, 2])
    table = menu.table()

    def play(common: Any, private: Any, k: int) -> NDArray[np.float64]:
        observed = private[0] if private else ()
        local = observed[-1] if definition != "control-memory" and observed else (private[-1] if private else 0)
        return np.eye(2)[table[drawn(common, len(table)), k, int(local) if np.isscalar(local) else 0]]

    expected = by_force(tiny, definition, number, play, 3)
    values = values_of(tiny, structure_by_name(name, parameters), menu, 3, 1.0)
    rule = HistoryRule(lambda seen: drawn(as_cut(definition, seen), len(table)))
    assert values.exact(rule) == pytest.approx(expected, abs=1e-10)
    # Negative control: another rule is worth something else.
    other = HistoryRule(lambda seen: drawn(("other", seen), len(table)))
    assert values.exact(other) != pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("definition", "number", "name", "parameters"), STRUCTURES)
def test_sampling_common_histories_agrees_with_following_all(
    definition: str, number: int, name: str, parameters: dict[str, Any]
) -> None:
    tiny = team(59)
    structure = structure_by_name(name, parameters)
    family = gibbs(tiny, structure)
    width = family.space.columns

    def theta_of(seen: tuple[Any, ...]) -> NDArray[np.float64]:
        return np.random.default_rng(int.from_bytes(seed_of(seen), "little")).uniform(-4.0, 4.0, width)

    values = values_of(tiny, structure, family, 3, 0.9)
    exact = values.exact(HistoryRule(theta_of))
    assert exact is not None
    found = values.sampled(HistoryRule(theta_of), 300, Stream("test", SEED))
    assert abs(found.value - exact) <= 4.0 * found.stderr + 1e-9
    task = replace(
        TASKS["dec-tiger"],
        structure=structure,
        make=lambda parameters, copies: FiniteEnvironment(model_of(tiny), parameters, copies),
    )
    plain = monte_carlo(
        task,
        FiniteParameters(horizon=3),
        family,
        0.9,
        HistoryRule(theta_of),
        3000,
        Stream("test/environment", SEED),
        Stream("test/agents", SEED),
    )
    assert abs(plain.value - exact) <= 4.0 * plain.stderr
    assert found.stderr * 300**0.5 < 0.9 * plain.stderr * 3000**0.5


@pytest.mark.parametrize("name", ["control-sharing", "no-sharing"])
def test_the_best_rule_of_all_has_the_planners_optimum(name: str) -> None:
    tiny = team(59)
    menu = deterministic_menu("all", [["x0", "x1"]] * 2, [2, 2])
    values = values_of(tiny, structure_by_name(name, {"memory_steps": 0}), menu, 2, 1.0)
    best = -np.inf
    for first in range(0, len(menu.entries)):
        # What is played after one common history does not change what another one is worth.
        table: dict[tuple[Any, ...], int] = {}
        seen_at_1: set[tuple[Any, ...]] = set()

        def theta_of(seen: tuple[Any, ...], first: int = first, table: Any = table, met: Any = seen_at_1) -> int:
            if len(seen) == 1:
                return first
            met.add(seen)
            return int(table.get(seen, 0))

        def value(theta_of: Any = theta_of) -> float:
            found = values.exact(HistoryRule(theta_of))
            assert found is not None
            return found

        value()
        for seen in sorted(seen_at_1):
            worth = []
            for entry in range(len(menu.entries)):
                table[seen] = entry
                worth.append(value())
            table[seen] = int(np.argmax(worth))
        best = max(best, value())
    sharing = Sharing.from_record(name, {"memory_steps": 0})
    plan = plan_team(model_of(tiny), sharing, horizon=2, discount=1.0, limits=UNLIMITED)
    assert plan.lower - 1e-8 <= best <= plan.upper + 1e-8


def test_constant_and_random_coordinators_against_every_path() -> None:
    tiny = team(59)
    menu = deterministic_menu("all", [["x0", "x1"]] * 2, [2, 2])
    table = menu.table()
    values = values_of(tiny, structure_by_name("control-sharing", {"memory_steps": 0}), menu, 3, 1.0)

    def constant(entry: int) -> float:
        return by_force(
            tiny,
            "control-memory",
            0,
            lambda common, private, k: np.eye(2)[table[entry, k, private[-1] if private else 0]],
            3,
        )

    every = [constant(entry) for entry in range(len(table))]
    np.testing.assert_allclose(values.constant(np.arange(len(table))), every, atol=1e-10)
    found = best_constant(values, menu)
    assert found is not None
    assert found.value == pytest.approx(max(every), abs=1e-10)
    assert found.theta == found.entry == int(np.argmax(every))
    assert max(every) - min(every) > 0.1
    uniform = by_force(tiny, "none", 0, lambda common, private, k: np.array([0.5, 0.5]), 3)
    assert random_coordinator(values, menu) == pytest.approx(uniform, abs=1e-10)
    logits = values_of(
        tiny, structure_by_name("control-sharing", {}), gibbs(tiny, structure_by_name("control-sharing")), 3, 1.0
    )
    assert random_coordinator(logits, gibbs(tiny, structure_by_name("control-sharing"))) == pytest.approx(uniform, abs=1e-10)
    # Logits of 5 leave a wrong action a chance of e^-10.
    corner = best_constant(logits, gibbs(tiny, structure_by_name("control-sharing")))
    assert corner is not None
    assert corner.entry is None
    assert corner.value == pytest.approx(max(every), abs=1e-2)


def test_a_restricted_menu_has_a_random_coordinator_of_its_own() -> None:
    # Both agents act alike in each entry, which independent draws would not.
    tiny = team(59)
    menu = PrescriptionMenu("alike", ("both 0", "both 1"), (((0, 0), (0, 0)), ((1, 1), (1, 1))))
    values = values_of(tiny, structure_by_name("no-sharing"), menu, 1, 1.0)
    alike = float(tiny.start @ (0.5 * tiny.reward[0] + 0.5 * tiny.reward[3]))
    assert random_coordinator(values, menu) == pytest.approx(alike, abs=1e-12)
    assert alike != pytest.approx(float(tiny.start @ tiny.reward.mean(axis=0)), abs=1e-3)


def test_listening_for_ever_is_worth_what_it_costs() -> None:
    # Dec-Tiger: every decision to listen costs 2, so that 20 is lost without end at a discount of 0.9.
    task = TASKS["dec-tiger"]
    assert task.finite_model is not None
    model, menu = task.finite_model(), task.menus["all"]
    listen = model.actions[0].index("listen")
    entry = menu.actions.index(((listen,) * 2,) * 2)
    spec = task.make(FiniteParameters(), 1).spec
    values = RuleValues(LawOfTeam(model, spec, task.structure, menu), 0.9, 0)
    found = values.estimate(HistoryRule(lambda seen: entry), 2, Stream("test", SEED))
    assert found.stderr == 0.0
    assert found.value == pytest.approx(-20.0, abs=1e-2)


@pytest.mark.parametrize(("definition", "number", "name", "parameters"), STRUCTURES)
def test_steps_that_a_structure_treats_alike_may_share_their_tables(
    definition: str, number: int, name: str, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = team(59)
    structure = structure_by_name(name, parameters)
    family = gibbs(tiny, structure)
    tables = np.random.default_rng(4).uniform(-3.0, 3.0, (7, family.space.columns))
    horizon = 7 if definition != "full" else 5

    def value() -> Estimate:
        rule = HistoryRule(lambda seen: tables[len(seen) - 1])
        return values_of(tiny, structure, family, horizon, 0.9).sampled(rule, 40, Stream("test", SEED))

    alike = value()
    monkeypatch.setattr(type(structure), "recurring_step", lambda self, step: step)
    apart = value()
    assert alike == pytest.approx(apart, abs=1e-10)
    # Negative control: steps that differ must not be taken for one.
    if name == "periodic-sharing":
        monkeypatch.setattr(type(structure), "recurring_step", lambda self, step: min(step, 2))
        assert value() != pytest.approx(apart, abs=1e-6)


def test_fewer_trajectories_are_sampled_where_each_is_much_work(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = team(59)
    structure = structure_by_name("delayed-sharing", {})
    family = gibbs(tiny, structure)

    def value() -> Estimate:
        rule = HistoryRule(lambda seen: np.full(family.space.columns, 0.5 * (len(seen) % 3)))
        return values_of(tiny, structure, family, 4, 0.9).sampled(rule, 2000, Stream("test", SEED))

    enough = value()
    monkeypatch.setattr(rule_value, "_WORK", 1)
    few = value()
    assert 4.0 * enough.stderr < few.stderr
    assert abs(few.value - enough.value) <= 4.0 * few.stderr
