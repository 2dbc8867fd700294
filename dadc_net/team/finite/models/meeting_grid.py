"""Meeting in a grid (Bernstein, Hansen and Zilberstein, IJCAI 2005; Amato, Dibangoye and Zilberstein, ICAPS 2009).

Two robots move up, down, left, right or stay; a move does as meant with probability 0.6 and each of the four other actions'
with 0.1; staying always works. Who would leave the grid stays where it is. They cannot see each other.

    meeting_grid    2 x 2, reward 1 for being on one cell after a move; a robot sees in which column it is
    meeting_corners 3 x 3, reward 1 for being, before a move, together in the upper left or the lower right corner; a robot
                    sees its own cell
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from dadc_net.team.finite.build import Law, Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel

ACTIONS = ("up", "down", "left", "right", "stay")
COLUMNS = ("left", "right")
CELLS = tuple(f"c{cell}" for cell in range(9))
_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))
_STAY = 4
_AS_MEANT, _OTHERWISE = 0.6, 0.1


class _Grid:
    """Cells row by row; a state is the cells of both robots, the second's running fastest."""

    def __init__(self, side: int) -> None:
        self.cells = side * side
        self._side = side
        self._places = list(itertools.product(range(self.cells), repeat=2))

    def parts(self, state: int) -> Parts:
        """The cells of both robots."""
        return self._places[state]

    @property
    def names(self) -> list[str]:
        return [f"c{one}c{two}" for one, two in self._places]

    def _target(self, cell: int, action: int) -> int:
        row, column = divmod(cell, self._side)
        down, right = _STEPS[action]
        inside = 0 <= row + down < self._side and 0 <= column + right < self._side
        return cell + down * self._side + right if inside else cell

    def _moves(self, cell: int, action: int) -> Law:
        if action == _STAY:
            return {cell: 1.0}
        tenths: dict[int, int] = {}
        for done in range(len(ACTIONS)):
            target = self._target(cell, done)
            # Counted in tenths: 0.6 + 0.1 + 0.1 is not the float 0.8.
            tenths[target] = tenths.get(target, 0) + round(10 * (_AS_MEANT if done == action else _OTHERWISE))
        return {target: count / 10.0 for target, count in tenths.items()}

    def move(self, state: int, joint: Parts) -> dict[int, float]:
        """P(s' | s, a)."""
        law = independent([self._moves(cell, action) for cell, action in zip(self.parts(state), joint, strict=True)])
        return {one * self.cells + two: p for (one, two), p in law.items()}

    def model(
        self,
        name: str,
        seen: Callable[[int], int],
        names: tuple[str, ...],
        start: Parts,
        reward: Callable[[int], float],
        arrival_reward: Callable[[int], float] | None,
    ) -> FiniteModel:
        """``seen``: what a robot in a cell sees."""
        return build_model(
            name=name,
            states=self.names,
            actions=(ACTIONS,) * 2,
            observations=(names,) * 2,
            start={start[0] * self.cells + start[1]: 1.0},
            move=self.move,
            observe=lambda _, state: {tuple(map(seen, self.parts(state))): 1.0},
            reward=lambda state, _: reward(state),
            discount=0.9,
            arrival_reward=arrival_reward,
        )


def meeting_grid() -> FiniteModel:
    """Sixteen states, five actions and two observations each; they start in opposite corners."""
    grid = _Grid(2)

    def met(state: int) -> float:
        one, two = grid.parts(state)
        return 1.0 if one == two else 0.0

    return grid.model("meeting-grid", lambda cell: cell % 2, COLUMNS, (1, 2), lambda _: 0.0, met)


def meeting_corners() -> FiniteModel:
    """Eighty-one states, five actions and nine observations each."""
    grid = _Grid(3)

    def met(state: int) -> float:
        return 1.0 if grid.parts(state) in ((0, 0), (8, 8)) else 0.0

    return grid.model("meeting-corners", lambda cell: cell, CELLS, (2, 6), met, None)
