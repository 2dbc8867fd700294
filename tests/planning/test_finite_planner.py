"""The general planner's parts: prescriptions in order, bounds under limits, the policy in words, and the paper's problem."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from dadc_net.errors import UsageError
from dadc_net.planning import multi_access_broadcast
from dadc_net.planning.finite import tightening
from dadc_net.planning.finite.foresight import Foresight
from dadc_net.planning.finite.last_two import LastTwo
from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.planning.finite.policy_words import describe_plan
from dadc_net.planning.finite.prescription_search import PrescriptionSearch
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBelief
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.paper import broadcast_model
from dadc_net.team.finite.models.shipped import SHIPPED
from dadc_net.team.finite.sparse_rows import SparseRows
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcastParameters
from tests.planning.looks import LateAfter


def limits(gap: float = 1e-9, memory: int = 1 << 30, late: bool = False) -> Limits:
    return Limits(gap=gap, memory_bytes=memory, is_late=lambda: late)


@pytest.mark.parametrize("agents", [1, 2, 3])
def test_prescriptions_come_in_falling_order_and_none_is_missing(agents: int) -> None:
    rng = np.random.default_rng(agents)
    for _ in range(12):
        actions = tuple(int(a) for a in rng.integers(1, 4, size=agents))
        memories = np.array(
            list(itertools.product(*(range(n) for n in rng.integers(1, 4 if agents < 3 else 3, size=agents))))
        )
        kept = rng.random(len(memories)) < 0.8
        kept[0] = True
        memories = memories[kept]
        table = rng.normal(size=(len(memories), int(np.prod(actions))))
        rows, own = np.arange(len(memories)), [np.unique(memories[:, k]) for k in range(agents)]
        expected = []
        for chosen in itertools.product(*(itertools.product(range(actions[k]), repeat=len(own[k])) for k in range(agents))):
            played = [np.array(chosen[k])[np.searchsorted(own[k], memories[:, k])] for k in range(agents)]
            expected.append(float(table[rows, np.ravel_multi_index(played, actions)].sum()))
        search, values, seen = PrescriptionSearch(memories, table, actions), [], set()
        while (promise := search.pop()) is not None:
            joint = np.ravel_multi_index(promise.actions.T, actions)
            assert promise.value == pytest.approx(float(table[rows, joint].sum()), abs=1e-9)
            values.append(promise.value)
            seen.add(promise.actions.tobytes())
            assert search.bound <= promise.value + 1e-9
        assert len(seen) == len(expected)
        np.testing.assert_allclose(values, sorted(expected, reverse=True), atol=1e-9)


def test_a_search_stops_above_a_threshold_with_a_bound_that_holds() -> None:
    table = np.random.default_rng(0).normal(size=(9, 9))
    memories = np.array(list(itertools.product(range(3), range(3))))
    best = PrescriptionSearch(memories, table, (3, 3)).pop()
    assert best is not None
    search = PrescriptionSearch(memories, table, (3, 3))
    assert search.pop(above=best.value + 1.0) is None
    assert search.bound >= best.value


@pytest.mark.parametrize("agents", [2, 3])
def test_a_search_that_goes_wide_says_how_much_it_holds_and_can_be_stopped_for_it(agents: int) -> None:
    """Also in the middle of looking for one prescription; what it says is what Python's allocator says, but for a part."""
    own = 48 if agents == 2 else 9
    memories = np.array(list(itertools.product(range(own), repeat=agents)))
    table = np.random.default_rng(1).normal(size=(len(memories), 2**agents))
    told = [0]

    def hold(change: int) -> None:
        told[0] += change

    tracemalloc.start()
    try:
        search = PrescriptionSearch(memories, table, (2,) * agents, hold=hold)
        while search.pop(stop=lambda: told[0] > 6 * 2**20) is not None:
            pass
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert told[0] > 6 * 2**20
    assert 0.5 * told[0] < held < 1.5 * told[0]
    search.release()
    assert told[0] == 0


def test_a_bound_that_is_low_enough_is_not_made_tighter() -> None:
    rng = np.random.default_rng(5)
    memories = np.array(list(itertools.product(range(4), range(4))))
    table = rng.normal(size=(16, 9))
    tight = PrescriptionSearch(memories, table, (3, 3)).bound
    loose = PrescriptionSearch(memories, table, (3, 3), enough=np.inf).bound
    between = PrescriptionSearch(memories, table, (3, 3), enough=0.5 * (tight + loose)).bound
    best = PrescriptionSearch(memories, table, (3, 3)).pop()
    assert best is not None
    assert best.value <= tight + 1e-9
    assert tight <= between <= 0.5 * (tight + loose) < loose


