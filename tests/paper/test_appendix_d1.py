"""Appendix D.1, multi-access broadcast: dynamics, rewards, observations, and every printed number."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.record import CommonLayout, ObservationLayout
from dadc_net.node.server.world import World
from dadc_net.runtime.problem import make_problem
from dadc_net.team.environment import Outcome
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.spaces import FiniteSpace
from tests.paper import broadcast
from tests.paper.broadcast import Joint, State

LATTICE = np.array(list(product((np.arange(20) + 0.5) / 20, repeat=3)))
"""Uniform numbers of which each printed probability, a multiple of 1/20, gets exactly its share."""
CASES = [(s, a) for s in product((0, 1), repeat=3) for a in product((0, 1), repeat=2) if a[0] <= s[0] and a[1] <= s[1]]
"""Every state with every action of devices that have what they send."""


def step(state: State, action: Joint) -> Outcome:
    """All that can happen, on 8,000 copies."""
    environment = MultiAccessBroadcast(MultiAccessBroadcastParameters(), len(LATTICE))
    environment.restore({"buffers": np.tile(state[:2], (8000, 1)), "busy": np.full(8000, state[2])})
    outcome = environment.advance(np.tile(action, (8000, 1)), np.zeros(8000, dtype=bool), LATTICE)
    after = np.concatenate((outcome.observations[:, :, 0], environment.state()["busy"][:, None]), axis=1)
    return outcome._replace(observations=after)


def law(outcome: Outcome) -> dict[State, Fraction]:
    """Shares of the copies in each next state."""
    states, counts = np.unique(outcome.observations, axis=0, return_counts=True)
    return {(s[0], s[1], s[2]): Fraction(int(n), 8000) for s, n in zip(states.tolist(), counts, strict=True)}


@pytest.mark.parametrize(("state", "action"), CASES)
def test_dynamics_reward_and_observation(state: State, action: Joint) -> None:
    """D.1: the buffer equation, the channel's matrix P, R_t, and the delayed observation, for every state and action.

    Deviation: the printed B_t - A_t (1 - A_t)(1 - S_t) has the device's own complement; the other device's is meant.
    """
    outcome = step(state, action)
    expected = {s: chance for s, chance in broadcast.moves(state, action).items() if chance > 0}
    assert law(outcome) == expected
    assert outcome.rewards == pytest.approx(float(broadcast.reward(action, state[2])), abs=1e-12)
    assert outcome.public.tolist() == [[broadcast.seen(action, state[2])[2]]] * 8000


def test_the_printed_buffer_equation_would_never_send_anything() -> None:
    """Deviation, its reason: A (1 - A) is 0 for A in {0, 1}, so that the printed buffer never empties; yet "the packet is
    removed from the buffer if only one device transmits and the channel is idle"."""
    assert all(a * (1 - a) == 0 for a in (0, 1))
    printed_next = {min(1 - 1 * (1 - 1) * (1 - 0) + w, 1) for w in (0, 1)}
    assert printed_next == {1}
    sent = law(step((1, 0, 0), (1, 0)))
    assert sum(chance for state, chance in sent.items() if state[0] == 0) == 1 - broadcast.ARRIVAL[0]
    kept = law(step((1, 0, 1), (1, 0))) | law(step((1, 1, 0), (1, 1)))
    assert all(state[0] == 1 for state in kept)


def test_one_is_transmit() -> None:
    """Deviation: the text codes "transmit and no transmit" as {0, 1}; R_t charges kappa for each 1, so 1 transmits."""
    assert step((1, 1, 1), (0, 0)).rewards[0] == 0.0
    assert step((1, 1, 1), (1, 1)).rewards[0] == pytest.approx(-2 * 0.4)
    assert step((1, 1, 0), (1, 0)).rewards[0] > 0.0


def test_every_printed_number() -> None:
    """D.1: n = 2, alpha_0 = alpha_1 = 0.75, arrivals 0.3 and 0.6, r = 1, kappa = 0.4; E.1: gamma = 0.9."""
    config = resolve("mabc")
    parameters = config.parameters
    assert config.settings.num_agents == 2
    assert parameters.stay_probabilities == (0.75, 0.75)
    assert parameters.arrival_probabilities == (0.3, 0.6)
    assert (parameters.success_reward, parameters.transmission_cost) == (1.0, 0.4)
    assert config.settings.discount == 0.9


@pytest.mark.parametrize(
    "slip", [{"stay_probabilities": (0.7, 0.75)}, {"arrival_probabilities": (0.6, 0.3)}, {"transmission_cost": 0.5}]
)
def test_another_number_is_noticed(slip: dict[str, object]) -> None:
    """The negative control of the tests above: one parameter changed, and law or reward is not that of D.1."""
    environment = MultiAccessBroadcast(MultiAccessBroadcastParameters(**slip), 8000)  # type: ignore[arg-type]
    environment.restore({"buffers": np.tile((1, 0), (8000, 1)), "busy": np.zeros(8000, dtype=np.int64)})
    outcome = environment.advance(np.tile((1, 0), (8000, 1)), np.zeros(8000, dtype=bool), LATTICE)
    after = np.concatenate((outcome.observations[:, :, 0], environment.state()["busy"][:, None]), axis=1)
    same_law = law(outcome._replace(observations=after)) == broadcast.moves((1, 0, 0), (1, 0))
    same_reward = abs(outcome.rewards[0] - float(broadcast.reward((1, 0), 0))) < 1e-12
    assert not (same_law and same_reward)


def test_a_run_starts_empty_and_idle_and_says_so() -> None:
    """Deviation: D.1 calls the initial distribution known and prints none; here buffers are empty and the channel idle."""
    world = World(make_problem(resolve("mabc", ["learner.num_envs=8", "learner.batch_steps=8"])), seed_bytes(3))
    first = world.first()
    assert CommonLayout(FiniteSpace((2, 2, 3)), 8).unpack(first.record).common.tolist() == [[0, 0, 0]] * 8
    assert all(not any(raw) for raw in first.observations)


def test_who_observes_what() -> None:
    """D.1: each agent observes its own buffer, and both observe both actions, one step delayed, and the channel's state if
    either transmits. In the records that leave the environment server, and in nothing else."""
    copies = 16
    problem = make_problem(resolve("mabc", [f"learner.num_envs={copies}", f"learner.batch_steps={copies}"]))
    world, rng = World(problem, seed_bytes(3)), np.random.Generator(np.random.Philox(2))
    entry = world.first()
    transmitted = 0
    for t in range(1, 40):
        state = problem.environment.state()
        buffers, busy = state["buffers"], state["busy"]
        action = rng.integers(2, size=(copies, 2)) * buffers
        entry = world.advance(action)
        common = CommonLayout(FiniteSpace((2, 2, 3)), copies).unpack(entry.record).common
        for copy in range(copies):
            a = (int(action[copy, 0]), int(action[copy, 1]))
            assert tuple(common[copy].tolist()) == broadcast.seen(a, int(busy[copy]))
            transmitted += any(a)
        after = problem.environment.state()["buffers"]
        for k in (0, 1):
            own = ObservationLayout(FiniteSpace((2,)), copies).read(entry.observations[k], t)[:, 0]
            assert own.tolist() == after[:, k].tolist()
    assert 100 < transmitted < 40 * copies - 100
