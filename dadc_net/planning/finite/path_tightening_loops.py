"""``path_tightening`` in compiled loops."""

from __future__ import annotations

import numpy as np

from dadc_net.exact.compiled.jit import compiled, part
from dadc_net.planning.finite.joint_beliefs import Array, Numbers


@part
def _parts(worth: Array, decisions: int, actions: int, observations: int, share: float) -> Array:
    """[p, x] what each gets of what plans are worth, times ``share``."""
    below, first = np.zeros((decisions, worth.size)), np.zeros((decisions, worth.size))
    paths, courses = worth.shape
    below[decisions - 1] = worth.reshape(-1)
    for depth in range(decisions - 1, 0, -1):
        rows, width = observations**depth, actions**depth
        for p in range(rows):
            for v in range(width):
                best = below[depth, (p * width + v) * actions]
                for a in range(1, actions):
                    best = max(best, below[depth, (p * width + v) * actions + a])
                first[depth, p * width + v] = best
                below[depth - 1, p // observations * width + v] += best
    parts = np.zeros((paths, courses))
    for depth in range(decisions):
        leaves, ends = observations ** (decisions - 1 - depth), actions ** (decisions - 1 - depth)
        weight = share if leaves == 1 else share * (1.0 - observations) / leaves
        width = actions ** (depth + 1)
        if depth:  # From the best below to the best of all plans with it.
            for p in range(observations**depth):
                for v in range(width):
                    above = below[depth - 1, p // observations * (width // actions) + v // actions]
                    below[depth, p * width + v] += above - first[depth, p * (width // actions) + v // actions]
        for p in range(paths):
            for x in range(courses):
                parts[p, x] += weight * below[depth, p // leaves * width + x // ends]
    return parts


@part
def _lower_first(gain: Array, present: Numbers, own: int, decisions: int, actions: int, observations: int) -> None:
    _, paths, courses, others, sees, answers = gain.shape
    most = np.zeros((paths, courses, others, sees))
    worth, pairs = np.zeros((paths, courses)), 0
    for m in range(others):
        if present[own, m]:
            pairs += sees
            for p in range(paths):
                for x in range(courses):
                    for q in range(sees):
                        best = gain[own, p, x, m, q, 0]
                        for y in range(1, answers):
                            best = max(best, gain[own, p, x, m, q, y])
                        most[p, x, m, q] = best
                        worth[p, x] += best
    parts = _parts(worth, decisions, actions, observations, 1.0 / max(1, pairs))
    for p in range(paths):
        for x in range(courses):
            for m in range(others):
                if present[own, m]:
                    for q in range(sees):
                        change = parts[p, x] - most[p, x, m, q]
                        for y in range(answers):
                            gain[own, p, x, m, q, y] += change


@part
def _lower_second(gain: Array, present: Numbers, other: int, decisions: int, actions: int, observations: int) -> None:
    owns, paths, courses, _, sees, answers = gain.shape
    most = np.zeros((owns, paths, sees, answers))
    worth, pairs = np.zeros((sees, answers)), 0
    for i in range(owns):
        if present[i, other]:
            pairs += paths
            for p in range(paths):
                for q in range(sees):
                    for y in range(answers):
                        most[i, p, q, y] = gain[i, p, 0, other, q, y]
                    for x in range(1, courses):
                        for y in range(answers):
                            most[i, p, q, y] = max(most[i, p, q, y], gain[i, p, x, other, q, y])
                    for y in range(answers):
                        worth[q, y] += most[i, p, q, y]
    parts = _parts(worth, decisions, actions, observations, 1.0 / max(1, pairs))
    for i in range(owns):
        if present[i, other]:
            for p in range(paths):
                for q in range(sees):
                    for y in range(answers):
                        most[i, p, q, y] = parts[q, y] - most[i, p, q, y]
                    for x in range(courses):
                        for y in range(answers):
                            gain[i, p, x, other, q, y] += most[i, p, q, y]


def _tighten_paths_loops(gain: Array, present: Numbers, decisions: int, sizes: Numbers, sweeps: int) -> None:
    for _ in range(sweeps):
        for own in range(gain.shape[0]):
            _lower_first(gain, present, own, decisions, sizes[0], sizes[2])
        for other in range(gain.shape[3]):
            _lower_second(gain, present, other, decisions, sizes[1], sizes[3])


loops = compiled(_tighten_paths_loops)
"""Lowers the sum of maxima of a gain in place; ``sizes``: actions of both agents, observations of both."""