def test_tightening_keeps_all_values_and_lowers_the_bound() -> None:
    def bound(table: np.ndarray) -> float:
        return float(table.max(axis=1).sum(axis=0).max(axis=1).sum())

    gain = np.random.default_rng(1).normal(size=(4, 3, 5, 2))
    by_numpy, by_fastest = gain.copy(), gain.copy()
    tightening.tighten_numpy(by_numpy, 6)
    tightening.tighten(by_fastest, 6)
    np.testing.assert_allclose(by_numpy, by_fastest, atol=1e-12)
    assert bound(by_numpy) < bound(gain) - 0.1
    for own in itertools.product(range(3), repeat=4):
        rows = np.arange(4)
        np.testing.assert_allclose(
            by_numpy[rows, own].sum(axis=0).max(axis=1).sum(), gain[rows, own].sum(axis=0).max(axis=1).sum(), atol=1e-9
        )


def test_multi_access_broadcast_is_worth_what_its_own_planner_says_and_what_signals_are_worth() -> None:
    parameters = MultiAccessBroadcastParameters()
    own = multi_access_broadcast.build_model(parameters, "all")
    value = np.zeros(len(own.reward))
    sharing = Sharing.from_record("control-sharing", {"memory_steps": 0})
    more = []
    for horizon in range(1, 6):
        value = (own.reward + 0.9 * own.expected(value)).max(axis=1)
        plan = plan_team(broadcast_model(parameters), sharing, horizon=horizon, discount=0.9, limits=limits())
        more.append(plan.lower - float(value[own.start]))
        assert plan.upper - plan.lower < 1e-8
    # In the task a device acts only if it has a packet. As a finite model it may act without one, at no cost, and thereby
    # tell the other; the first two decisions come too early for that. The task's planner rounds beliefs to five digits.
    assert max(map(abs, more[:2])) < 1e-4
    assert min(more) > -1e-4
    assert max(more) > 0.01


def tiger(horizon: int | None, sharing: Sharing, chosen: Limits, discount: float = 1.0) -> TeamPlan:
    return plan_team(SHIPPED["dec-tiger"](), sharing, horizon=horizon, discount=discount, limits=chosen)


@pytest.mark.parametrize("looks", [0, 1, 10, 60])
def test_bounds_hold_whenever_time_is_up(looks: int) -> None:
    chosen = Limits(gap=1e-9, memory_bytes=1 << 30, is_late=LateAfter(looks))
    plan = tiger(5, Sharing.from_record("no-sharing"), chosen)
    assert plan.stopped == "time"
    assert plan.lower - 1e-9 <= 7.026451 <= plan.upper + 1e-9
    assert plan.upper - plan.lower > 1e-3


@pytest.mark.parametrize("looks", [0, 1, 10, 300, 700])
@pytest.mark.parametrize(
    ("name", "parameters", "least", "most"),
    [
        ("full-sharing", {}, 59.817420, 59.817420),
        ("delayed-sharing", {"delay_steps": 2}, 18.338389, 18.338389),
        ("no-sharing", {}, 13.448553, 18.338389),
    ],
)
def test_bounds_without_end_hold_while_what_bounds_is_made(
    name: str, parameters: dict[str, int], least: float, most: float, looks: int
) -> None:
    chosen = Limits(gap=1e-9, memory_bytes=1 << 30, is_late=LateAfter(looks))
    plan = tiger(None, Sharing.from_record(name, parameters), chosen, 0.9)
    assert plan.stopped == "time"
    assert plan.lower - 2e-5 <= most
    assert plan.upper + 2e-5 >= least
    assert plan.upper - plan.lower > 1e-3


def test_bounds_hold_when_memory_is_used_up() -> None:
    small = plan_team(
        SHIPPED["box-pushing"](), Sharing.from_record("no-sharing"), horizon=5, discount=1.0, limits=limits(memory=1 << 19)
    )
    assert small.stopped == "memory"
    assert small.lower - 1e-6 <= 107.729851 <= small.upper
    # Without the limit it takes more than that.
    enough = plan_team(SHIPPED["box-pushing"](), Sharing.from_record("no-sharing"), horizon=5, discount=1.0, limits=limits())
    assert enough.stopped == "gap"
    assert enough.bytes_held > 1 << 19


