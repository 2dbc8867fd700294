"""The search for finite-state controllers: changed while that helps, from random ones and from the best with a node more.

What is found is a local optimum; that its value bounds every structure does not depend on how good it is (bounded policy
iteration, Bernstein, Amato, Hansen and Zilberstein 2009, changes nodes by linear programs; here changes are deterministic).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dadc_net.planning.finite.controllers import Controller, Controllers, Valued, alike
from dadc_net.planning.finite.joint_beliefs import Numbers
from dadc_net.team.finite.model import FiniteModel

_MOST_CELLS = 10_000
"""States times joint nodes of one controller."""
_FIRST_NODES, _DRAWN_SIZES, _MOST_NODES = 2, 3, 8
"""Random controllers have 2, 3 or 4 nodes; those that grow, so many at most."""
_FIRST_DRAWN, _FIRST_WORK = 40, 50_000_000
"""Random controllers before one grows, and moves that may be looked at for them."""
_MOST_ROUNDS = 60
"""For each agent."""
_SINGLY = 4
"""Single changes that are tried where all of an agent's changes at once do not help."""
_NOTHING = 1e-9


class ControllerSearch:
    """Controllers of one model, better and better; the same ones every time."""

    def __init__(self, model: FiniteModel, discount: float, stop: Callable[[], bool]) -> None:
        """``stop``: ends improving early; what has been found is right all the same."""
        self._stop = stop
        self._controllers = Controllers(model, discount, stop)
        self._actions = model.joint_actions.sizes
        self._observations = model.joint_observations.sizes
        self._most = min(_MOST_NODES, max(1, int((_MOST_CELLS / model.num_states) ** (1.0 / len(self._actions)))))
        self._rng = np.random.Generator(np.random.Philox(0))
        self._begun = 0
        self.best: Valued | None = None

    def first(self) -> None:
        """Begin from random controllers, some time long."""
        while self._begun < _FIRST_DRAWN and self._controllers.work < _FIRST_WORK and not self._stop():
            self._improve(self._drawn())

    def more(self) -> None:
        """Begin once more: from a random controller, and from the best with a node more, by turns."""
        if not self._stop():
            self._improve(self._drawn() if self._begun % 2 or self.best is None else self._grown(self.best.controller))

    def _drawn(self) -> Controller:
        nodes = min(self._most, _FIRST_NODES + self._begun % _DRAWN_SIZES)
        return Controller(
            [self._rng.integers(0, size, nodes) for size in self._actions],
            [self._rng.integers(0, nodes, (nodes, size)) for size in self._observations],
        )

    def _grown(self, controller: Controller) -> Controller:
        """With a random node for each agent, added or instead of another, to which a random edge leads."""
        found = Controller([], [])
        for agent, (actions, following) in enumerate(zip(controller.actions, controller.following, strict=True)):
            new = len(actions) if len(actions) < self._most else int(self._rng.integers(len(actions)))
            nodes = max(len(actions), new + 1)
            grown, after = np.zeros(nodes, dtype=np.int64), np.zeros((nodes, following.shape[1]), dtype=np.int64)
            grown[: len(actions)], after[: len(actions)] = actions, following
            grown[new] = self._rng.integers(self._actions[agent])
            after[new] = self._rng.integers(0, nodes, following.shape[1])
            after[self._rng.integers(nodes), self._rng.integers(following.shape[1])] = new
            found.actions.append(grown)
            found.following.append(after)
        return found

    def _improve(self, controller: Controller) -> None:
        """On to a local optimum."""
        self._begun += 1
        found = self._controllers.value(controller)
        agents = len(self._actions)
        waiting = agents
        for turn in range(_MOST_ROUNDS * agents):
            if self._stop() or not waiting:
                break
            better = self._bettered(found, turn % agents)
            waiting, found = (waiting - 1, found) if better is None else (agents, better)
        if self.best is None or found.value > self.best.value + _NOTHING * max(1.0, abs(found.value)):
            self.best = found

    def _bettered(self, found: Valued, agent: int) -> Valued | None:
        """With nodes of one agent changed; None where no change helps."""
        actions, following, gained = self._controllers.changes(found, agent)
        order = np.argsort(-alike(gained), kind="stable")
        order = order[gained[order] > _NOTHING]
        singly = [order[i : i + 1] for i in range(min(_SINGLY, len(order)))] if len(order) > 1 else []
        for nodes in (order, *singly) if len(order) else ():
            if self._stop():
                return None
            tried = Controller(list(found.controller.actions), list(found.controller.following))
            tried.actions[agent] = _changed(tried.actions[agent], nodes, actions)
            tried.following[agent] = _changed(tried.following[agent], nodes, following)
            valued = self._controllers.value(tried, found.values)
            if valued.value > found.value + _NOTHING * max(1.0, abs(found.value)):
                return valued
        return None


def _changed(array: Numbers, places: Numbers, other: Numbers) -> Numbers:
    changed = array.copy()
    changed[places] = other[places]
    return changed
