"""The paper's problems as finite models: the same laws as their environments have."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest

from dadc_net.errors import ConfigError
from dadc_net.team.demand_response import DemandResponse, DemandResponseParameters
from dadc_net.team.finite.dpomdp.reader import read_dpomdp
from dadc_net.team.finite.dpomdp.writer import write_dpomdp
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.paper import broadcast_model, demand_response_model
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast, MultiAccessBroadcastParameters

NO, YES = np.zeros(1, dtype=np.bool_), np.ones(1, dtype=np.bool_)
LIKELY, RARE = 0.0, np.nextafter(1.0, 0.0)
"""Draws that make happen, and not happen, whatever is neither certain nor impossible."""


def law(model: FiniteModel, state: str, joint: tuple[int, ...]) -> dict[tuple[str, tuple[int, ...]], float]:
    """P(s', o | s, a) by name of s' and index of o."""
    a, s = int(model.joint_actions.index(np.array(joint))), model.states.index(state)
    found = {}
    for t, p in zip(*model.transitions[a].row(s), strict=True):
        for o, q in zip(*model.observation_probabilities[a].row(t), strict=True):
            found[model.states[t], tuple(model.joint_observations.values(o).tolist())] = float(p * q)
    return found


def reward(model: FiniteModel, state: str, joint: tuple[int, ...]) -> float:
    return float(model.expected_rewards[model.joint_actions.index(np.array(joint)), model.states.index(state)])


@pytest.mark.parametrize("busy_start", [0.0, 0.5, 1.0])
def test_broadcast_has_the_law_of_its_environment(busy_start: float) -> None:
    parameters = MultiAccessBroadcastParameters(
        stay_probabilities=(0.7, 0.55), success_reward=1.5, initial_busy_probability=busy_start
    )
    model, env = broadcast_model(parameters), MultiAccessBroadcast(parameters, 1)
    for one, two, busy, old, joint in itertools.product(
        (0, 1), (0, 1), (0, 1), (0, 1, 2), itertools.product((0, 1), repeat=2)
    ):
        state = f"b{one}{two}-{('idle', 'busy')[busy]}-{('idle', 'busy', 'blank')[old]}"
        becomes_busy = parameters.stay_probabilities[1] if busy else 1.0 - parameters.stay_probabilities[0]
        chances = (*parameters.arrival_probabilities, becomes_busy)
        expected: dict[tuple[str, tuple[int, ...]], float] = defaultdict(float)
        for happens in itertools.product((True, False), repeat=3):
            env.restore({"buffers": np.array([[one, two]]), "busy": np.array([busy])})
            outcome = env.advance(np.array([joint]), NO, np.where(happens, LIKELY, RARE)[None, :])
            assert outcome.rewards[0] == pytest.approx(reward(model, state, joint))
            b, c, symbol = outcome.observations[0, :, 0], env.state()["busy"][0], outcome.public[0, 0]
            name = f"b{b[0]}{b[1]}-{('idle', 'busy')[c]}-{('idle', 'busy', 'blank')[symbol]}"
            seen = tuple(int(3 * own + symbol) for own in b)
            expected[name, seen] += float(np.prod([p if h else 1.0 - p for p, h in zip(chances, happens, strict=True)]))
        assert law(model, state, joint) == pytest.approx({key: p for key, p in expected.items() if p > 0.0})
    begun = env.advance(np.zeros((1, 2), dtype=np.int64), YES, np.full((1, 3), LIKELY))
    starts = [name for name, p in zip(model.states, model.start, strict=True) if p > 0.0]
    assert {name.rsplit("-", 1)[1] for name in starts} == {("idle", "busy", "blank")[begun.public[0, 0]]}
    assert model.start @ [name.split("-")[1] == "busy" for name in model.states] == busy_start


def test_demand_response_has_the_law_of_its_environment() -> None:
    parameters = DemandResponseParameters(agents=2, off_slip=0.3)
    model, env = demand_response_model(parameters), DemandResponse(parameters, 1)
    for state, joint in itertools.product(itertools.product((0, 1), repeat=2), itertools.product(range(3), repeat=2)):
        chances = [parameters.on_probabilities()[own, action] for own, action in zip(state, joint, strict=True)]
        expected = {}
        for on in itertools.product((1, 0), repeat=2):
            env.restore({"states": np.array([state])})
            outcome = env.advance(np.array([joint]), NO, np.where(on, LIKELY, RARE)[None, :])
            assert outcome.rewards[0] == pytest.approx(reward(model, f"on{state[0]}{state[1]}", joint))
            assert outcome.observations[0, :, 0].tolist() == list(on)
            seen = tuple(3 * own + sum(on) for own in on)
            expected[f"on{on[0]}{on[1]}", seen] = float(
                np.prod([p if o else 1 - p for p, o in zip(chances, on, strict=True)])
            )
        assert law(model, f"on{state[0]}{state[1]}", joint) == pytest.approx(expected)


def test_the_decision_before_the_start_changes_nothing() -> None:
    parameters = DemandResponseParameters(agents=3)
    model = demand_response_model(parameters)
    first = [law(model, "before", joint) for joint in itertools.product(range(3), repeat=3)]
    assert all(one == first[0] for one in first)
    assert first[0]["on111", (7, 7, 7)] == pytest.approx(parameters.initial_on_probability**3)
    assert (model.expected_rewards[:, 0] == 0.0).all()
    assert model.start[0] == 1.0


def test_they_are_written_and_read_back() -> None:
    for model in (broadcast_model(), demand_response_model(DemandResponseParameters(agents=2))):
        assert read_dpomdp(write_dpomdp(model), f"{model.name}.dpomdp").model == model


def test_too_many_loads_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"env.agents is 6, which is out of range\. .*give 1 to 5"):
        demand_response_model(DemandResponseParameters(agents=6))
