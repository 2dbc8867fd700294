"""A tighter bound on the best joint plan of several decisions, of two agents between which nothing becomes common.

A plan of k decisions gives each memory of an agent a course of k actions for every path of its k - 1 next observations, and
courses of paths that begin alike begin alike. What a joint plan is worth is a sum over joint memories and pairs of paths, of

    rows[t, p, q, x, y]      course x on path p of one agent, course y on path q of the other, in joint memory t

(p and q are numbers whose digits are observations, x and y such of actions, the first one foremost). The bound lets every
entry be as good as can be by itself. To it are added ours[t, p, q, x] and theirs[t, p, q, y], which change no plan's value
and lower the bound: what all entries say of a memory's plans is put together, and given back in equal parts as what the best
plan is worth with each course (block coordinate descent on the dual of the linear relaxation, as in Globerson and Jaakkola
2007, where the tree of a memory's paths is one variable; a tree's values are the sum of its leaves' best less that of its
forks').
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


class Paths(NamedTuple):
    """What plans are worth, joint memory by joint memory. T of them."""

    rows: Array
    """[T, p, q, x, y]"""
    ours: Array
    """[T, p, q, x] added, nothing at first"""
    theirs: Array
    """[T, p, q, y]"""
    memories: Numbers
    """[2, T] both agents' own memories, from 0 on without gaps"""

    @classmethod
    def of(cls, rows: Array, memories: Numbers) -> Paths:
        """To which nothing has been added."""
        return cls(rows, np.zeros(rows.shape[:4]), np.zeros((*rows.shape[:3], rows.shape[4])), memories)

    def whole(self) -> Array:
        """[T, p, q, x, y] with what was added."""
        total: Array = self.rows + self.ours[..., None]
        total += self.theirs[:, :, :, None]
        return total


def tighten_paths(paths: Paths, shape: Shape, sweeps: int) -> float:
    """Lower the sum of maxima in place, and return it."""
    rows, ours, theirs, memories = paths
    (acts, answers), (sees, hears), pairs = shape.actions, shape.observations, rows.shape[1:3]
    orders = np.argsort(memories, axis=1, kind="stable")
    counts = [np.bincount(own) for own in memories]
    starts = [np.cumsum(count) - count for count in counts]
    bound = 0.0
    for _ in range(sweeps):
        most = best_first(rows, theirs)
        worth = np.add.reduceat((most + ours).sum(axis=2)[orders[0]], starts[0], axis=0)
        parts, _ = _parts(worth, shape.decisions, acts, sees)
        parts /= (counts[0] * pairs[1])[:, None, None]
        np.subtract(parts[memories[0]][:, :, None], most, out=ours)
        most = best_second(rows, ours)
        worth = np.add.reduceat((most + theirs).sum(axis=1)[orders[1]], starts[1], axis=0)
        parts, bound = _parts(worth, shape.decisions, answers, hears)
        parts /= (counts[1] * pairs[0])[:, None, None]
        np.subtract(parts[memories[1]][:, None], most, out=theirs)
    return bound


def _parts(worth: Array, decisions: int, actions: int, observations: int) -> tuple[Array, float]:
    """[L, p, x] the same sum for every plan of L memories as of ``worth`` [L, p, x], each at most the best plan's share.

    Also the sum of what their best plans are worth.
    """
    below, memories = [worth], len(worth)
    for _ in range(decisions - 1):
        best = below[0].reshape(memories, below[0].shape[1], -1, actions).max(axis=3)
        below.insert(0, best.reshape(memories, -1, observations, best.shape[2]).sum(axis=2))
    most = below[0]
    parts = np.zeros_like(worth)
    for depth in range(decisions):
        if depth:
            best = below[depth].reshape(memories, below[depth].shape[1], -1, actions).max(axis=3)
            most = np.repeat(np.repeat(most, observations, axis=1) - best, actions, axis=2) + below[depth]
        leaves = observations ** (decisions - 1 - depth)
        share = 1.0 if leaves == 1 else (1.0 - observations) / leaves
        parts += share * np.repeat(np.repeat(most, leaves, axis=1), actions ** (decisions - 1 - depth), axis=2)
    return parts, float(below[0].max(axis=(1, 2)).sum())


def best_first_numpy(rows: Array, theirs: Array) -> Array:
    """[T, p, q, x] what entries are worth with the best course of the other agent."""
    best: Array = (rows + theirs[:, :, :, None]).max(axis=4)
    return best


def best_second_numpy(rows: Array, ours: Array) -> Array:
    """[T, p, q, y] the same for the other agent."""
    best: Array = (rows + ours[..., None]).max(axis=3)
    return best


def _best_first_loops(rows: Array, theirs: Array) -> Array:
    count, paths, others, courses, answers = rows.shape
    most = np.empty((count, paths, others, courses))
    for t in range(count):
        for p in range(paths):
            for q in range(others):
                for x in range(courses):
                    best = rows[t, p, q, x, 0] + theirs[t, p, q, 0]
                    for y in range(1, answers):
                        best = max(best, rows[t, p, q, x, y] + theirs[t, p, q, y])
                    most[t, p, q, x] = best
    return most


def _best_second_loops(rows: Array, ours: Array) -> Array:
    count, paths, others, courses, answers = rows.shape
    most, best = np.empty((count, paths, others, answers)), np.empty(answers)
    for t in range(count):
        for p in range(paths):
            for q in range(others):
                for y in range(answers):
                    best[y] = rows[t, p, q, 0, y] + ours[t, p, q, 0]
                for x in range(1, courses):
                    added = ours[t, p, q, x]
                    for y in range(answers):
                        best[y] = max(best[y], rows[t, p, q, x, y] + added)
                for y in range(answers):
                    most[t, p, q, y] = best[y]
    return most


def _fastest() -> tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]:
    if importlib.util.find_spec("numba") is None:
        return best_first_numpy, best_second_numpy
    from dadc_net.exact.compiled.jit import compiled

    return compiled(_best_first_loops), compiled(_best_second_loops)


best_first, best_second = _fastest()
"""The compiled loops where numba is installed, NumPy elsewhere, with the same bits."""
