"""Section 5 and E.1 written down from the paper in plain NumPy: networks, losses, returns and derivatives.

Nothing here calls the code under test. Parameters are a mapping from tensor names to arrays, ``layer.weight`` [in, out].
One copy of the environment, the online system of the paper: B steps and the record that closes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Parameters = Mapping[str, Array]


class Experience(NamedTuple):
    """What every agent has seen of one batch."""

    inputs: Array
    """[B+1, I] code of z_t, then code of theta_{t-1}: what the AIS encoder is fed with"""
    observed: NDArray[np.int64]
    """[B+1] index of z_t"""
    thetas: NDArray[np.int64]
    """[B] theta_t, an entry of the menu"""
    rewards: Array
    """[B] R_t"""
    entries: int

    @property
    def codes(self) -> Array:
        """One-hot theta_t: [B, M]."""
        return np.asarray(np.eye(self.entries)[self.thetas])


def layer(p: Parameters, name: str, x: Array) -> Array:
    """Linear."""
    return np.asarray(x @ p[f"{name}.weight"] + p[f"{name}.bias"])


def head(p: Parameters, name: str, x: Array) -> Array:
    """Linear with tanh, then linear."""
    return layer(p, f"{name}output", np.tanh(layer(p, f"{name}hidden", x)))


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def smooth_l1(error: Array) -> Array:
    """e^2 / 2 within one of zero, |e| - 1/2 outside."""
    return np.where(np.abs(error) < 1.0, 0.5 * error * error, np.abs(error) - 0.5)


def encode(p: Parameters, inputs: Array) -> Array:
    """E.1 (i): linear layer with tanh, then a GRU, from x = 0: [B+1, I] -> x_t [B+1, X]."""
    x = np.zeros(p["encoder.recurrent.weight"].shape[0])
    states = []
    for row in inputs:
        given = np.split(layer(p, "encoder.gates", np.tanh(layer(p, "encoder.input", row))), 3)
        remembered = np.split(layer(p, "encoder.recurrent", x), 3)
        reset, update = (1.0 / (1.0 + np.exp(-(given[gate] + remembered[gate]))) for gate in (0, 1))
        candidate = np.tanh(given[2] + reset * remembered[2])
        x = (1.0 - update) * candidate + update * x
        states.append(x)
    return np.array(states)


def reward_terms(p: Parameters, seen: Experience) -> Array:
    """(P1) smoothL1(R^_t - R_t) of each t: L_R is their mean."""
    known = np.concatenate((encode(p, seen.inputs)[:-1], seen.codes), axis=1)
    return smooth_l1(head(p, "reward.", known)[:, 0] - seen.rewards)


def next_ais_terms(p: Parameters, seen: Experience) -> Array:
    """(P2) -log nu_{t+1}(x_{t+1}) of each t, up to a constant: nu is a Gaussian with identity covariance."""
    states = encode(p, seen.inputs)
    means = head(p, "transition.", np.concatenate((states[:-1], seen.codes), axis=1))
    return np.asarray(0.5 * ((states[1:] - means) ** 2).sum(axis=1))


def next_observation_terms(p: Parameters, seen: Experience) -> Array:
    """(P2b) -log nu^(z_{t+1}) of each t."""
    known = np.concatenate((encode(p, seen.inputs)[:-1], seen.codes), axis=1)
    chances = softmax(head(p, "transition.", known))
    return np.asarray(-np.log(chances[np.arange(len(chances)), seen.observed[1:]]))


def q_values(p: Parameters, states: Array, entries: int) -> Array:
    """Q(x, theta) of every theta: [n, X] -> [n, M]."""
    columns = []
    for code in np.eye(entries):
        columns.append(head(p, "", np.concatenate((states, np.tile(code, (len(states), 1))), axis=1))[:, 0])
    return np.stack(columns, axis=1)


def psi(p: Parameters, states: Array) -> Array:
    """The coordinator's policy: [n, X] -> [n, M]."""
    return softmax(layer(p, "logits", np.tanh(layer(p, "hidden", states))))


def lambda_returns(rewards: Array, following: Array, discount: float, decay: float) -> Array:
    """TD(lambda) in its forward view (Sutton and Barto): a mixture of n-step returns, cut where the batch ends.

    ``following`` [B]: what is put for Q at step t + 1. lambda = 0 is the target that is printed below equation (5).
    """
    count = len(rewards)
    goals = np.zeros(count)
    for t in range(count):
        returns = [
            sum(discount**i * rewards[t + i] for i in range(n)) + discount**n * following[t + n - 1]
            for n in range(1, count - t + 1)
        ]
        weights = [(1.0 - decay) * decay ** (n - 1) for n in range(1, count - t)] + [decay ** (count - t - 1)]
        goals[t] = sum(weight * found for weight, found in zip(weights, returns, strict=True))
    return goals


def slopes(function: Callable[[Parameters], float], p: Parameters, step: float = 1e-5) -> dict[str, Array]:
    """The derivative of ``function`` by each number in ``p``: central differences."""
    found = {}
    for name, array in p.items():
        slope = np.zeros(array.size)
        for place in range(array.size):
            ends = []
            for sign in (1.0, -1.0):
                moved = array.copy()
                moved.reshape(-1)[place] += sign * step
                ends.append(function({**p, name: moved}))
            slope[place] = (ends[0] - ends[1]) / (2.0 * step)
        found[name] = slope.reshape(array.shape)
    return found
