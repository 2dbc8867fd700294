"""A team under whatever structure as a team whose agents keep nothing: how the planner takes structures that are code.

A structure is two functions, what becomes common and what an agent has to itself (``team.structures``). Followed from the
start, they make of a finite model another one. Its state is a point of ``law_kernel`` (the model's state, all local values,
and the joint steps that common information may still depend on) with what has just become common; an agent observes its
local value, and nothing of before, which the local value holds as far as the agent may. The first agent's observation also
says what has become common, to all (``Sharing.told``). So the same search bounds the optimum, by the very functions that
server and agents call in a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dadc_net.errors import UsageError
from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.law_kernel import LawKernel, Stage, codes_of
from dadc_net.planning.finite.sharing import TOLD, Sharing
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sparse_rows import SparseRows
from dadc_net.team.structures.structure import InformationStructure, bounded

_FAR = 1 << 20
"""A step that a structure treats like an earlier one, if it treats any so."""
_MOVE_BYTES, _STATE_BYTES = 120, 600
"""Of a move and a state here, in the kernel and in the model that is made, roughly."""
_MOST_BYTES = 1 << 30
_WIDEST, _MOST_NAMES = 2**52, 2_000_000
"""Joint observations times states, which are numbered together; observations of one agent."""


class LaidOut(NamedTuple):
    """The other team."""

    model: FiniteModel
    sharing: Sharing
    bytes_held: int


class _Moves(NamedTuple):
    """What follows the points of one step and all joint actions, M moves."""

    origin: Numbers
    """[M] state before"""
    action: Numbers
    """[M]"""
    arrived: Numbers
    """[M] state after"""
    chance: Array
    """[M]"""


def laid_out(
    model: FiniteModel,
    spec: EnvironmentSpec,
    structure: InformationStructure,
    *,
    decisions: int | None,
    memory_bytes: int,
    stop: Callable[[], bool],
) -> LaidOut:
    """``model`` under ``structure``, over ``decisions`` or without end.

    Args:
        memory_bytes: no more is taken.
        stop: whether time is up.

    Raises:
        UsageError: if the structure does not fit the model, names no steps that it treats alike and there is no end, or
            makes more of it than time and memory allow.
    """
    structure.common_space(spec)
    spaces = [bounded(structure.local_space(own.observation_space, own.action_space), structure) for own in spec.agents]
    if decisions is None and structure.recurring_step(_FAR) == _FAR:
        raise UsageError(
            f"the structure {structure.name} treats no two steps alike, and there is no horizon. Without end there would be "
            "no end of states. Give --horizon, or let its recurring_step say which steps are alike."
        )
    kernel = LawKernel(model, spec.public_space.columns, structure, spaces, looks=True)
    states = _States()
    stage, points, common = kernel.start()
    starts = states.numbers(stage, points, np.repeat(kernel.commons.numbers(common.astype(np.int64)), len(points)))
    fresh, moves, step, most = states.fresh(), list[_Moves](), 0, min(memory_bytes, _MOST_BYTES)
    while len(fresh) and (decisions is None or step < decisions):
        step += 1
        for part in np.array_split(fresh, 1 + len(fresh) * model.num_joint_actions // 50_000):
            moves.append(_follow(states, stage, part, model.num_joint_actions))
            if _bytes(states, moves) > most or stop():
                raise UsageError(
                    f"the structure {structure.name} makes more than {len(states.rows)} states of the model {model.name} in "
                    f"{step} steps, which is all that --time and --memory allowed. Bounds need all of them. Give a shorter "
                    "--horizon, more time or memory, or bound the optimum from above by structure=full-sharing."
                )
        fresh, stage = states.fresh(), stage.next
    return _made(model, structure, kernel, states, (starts, points), moves)


class _States:
    """States numbered as they come up: stage, point, and what has become common."""

    def __init__(self) -> None:
        self._number: dict[tuple[int, int, int], int] = {}
        self.rows: list[tuple[Stage, int, int]] = []
        self._known = 0

    def numbers(self, stage: Stage, points: Numbers, common: Numbers) -> Numbers:
        """[n] of points [n] and common observations [n]."""
        _, first, place = np.unique(codes_of([points, common]), return_index=True, return_inverse=True)
        found = np.zeros(len(first), dtype=np.int64)
        for at, (point, told) in enumerate(zip(points[first].tolist(), common[first].tolist(), strict=True)):
            found[at] = self._number.setdefault((stage.step, point, told), len(self.rows))
            if found[at] == len(self.rows):
                self.rows.append((stage, point, told))
        result: Numbers = found[place.reshape(-1)]
        return result

    def fresh(self) -> Numbers:
        """Those that have come up since the last time, all of one stage."""
        before, self._known = self._known, len(self.rows)
        return np.arange(before, self._known)


def _follow(states: _States, stage: Stage, origins: Numbers, actions: int) -> _Moves:
    origin, action = np.repeat(origins, actions), np.tile(np.arange(actions), len(origins))
    points = np.array([states.rows[number][1] for number in origins.tolist()])
    found = stage.moves(np.repeat(points, actions), action)
    arrived = states.numbers(stage.next, found.point, found.common)
    return _Moves(origin[found.row], action[found.row], arrived, found.chance)


def _made(
    model: FiniteModel,
    structure: InformationStructure,
    kernel: LawKernel,
    states: _States,
    begun: tuple[Numbers, Numbers],
    moves: list[_Moves],
) -> LaidOut:
    """The model whose states are those that have come up."""
    count, agents = len(states.rows), model.num_agents
    origin, action, arrived, chance = (np.concatenate(column) for column in zip(*moves, strict=True))
    # What is reached after the last decision stays where it is: nobody acts there.
    last = np.setdiff1d(np.arange(count), origin)
    transitions = []
    for a in range(model.num_joint_actions):
        own = np.flatnonzero(action == a)
        rows, columns = np.concatenate((origin[own], last)), np.concatenate((arrived[own], last))
        transitions.append(
            SparseRows.from_entries(rows, columns, np.concatenate((chance[own], np.ones(len(last)))), (count, count))
        )
    # State and local values; of joint steps before, points of different stages hold more or less.
    points = np.stack([stage.points.rows[point, : kernel.places[-1].stop] for stage, point, _ in states.rows])
    common, told = np.unique([said for _, _, said in states.rows], return_inverse=True)
    names, kept = [], []
    for agent in range(agents):
        values, own = np.unique(points[:, kernel.places[agent]], axis=0, return_inverse=True)
        names.append(tuple("L=" + _written(value) for value in values))
        kept.append(own.reshape(-1))
    sizes = (len(names[0]) * len(common), *map(len, names[1:]))
    if math.prod(sizes) * count > _WIDEST or max(sizes) > _MOST_NAMES:
        raise UsageError(
            f"under {structure.name} {model.name} has {math.prod(sizes)} joint observations in {count} states. They are too "
            "many to be numbered together. Give a structure that lets agents keep less."
        )
    names[0] = tuple(f"{name}{TOLD}{_written(kernel.commons.rows[z])}" for name in names[0] for z in common.tolist())
    kept[0] = kept[0] * len(common) + told.reshape(-1)
    seen = SparseRows.from_entries(
        np.arange(count), np.ravel_multi_index(tuple(kept), sizes), np.ones(count), (count, math.prod(sizes))
    )
    start = np.zeros(count)
    start[begun[0]] = model.start[points[begun[0], 0]]
    rewards = model.expected_rewards[:, points[:, 0]]
    made = FiniteModel(
        name=model.name,
        states=tuple(map(str, range(count))),
        actions=model.actions,
        observations=tuple(names),
        start=start,
        transitions=tuple(transitions),
        observation_probabilities=(seen,) * model.num_joint_actions,
        rewards=tuple(rewards),
        discount=model.discount,
        horizon=model.horizon,
    )
    parameters = structure.to_plain()["parameters"]
    return LaidOut(made, Sharing.told(structure.name, parameters, len(common)), _bytes(states, moves))


def _bytes(states: _States, moves: list[_Moves]) -> int:
    return _STATE_BYTES * len(states.rows) + _MOVE_BYTES * sum(len(part.chance) for part in moves)


def _written(values: Numbers) -> str:
    return ",".join(map(str, values.tolist()))
