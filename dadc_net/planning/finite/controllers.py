"""Finite-state controllers: policies that every agent plays alone, from its own observations, with a node for a memory.

A controller gives an agent's nodes an action each, and after each own observation the node that follows. Agents that begin
at agreed nodes need nothing in common after that, so that what they are worth bounds from below every structure under which
no memory is cut off. Values and discounted visits of state and joint node solve linear equations; from both follows to
first order what it would gain to change nodes of one agent.

Axis letters: S states, N nodes of an agent, M joint nodes, E moves (state, joint observation, state) of a joint action.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, Numbers, joint_moves
from dadc_net.team.finite.model import FiniteModel

_MOST_DENSE = 200
"""Cells up to which equations are solved at once; beyond them by sweeps."""
_CLOSE = 1e-7
_ROUNDING = 1e-11
_ALIKE = 1e-9
"""Of the largest of the values that are compared: far above what rounding makes of them, and far below what counts."""


def alike(values: Array) -> Array:
    """``values`` in steps that no rounding of a host's linear algebra reaches: what is equal is equal on every host.

    Without that a search goes one way where sums are made in one order, and another way elsewhere.
    """
    step = _ALIKE * max(1.0, float(np.abs(values).max(initial=0.0)))
    found: Array = np.rint(values / step)
    return found


class Controller(NamedTuple):
    """One for each agent."""

    actions: list[Numbers]
    """[K] of [N]"""
    following: list[Numbers]
    """[K] of [N, O^k]"""


class Begun(NamedTuple):
    """A controller at a joint node."""

    controller: Controller
    nodes: tuple[int, ...]
    """[K]"""


class Valued(NamedTuple):
    """A controller and what it is worth."""

    controller: Controller
    values: Array
    """[M, S] from each joint node and state, never too much"""
    node: int
    """The joint node that is best at the start."""
    value: float
    """From there."""


class _Moves(NamedTuple):
    """P(s', o | s, a) of one joint action."""

    origin: Numbers
    """[E]"""
    reached: Numbers
    """[E]"""
    observed: Numbers
    """[E, K]"""
    chance: Array
    """[E]"""


class Controllers:
    """What controllers of one model are worth."""

    def __init__(self, model: FiniteModel, discount: float, stop: Callable[[], bool]) -> None:
        """``stop``: ends sweeps early; what is found is right all the same."""
        self._model, self._discount, self._stop = model, discount, stop
        self._sizes = model.joint_actions.sizes
        self._observations = model.joint_observations.sizes
        self._moves: dict[int, _Moves] = {}
        self.work = 0
        """Moves of joint nodes that have been looked at."""

    def value(self, controller: Controller, near: Array | None = None) -> Valued:
        """Its values; ``near`` [M, S]: where sweeps begin."""
        states = self._model.num_states
        nodes = self._joint_nodes(controller)
        reward, (origin, target, chance) = self._chain(controller, nodes)
        cells = len(nodes) * states
        if cells <= _MOST_DENSE:
            law = np.zeros((cells, cells))
            np.add.at(law, (origin, target), chance)
            value: Array = np.linalg.solve(np.eye(cells) - law, reward).astype(np.float64)
        else:
            value = np.full(cells, reward.min() / (1.0 - self._discount)) if near is None else near.reshape(-1)
            change = np.inf
            while change > _CLOSE * max(1.0, float(np.abs(value).max())) * (1.0 - self._discount) and not self._stop():
                self.work += len(chance)
                swept = reward + np.bincount(origin, chance * value[target], cells)
                change, value = float(np.abs(swept - value).max()), swept
        # What is left over, for ever, is the most by which it can be wrong.
        left = float(np.abs(reward + np.bincount(origin, chance * value[target], cells) - value).max())
        margin = left / (1.0 - self._discount) + _ROUNDING * (1.0 + float(np.abs(value).max()))
        values = (value - margin).reshape(len(nodes), states)
        at_start = values @ self._model.start
        best = int(alike(at_start).argmax())
        return Valued(controller, values, best, float(at_start[best]))

    def _joint_nodes(self, controller: Controller) -> Numbers:
        """[M, K]"""
        sizes = [len(actions) for actions in controller.actions]
        return np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1)

    def _chain(self, controller: Controller, nodes: Numbers) -> tuple[Array, tuple[Numbers, Numbers, Array]]:
        """Rewards [M S], and moves between cells: origin, target, discounted chance."""
        states = self._model.num_states
        played = np.stack([actions[nodes[:, k]] for k, actions in enumerate(controller.actions)], axis=1)
        joint = self._model.joint_actions.index(played)
        reward = self._model.expected_rewards[joint].reshape(-1)
        origins, targets, chances = [], [], []
        for node, action in enumerate(joint.tolist()):
            moves = self._moves_of(action)
            target = self._next_node(controller, nodes[node], moves.observed)
            origins.append(node * states + moves.origin)
            targets.append(target * states + moves.reached)
            chances.append(moves.chance)
        return reward, (np.concatenate(origins), np.concatenate(targets), self._discount * np.concatenate(chances))

    def _next_node(self, controller: Controller, node: Numbers, observed: Numbers, agent: int = -1) -> Numbers:
        """[E] joint node after observations [E, K]; that of ``agent`` counts as its first."""
        target = np.zeros(len(observed), dtype=np.int64)
        for k, following in enumerate(controller.following):
            target = target * len(following) + (following[node[k], observed[:, k]] if k != agent else 0)
        return target

    def _moves_of(self, action: int) -> _Moves:
        if action not in self._moves:
            indptr, column, chance = joint_moves(self._model, action)
            states = self._model.num_states
            origin = np.repeat(np.arange(states), np.diff(indptr))
            observed = self._model.joint_observations.values(column // states)
            self._moves[action] = _Moves(origin, column % states, observed, chance)
        return self._moves[action]

    def _visits(self, found: Valued) -> Array:
        """[M, S] discounted."""
        nodes = self._joint_nodes(found.controller)
        _, (origin, target, chance) = self._chain(found.controller, nodes)
        cells = found.values.size
        first = np.zeros_like(found.values)
        first[found.node] = self._model.start
        mass: Array = first.reshape(-1)
        visits = mass.copy()
        while mass.sum() > _CLOSE and not self._stop():
            mass = np.bincount(target, chance * mass[origin], cells).astype(np.float64)
            visits += mass
        return visits.reshape(found.values.shape)

    def changes(self, found: Valued, agent: int) -> tuple[Numbers, Numbers, Array]:
        """What ``agent`` would best do in each node, if all else stayed: actions [N], nodes after [N, O], gains [N]."""
        controller, states = found.controller, self._model.num_states
        nodes, visits = self._joint_nodes(controller), self._visits(found)
        count, actions, observations = len(controller.actions[agent]), self._sizes[agent], self._observations[agent]
        step = math.prod(len(a) for a in controller.actions[agent + 1 :])
        flat = found.values.reshape(-1)
        reward = np.zeros((count, actions))
        worth = np.zeros((count, actions, observations, count))
        for row, node in enumerate(nodes):
            if not visits[row].any():
                continue
            own = int(node[agent])
            played = np.array([a[node[k]] for k, a in enumerate(controller.actions)])
            for action in range(actions):
                played[agent] = action
                joint = int(self._model.joint_actions.index(played[None])[0])
                reward[own, action] += visits[row] @ self._model.expected_rewards[joint]
                moves = self._moves_of(joint)
                target = self._next_node(controller, node, moves.observed, agent) * states + moves.reached
                weight = self._discount * moves.chance * visits[row][moves.origin]
                self.work += count * len(weight)
                for after in range(count):
                    worth[own, action, :, after] += np.bincount(
                        moves.observed[:, agent], weight * flat[target + after * step * states], observations
                    )
        best = alike(worth).argmax(axis=3)
        total = reward + worth.max(axis=3).sum(axis=2)
        chosen = alike(total).argmax(axis=1)
        everyone, now = np.arange(count), controller.actions[agent]
        ahead = worth[everyone[:, None], now[:, None], np.arange(observations), controller.following[agent]]
        present = reward[everyone, now] + ahead.sum(axis=1)
        return chosen, best[everyone, chosen], total[everyone, chosen] - present
