"""The environment of D.2, mean-field sharing, and the families of prescriptions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.errors import ConfigError, InvariantError, ProtocolError, UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.conformance import check_task
from dadc_net.team.demand_response import (
    DETERMINISTIC,
    FORCE_OFF,
    FORCE_ON,
    NOTHING,
    DemandResponse,
    DemandResponseParameters,
)
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.families import family_from_plain
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.opportunity import OpportunityFamily
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings
from dadc_net.team.spaces import FiniteSpace, space_from_plain
from dadc_net.team.structures.by_name import structure_by_name
from dadc_net.team.structures.own_memory import MeanFieldSharing
from dadc_net.team.structures.structure import JointStep
from dadc_net.team.tasks import TASKS

BEGIN, GO = np.ones(1, dtype=np.bool_), np.zeros(1, dtype=np.bool_)


def started(agents: int, on: int) -> DemandResponse:
    """One copy, of which the first ``on`` loads are on."""
    environment = DemandResponse(DemandResponseParameters(agents=agents), 1)
    environment.restore({"states": (np.arange(agents) < on).astype(np.int64)[None]})
    return environment


def test_the_task_conforms() -> None:
    assert check_task(TASKS["demand-response"], DemandResponseParameters(agents=7)) == []


def test_the_reward_is_of_the_state_before_the_loads_move() -> None:
    environment = started(10, 4)
    action = np.array([[FORCE_OFF, FORCE_ON, FORCE_ON] + [NOTHING] * 7])
    divergence = 0.6 * math.log(0.6 / 0.7) + 0.4 * math.log(0.4 / 0.3)
    for draw in (0.0, 0.999):
        found = environment.advance(action, GO, np.full((1, 10), draw)).rewards[0]
        assert found == pytest.approx(-((0.1 + 2 * 0.2) / 10 + divergence), abs=1e-8)
        environment = started(10, 4)


@pytest.mark.parametrize(("on", "expected"), [(0, math.log(1 / 0.7)), (10, math.log(1 / 0.3))])
def test_zero_times_log_zero_is_zero(on: int, expected: float) -> None:
    assert DemandResponseParameters(agents=10).divergences()[on] == pytest.approx(expected, abs=1e-8)


def test_loads_move_as_the_paper_says() -> None:
    """Equations (10) to (12), from many loads of each state under each action."""
    agents = 30_000
    environment = started(agents, agents // 2)
    states = (np.arange(agents) < agents // 2).astype(np.int64)
    action = (np.arange(agents) % 3)[None]
    draws = Stream("loads", seed_bytes(1)).uniforms(0, 1, agents)
    after = environment.advance(action, GO, draws).observations[0, :, 0]
    natural = {0: 0.75, 1: 0.625}
    for state in (0, 1):
        expected = {NOTHING: natural[state], FORCE_OFF: 0.2 * natural[state], FORCE_ON: 0.8 + 0.2 * natural[state]}
        for choice, probability in expected.items():
            share = after[(states == state) & (action[0] == choice)].mean()
            assert abs(share - probability) < 0.02


def test_a_begin_draws_from_the_initial_distribution_and_copies_are_independent() -> None:
    parameters = DemandResponseParameters(agents=30_000)
    draws = Stream("loads", seed_bytes(2)).uniforms(0, 2, 30_000)
    both = DemandResponse(parameters, 2).advance(np.ones((2, 30_000), dtype=np.int64), np.array([True, True]), draws)
    assert np.abs(both.observations.mean(axis=(1, 2)) - 2 / 3).max() < 0.01
    assert both.rewards.tolist() == [0.0, 0.0]
    second = DemandResponse(parameters, 1).advance(np.ones((1, 30_000), dtype=np.int64), BEGIN, draws[1:])
    assert np.array_equal(second.observations[0], both.observations[1])


@pytest.mark.parametrize(
    "key",
    ["agents", "natural_on_probabilities", "off_slip", "on_slip", "off_cost", "on_cost", "target_on_share", "restart_steps"],
)
def test_parameters_out_of_range_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"env\.{key}"):
        DemandResponseParameters(**{key: (2.0, 0.5) if key == "natural_on_probabilities" else -1})


def _spec(agents: int, observations: FiniteSpace) -> EnvironmentSpec:
    own = equal_agents(agents, observations, FiniteSpace((2,)))
    return EnvironmentSpec(name="test", agents=own, public_space=FiniteSpace((1,)), draws_per_step=1)


def test_the_mean_field_counts_and_is_ordered() -> None:
    structure = structure_by_name("mean-field-sharing")
    seen = np.array([[0, 1, 1, 0, 1], [0, 0, 0, 0, 1]])
    step = JointStep(seen, np.zeros((2, 1), dtype=np.int64), np.zeros((2, 5), dtype=np.int64), np.array([False, False]))
    assert structure.common([step], np.ones(2, dtype=np.int64)).tolist() == [[3], [1]]
    space = structure.common_space(_spec(5, FiniteSpace((2,))))
    assert isinstance(space, FiniteSpace)
    assert space == FiniteSpace((6,), ordered=True)
    assert space.features(np.array([[0], [5], [3]])).tolist() == [[-1.0], [1.0], [pytest.approx(0.2)]]
    assert space_from_plain(space.to_plain()) == space
    assert space.index(np.array([[4]])).tolist() == [4]


def test_a_mean_field_of_three_states_counts_two() -> None:
    seen = np.array([[0, 2, 1, 2]])
    step = JointStep(seen, np.zeros((1, 1), dtype=np.int64), np.zeros((1, 4), dtype=np.int64), np.array([False]))
    assert MeanFieldSharing(3).common([step], np.ones(1, dtype=np.int64)).tolist() == [[1, 2]]
    with pytest.raises(UsageError, match=r"structure\.values is 2, but agent 1"):
        MeanFieldSharing().common_space(_spec(4, FiniteSpace((3,))))


# --- families -----------------------------------------------------------------------------------------------------

FAMILIES: list[tuple[PrescriptionFamily, NDArray[np.float64]]] = [
    (
        GibbsFamily(name="shared", tables=1, local_values=2, num_actions=3, bound=5.0),
        np.array([[0.0, 1.0, -1.0, 2.0, 2.0, 0.0], [5.0, -5.0, 0.0, 0.5, 0.0, 0.0]]),
    ),
    (
        GibbsFamily(name="each", tables=2, local_values=2, num_actions=2, bound=5.0),
        np.array([[0.0, 1.0, -1.0, 2.0, 2.0, 0.0, 0.3, 0.2]]),
    ),
    (OpportunityFamily("opportunity", 2), np.array([[0.0, 1.0], [0.25, 0.6]])),
]


@pytest.mark.parametrize(("family", "theta"), FAMILIES)
def test_families_draw_what_their_probabilities_say(family: PrescriptionFamily, theta: NDArray[np.float64]) -> None:
    probabilities = family.probabilities(theta)
    tables, values, actions = family.shape
    assert probabilities.shape == (len(theta), tables, values, actions)
    assert np.allclose(probabilities.sum(axis=3), 1.0)
    words = Stream("draws", seed_bytes(1)).words(0, 40_000, 2)
    for row in range(len(theta)):
        for local in range(values):
            many = np.tile(theta[row], (40_000, 1))
            drawn = family.draw(many, np.array([1, 2]), np.full((40_000, 2), local), words)
            for agent in (0, 1):
                shares = np.bincount(drawn[:, agent], minlength=actions) / 40_000
                assert np.abs(shares - probabilities[row, min(agent, tables - 1), local]).max() < 0.012


@pytest.mark.parametrize(("tables", "own_actions"), [(1, ()), (4, ()), (4, (3, 2, 3, 1))])
@pytest.mark.parametrize("agents", [(1,), (4,), (2, 3), (1, 2, 3, 4)])
def test_few_agents_draw_from_logits_what_they_would_from_the_tables(
    agents: tuple[int, ...], tables: int, own_actions: tuple[int, ...]
) -> None:
    family = GibbsFamily(name="g", tables=tables, local_values=2, num_actions=3, bound=8.0, own_actions=own_actions)
    rng = np.random.Generator(np.random.Philox(3))
    theta = rng.uniform(-8.0, 8.0, (500, tables * 6))
    theta[0] = 0.0
    local = rng.integers(0, 2, (500, len(agents)))
    words = rng.integers(0, 2**64, (500, len(agents)), dtype=np.uint64)
    asked = theta, np.array(agents), local, words
    assert np.array_equal(family.draw(*asked), PrescriptionFamily.draw(family, *asked))


def test_a_family_with_weights_of_its_own_is_drawn_from_by_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrescriptionFamily, "kinds", dict(PrescriptionFamily.kinds))

    class Inverted(GibbsFamily):
        kind = "test-inverted"

        def weights(self, theta: NDArray[np.float64]) -> NDArray[np.int64]:
            return super().weights(-theta)

    family = Inverted(name="i", tables=1, local_values=2, num_actions=2, bound=8.0)
    words = np.array([[2**63]], dtype=np.uint64)
    drawn = family.draw(np.array([[8.0, -8.0, 0.0, 0.0]]), np.array([1]), np.zeros((1, 1), dtype=np.int64), words)
    assert drawn.tolist() == [[1]]


def test_gibbs_is_a_softmax() -> None:
    family, theta = FAMILIES[0]
    weights = np.exp(theta.reshape(2, 1, 2, 3))
    assert np.allclose(family.probabilities(theta), weights / weights.sum(axis=3, keepdims=True), atol=1e-8)


def test_opportunity_leaves_an_agent_without_a_packet_silent_and_has_the_menu_at_its_corners() -> None:
    family = OpportunityFamily("opportunity", 2)
    corners = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    menu = TASKS["mabc"].menus["all"]
    assert np.array_equal(family.probabilities(corners), menu.probabilities(np.arange(4)))


def test_a_random_family_needs_words_and_a_menu_does_not() -> None:
    family, theta = FAMILIES[0]
    with pytest.raises(InvariantError, match="random words"):
        family.draw(theta, np.array([1]), np.zeros((2, 1), dtype=np.int64))
    assert DETERMINISTIC.draw(np.array([5]), np.array([1, 99]), np.array([[0, 1]])).tolist() == [[FORCE_OFF, FORCE_ON]]
    assert (DETERMINISTIC.is_random, family.is_random) == (False, True)


def test_families_cross_the_wire() -> None:
    for family in [*(family for family, _ in FAMILIES), DETERMINISTIC, TASKS["mabc"].menus["paper"]]:
        assert family_from_plain(family.to_plain()) == family
    for record in ({"kind": "gibbs", "name": "x"}, {"kind": "menu"}, {"kind": "opportunity"}):
        with pytest.raises(ProtocolError, match=r"family|menu"):
            family_from_plain(record)
    for record in ({}, {"kind": "oracle"}):
        with pytest.raises(UsageError, match="only from its own --family"):
            family_from_plain(record)


def test_the_box_has_the_bound_of_the_settings() -> None:
    task = TASKS["demand-response"]
    spec = task.make(DemandResponseParameters(agents=3), 1).spec
    for name, size in (("randomised", 6), ("one-each", 18)):
        space = task.family(name, "", spec, ThetaSettings(bound=4.0)).space
        assert space.to_plain() == {"kind": "box", "low": [-4.0] * size, "high": [4.0] * size}