@pytest.mark.parametrize(
    ("name", "horizon"),
    [
        ("no-sharing", 5),
        ("control-sharing", 5),
        ("delayed-sharing", 5),
        ("no-sharing", None),
        ("delayed-sharing", None),
        ("full-sharing", None),
        ("control-sharing", None),
    ],
)
@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_however_little_memory_there_is_bounds_come_out(name: str, horizon: int | None, memory: int) -> None:
    """Of a model with many joint beliefs, of which the least number is kept."""
    parameters = {"delay_steps": 2} if name == "delayed-sharing" else {}
    model = SHIPPED["fire-fighting"]()
    plan = plan_team(
        model,
        Sharing.from_record(name, parameters),
        horizon=horizon,
        discount=0.9,
        limits=Limits(gap=1e-9, memory_bytes=memory, is_late=LateAfter(2000)),
    )
    assert plan.stopped == "memory" or (plan.stopped == "time" and memory > 1)
    least, most = model.expected_rewards.min() * 10.0, model.expected_rewards.max() * 10.0
    assert least - 1e-9 <= plan.lower < plan.upper <= most + 1e-9
    assert describe_plan(plan).startswith("decision 1")


def test_the_arrays_of_a_look_and_tables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    whole = Foresight.look

    def look(self: Foresight, belief: TeamBelief, stages: list[int], enough: float) -> object:
        held.append(self.entries(len(belief.numbers), len(stages)))
        return whole(self, belief, stages, enough)

    monkeypatch.setattr(Foresight, "look", look)
    plan = tiger(7, Sharing.from_record("no-sharing"), limits(memory=1 << 28))
    assert plan.stopped == "gap"
    assert plan.bytes_held > 8 * max(held) > 1 << 20
    # Where they have no room, no look is so far.
    most, held[:] = max(held), []
    little = tiger(7, Sharing.from_record("no-sharing"), Limits(gap=1e-9, memory_bytes=1 << 22, is_late=LateAfter(20_000)))
    assert max(held, default=0) <= most // 4
    assert little.bytes_held < 1 << 23
    assert little.lower <= plan.upper
    assert little.upper >= plan.lower


def test_it_is_told_how_far_it_is_also_during_a_long_trial() -> None:
    told: list[tuple[float, float, int]] = []
    sharing = Sharing.from_record("no-sharing")
    plan_team(
        SHIPPED["dec-tiger"](),
        sharing,
        horizon=6,
        discount=1.0,
        limits=limits(),
        progress=lambda lower, upper, beliefs: told.append((lower, upper, beliefs)),
    )
    bounds = [(lower, upper) for lower, upper, _ in told]
    # Bounds only come nearer, and are told again while nothing but the number of beliefs changes.
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in itertools.pairwise(bounds))
    assert any(len({n for *bounds, n in told if tuple(bounds) == one}) > 1 for one in set(bounds))


def test_a_model_of_many_observations_is_no_table_too_large() -> None:
    many = 700
    rows = SparseRows.from_dense(np.eye(2))
    seen = SparseRows.from_entries([0, 1], [0, many * many - 1], [1.0, 1.0], (2, many * many))
    names = tuple(f"o{i}" for i in range(many))
    model = FiniteModel(
        name="many",
        states=("a", "b"),
        actions=(("x", "y"), ("x", "y")),
        observations=(names, names),
        start=np.array([0.5, 0.5]),
        transitions=(rows,) * 4,
        observation_probabilities=(seen,) * 4,
        rewards=(np.array([1.0, 0.0]), np.zeros(2), np.zeros(2), np.array([0.0, 1.0])),
        discount=0.9,
    )
    # The state is seen after one guess.
    for name, horizon, value in (("no-sharing", 2, 1.5), ("full-sharing", 2, 1.5), ("control-sharing", None, 9.5)):
        plan = plan_team(
            model,
            Sharing.from_record(name),
            horizon=horizon,
            discount=0.9 if horizon is None else 1.0,
            limits=Limits(gap=1e-6, memory_bytes=1 << 28, is_late=LateAfter(3000)),
        )
        assert plan.lower - 1e-6 <= value <= plan.upper + 1e-6


def test_a_gap_is_enough_when_it_is_asked_for() -> None:
    plan = tiger(5, Sharing.from_record("no-sharing"), limits(gap=2.0))
    assert plan.stopped == "gap"
    assert plan.lower <= 7.026451 <= plan.upper <= plan.lower + 2.0 + 1e-9


def test_merging_beliefs_is_part_of_the_bounds() -> None:
    plan = tiger(4, Sharing.from_record("delayed-sharing"), limits())
    assert 0.0 < plan.merging_error < 1e-9
    assert plan.upper - plan.lower >= 2.0 * plan.merging_error * 0.99


