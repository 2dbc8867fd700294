"""A tighter bound on the best joint plan of several decisions, of two agents between which nothing becomes common.

A plan of k decisions gives each memory of an agent a course of k actions for every path of its k - 1 next observations, and
courses of paths that begin alike begin alike. What a joint plan is worth is a sum, over pairs of memories and of paths, of

    gain[l, p, x, m, q, y]      course x on path p from memory l of one agent, course y on path q from memory m of the other

(p and q are numbers whose digits are observations, x and y such of actions, the first one foremost). The bound lets every
entry be as good as can be by itself. Numbers that are added to it so that no plan's value changes lower it: what all pairs
of a memory say of its plans is put together, and given back in equal parts as what its best plan is worth with each course
(block coordinate descent on the dual of the linear relaxation, as in Globerson and Jaakkola 2007, where the tree of a
memory's paths is one variable; a tree's values are the sum of its leaves' best less that of its forks').
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, Numbers


class Shape(NamedTuple):
    """How many decisions a plan takes in, and how many actions and observations both agents have."""

    decisions: int
    actions: tuple[int, int]
    observations: tuple[int, int]


def tighten_paths_numpy(gain: Array, present: Numbers, shape: Shape, sweeps: int) -> None:
    """Lower the sum of maxima of ``gain`` [l, p, x, m, q, y] in place; ``present`` [l, m] says which pairs there are."""
    (acts, answers), (sees, hears), pairs = shape.actions, shape.observations, present.astype(bool)
    for _ in range(sweeps):
        for own in range(len(gain)):
            others = np.flatnonzero(pairs[own])
            most = gain[own][:, :, others].max(axis=4)
            parts = _parts(most.sum(axis=(2, 3)), shape.decisions, acts, sees) / (most.shape[2] * most.shape[3])
            gain[own][:, :, others] += (parts[:, :, None, None] - most)[..., None]
        for other in range(gain.shape[3]):
            owns = np.flatnonzero(pairs[:, other])
            most = gain[owns, :, :, other].max(axis=2)
            parts = _parts(most.sum(axis=(0, 1)), shape.decisions, answers, hears) / (most.shape[0] * most.shape[1])
            gain[owns, :, :, other] += (parts[None, None] - most)[:, :, None]


def _parts(worth: Array, decisions: int, actions: int, observations: int) -> Array:
    """[p, x] the same sum for every plan as of ``worth`` [p, x], each at most the best plan's divided by the paths."""
    below = [worth]
    for _ in range(decisions - 1):
        best = below[0].reshape(len(below[0]), -1, actions).max(axis=2)
        below.insert(0, best.reshape(-1, observations, best.shape[1]).sum(axis=1))
    most = below[0]
    parts = np.zeros_like(worth)
    for depth in range(decisions):
        if depth:
            best = below[depth].reshape(len(below[depth]), -1, actions).max(axis=2)
            rest = np.repeat(np.repeat(most, observations, axis=0) - best, actions, axis=1)
            most = rest + below[depth]
        leaves = observations ** (decisions - 1 - depth)
        share = 1.0 if leaves == 1 else (1.0 - observations) / leaves
        parts += share * np.repeat(np.repeat(most, leaves, axis=0), actions ** (decisions - 1 - depth), axis=1)
    return parts


def _fastest() -> Callable[[Array, Numbers, Shape, int], None]:
    if importlib.util.find_spec("numba") is None:
        return tighten_paths_numpy
    from dadc_net.planning.finite.path_tightening_loops import loops

    def tighten_by_loops(gain: Array, present: Numbers, shape: Shape, sweeps: int) -> None:
        loops(gain, present, shape.decisions, np.array((*shape.actions, *shape.observations)), sweeps)

    return tighten_by_loops


tighten_paths = _fastest()
"""The compiled loops where numba is installed, NumPy elsewhere; the bounds are proven either way."""
