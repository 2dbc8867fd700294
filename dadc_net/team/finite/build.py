"""Finite models from functions: what follows from a state and a joint action is said in Python, the tables are made here.

For models of up to some thousand states; a larger one makes its sparse tables itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sparse_rows import SparseRows

Parts = tuple[int, ...]
"""One index per agent."""
Law = Mapping[int, float]
"""State -> probability; what is not named has probability 0."""


def build_model(
    *,
    name: str,
    states: Sequence[str],
    actions: Sequence[Sequence[str]],
    observations: Sequence[Sequence[str]],
    start: Law,
    move: Callable[[int, Parts], Law],
    observe: Callable[[Parts, int], Mapping[Parts, float]],
    reward: Callable[[int, Parts], float],
    discount: float,
    horizon: int | None = None,
    arrival_reward: Callable[[int], float] | None = None,
) -> FiniteModel:
    """Make the tables.

    Args:
        move: (s, a) -> P(s' | s, a).
        observe: (a, s') -> P(o | a, s'), o one index per agent.
        reward: (s, a) -> r(s, a).
        arrival_reward: s' -> what arriving there adds; rewards are kept by (s, a, s') then.
    """
    count = len(states)
    joint_actions = list(itertools.product(*(range(len(own)) for own in actions)))
    sizes = [len(own) for own in observations]
    observed = int(np.prod(sizes))
    transitions, seen = [], []
    rewards: list[NDArray[np.float64] | SparseRows] = []
    for joint in joint_actions:
        table = _table(((s, t, p) for s in range(count) for t, p in move(s, joint).items()), (count, count))
        laws = (observe(joint, s).items() for s in range(count))
        seen.append(_table(((s, _place(o, sizes), p) for s, law in enumerate(laws) for o, p in law), (count, observed)))
        base = np.array([reward(s, joint) for s in range(count)])
        transitions.append(table)
        if arrival_reward is None:
            rewards.append(base)
        else:
            extra = np.array([arrival_reward(s) for s in range(count)])
            values = base[table.rows] + extra[table.indices]
            rewards.append(SparseRows.from_entries(table.rows, table.indices, values, table.shape))
    return FiniteModel(
        name=name,
        states=tuple(states),
        actions=tuple(map(tuple, actions)),
        observations=tuple(map(tuple, observations)),
        start=np.array([start.get(s, 0.0) for s in range(count)]),
        transitions=tuple(transitions),
        observation_probabilities=tuple(seen),
        rewards=tuple(rewards),
        discount=discount,
        horizon=horizon,
    )


def independent(laws: Sequence[Mapping[int, float]]) -> dict[Parts, float]:
    """The law of parts that are drawn independently of one another: joint value -> probability."""
    joint: dict[Parts, float] = {(): 1.0}
    for law in laws:
        joint = {(*before, part): p * q for before, p in joint.items() for part, q in law.items() if q > 0.0}
    return joint


def _place(parts: Parts, sizes: Sequence[int]) -> int:
    place = 0
    for part, size in zip(parts, sizes, strict=True):
        place = place * size + part
    return place


def _table(entries: Iterable[tuple[int, int, float]], shape: tuple[int, int]) -> SparseRows:
    rows, columns, values = [], [], []
    for row, column, value in entries:
        rows.append(row)
        columns.append(column)
        values.append(value)
    return SparseRows.from_entries(rows, columns, values, shape)