def test_the_policy_in_words() -> None:
    text = describe_plan(tiger(3, Sharing.from_record("delayed-sharing", {"delay_steps": 2}), limits()))
    both = (
        "listen after hear-left hear-right | hear-right hear-left, open-left after hear-right hear-right, "
        "open-right after hear-left hear-left"
    )
    assert text.splitlines() == [
        "decision 1 (100.0 %): agent 1 listen; agent 2 listen",
        "decision 2 (100.0 %): agent 1 listen; agent 2 listen",
        f"decision 3 (100.0 %): agent 1 {both}; agent 2 {both}",
    ]
    shared = describe_plan(tiger(3, Sharing.from_record("delayed-sharing"), limits()))
    assert "decision 3 (37.2 %): agent 1 open-left; agent 2 open-left" in shared


def test_the_last_two_decisions_as_one_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    together = tiger(4, Sharing.from_record("no-sharing"), limits())
    monkeypatch.setattr(LastTwo, "is_worth_it", lambda self, memories: False)
    apart = tiger(4, Sharing.from_record("no-sharing"), limits())
    assert together.lower == pytest.approx(apart.lower, abs=1e-9)
    # Fewer beliefs are looked at, and the policy can be said all the same.
    assert together.beliefs < apart.beliefs
    assert len(describe_plan(together).splitlines()) == len(describe_plan(apart).splitlines()) == 4
    assert "repeat" not in describe_plan(together)


def test_a_sum_without_end_needs_a_discount() -> None:
    with pytest.raises(UsageError, match=r"discount is 1\.0 and there is no horizon"):
        tiger(None, Sharing.from_record("full-sharing"), limits(), 1.0)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("delayd-sharing", {}, "delayed-sharing"),
        ("delayed-sharing", {"delay": 2}, "delay_steps"),
        ("delayed-sharing", {"delay_steps": 0}, "at least 1"),
        ("periodic-sharing", {"reading": "b"}, "'a'"),
        ("no-sharing", {"memory_steps": -1}, "at least 0"),
    ],
)
def test_wrong_structures_are_refused_in_words(name: str, parameters: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Sharing.from_record(name, parameters)


@pytest.mark.parametrize(
    ("name", "parameters", "looks", "least"),
    [
        ("no-sharing", {}, 40_000, 13.448553),
        ("control-sharing", {"memory_steps": 0}, 1500, 32.772269),
        ("delayed-sharing", {"delay_steps": 3}, 1500, 32.772269),
    ],
)
def test_what_is_worth_more_with_more_information_bounds_from_above(
    name: str, parameters: dict[str, int], looks: int, least: float
) -> None:
    # Under one-step delay the tiger is worth 32.772269 without end; everything shared, 59.8.
    # Policies to begin with are looked for first, which asks for the time often; then longer delays bound more tightly.
    late = Limits(gap=1e-4, memory_bytes=1 << 30, is_late=LateAfter(looks))
    plan = tiger(None, Sharing.from_record(name, parameters), late, 0.9)
    assert plan.stopped == "time"
    assert plan.lower < 32.772269
    assert least <= plan.upper + 1e-6 < 45.0
    # A structure that shares observations at once is not bounded by it.
    more = tiger(None, Sharing.from_record("periodic-sharing"), limits(gap=0.5), 0.9)
    assert more.lower > 49.0


@pytest.mark.parametrize(("horizon", "looks"), [(4, 26), (5, 80)])
def test_a_policy_is_told_to_its_end_also_when_time_is_up(horizon: int, looks: int) -> None:
    """Its last two decisions were found as one. A joint action repeated would be worth less than the bound."""
    limits = Limits(gap=1e-9, memory_bytes=1 << 30, is_late=LateAfter(looks))
    plan = plan_team(
        SHIPPED["dec-tiger"](), Sharing.from_record("no-sharing", {}), horizon=horizon, discount=1.0, limits=limits
    )
    assert plan.stopped == "time"
    assert plan.lower > 4.0
    assert "open-left after" in describe_plan(plan).splitlines()[-1]


def test_a_policy_that_begins_again_is_told_as_the_search_knows_it_that_found_it() -> None:
    """Without end the bound rests on one that another search found; always listening is worth -20."""
    found: list[float] = []
    limits = Limits(gap=1e-3, memory_bytes=1 << 30, is_late=lambda: bool(found))

    def progress(lower: float, _upper: float, _beliefs: int) -> None:
        if lower > 0.0:
            found.append(lower)

    plan = plan_team(
        *(SHIPPED["dec-tiger"](), Sharing.from_record("no-sharing", {})),
        horizon=None,
        discount=0.9,
        limits=limits,
        progress=progress,
    )
    assert plan.lower > 0.0
    assert "open-left after" in describe_plan(plan)
