"""The models of the package against what is published of them: optima without sharing, by an enumeration of its own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.shipped import SHIPPED

Floats = NDArray[np.float64]


class Enumeration:
    """Every rule of agent 1 (a map from its observation histories to actions) against agent 2's best answer to each.

    Axis letters: P rules, H histories of agent 1, S states.
    """

    def __init__(self, model: FiniteModel, horizon: int) -> None:
        self._horizon = horizon
        self._actions, self._seen = model.joint_actions.sizes, model.joint_observations.sizes
        shape = (*self._actions, model.num_states)
        self._moves = np.stack([table.dense() for table in model.transitions]).reshape(*shape, -1)
        observed = np.stack([table.dense() for table in model.observation_probabilities])
        self._observed = observed.reshape(*shape, *self._seen)
        self._rewards = model.expected_rewards.reshape(shape)
        self._start = model.start
        histories = sum(self._seen[0] ** t for t in range(horizon))
        self._rules = np.array(list(itertools.product(range(self._actions[0]), repeat=histories)))

    def value(self) -> float:
        """The optimum of rules without sharing."""
        weights = np.broadcast_to(self._start, (len(self._rules), 1, len(self._start)))
        return float(self._answer(0, weights).max())

    def _answer(self, t: int, weights: Floats) -> Floats:
        """[P] best value from time t on, of weights P(h, s, agent 2's history) [P, H, S]."""
        first = sum(self._seen[0] ** u for u in range(t))
        chosen = self._rules[:, first : first + weights.shape[1]]
        values = []
        for own in range(self._actions[1]):
            value = (weights * self._rewards[chosen, own]).sum(axis=(1, 2))
            if t + 1 < self._horizon:
                after = np.einsum("phs,phst->pht", weights, self._moves[chosen, own])
                for seen in range(self._seen[1]):
                    spread = after[..., None] * self._observed[chosen, own][..., seen]
                    value = value + self._answer(t + 1, spread.swapaxes(2, 3).reshape(len(after), -1, after.shape[2]))
            values.append(value)
        return np.max(values, axis=0)


@pytest.mark.parametrize(
    ("name", "horizon", "optimum"),
    [
        ("dec-tiger", 2, -4.0),
        ("dec-tiger", 3, 5.190812),
        ("recycling", 2, 7.0),
        ("recycling", 3, 10.660125),
        ("broadcast-channel", 3, 2.99),
        ("meeting-grid", 2, 0.91),
    ],
)
def test_published_optima(name: str, horizon: int, optimum: float) -> None:
    assert Enumeration(SHIPPED[name](), horizon).value() == pytest.approx(optimum, abs=1e-6)


def test_the_enumeration_would_notice_another_problem() -> None:
    tiger = SHIPPED["dec-tiger"]()
    assert Enumeration(tiger, 1).value() == -2.0
    deaf = Enumeration(tiger, 3)
    deaf._observed = np.full_like(deaf._observed, 0.25)
    assert deaf.value() == pytest.approx(-6.0)


def test_box_pushing_states_are_told_as_in_the_field() -> None:
    box = SHIPPED["box-pushing"]()
    assert (box.num_states, box.num_joint_actions, box.num_joint_observations) == (100, 16, 25)
    assert box.states[int(np.argmax(box.start))] == "s1E4W"


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_sound_and_made_anew(name: str) -> None:
    model = SHIPPED[name]()
    assert model.name == name
    assert model.largest_row_error < 1e-12
    assert model == SHIPPED[name]()
