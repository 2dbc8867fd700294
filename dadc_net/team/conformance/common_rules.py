"""The rules of an information structure's common half. Front door: ``entry.py``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.conformance.finding import Finding
from dadc_net.team.conformance.trace import Trace
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.structures.structure import InformationStructure, JointStep


@dataclass(frozen=True)
class StructureSubject:
    """An information structure under test."""

    structure: InformationStructure
    """Never called: every check works on copies of it."""
    spec: EnvironmentSpec
    trace: Trace
    """Joint steps of an environment."""
    other: Trace
    """Joint steps with another past."""

    def fresh(self) -> InformationStructure:
        """An object that has seen nothing."""
        return deepcopy(self.structure)


Window = tuple[tuple[JointStep, ...], NDArray[np.int64]]
"""Joint steps, and the step in the episode of each copy at the last of them."""


def windows(trace: Trace, spec: EnvironmentSpec, length: int) -> Iterator[Window]:
    """For every lock-step the last ``length`` joint steps, as a run gives them to ``common``; fewer at first."""
    history: deque[JointStep] = deque(maxlen=length)
    for step, at in zip(trace.joint_steps(spec), trace.step_in_episode, strict=True):
        history.append(step)
        yield tuple(history), at


def _rows(step: JointStep, copies: slice) -> JointStep:
    parts: list[Any] = [part[copies] for part in step]
    return JointStep(*parts)


def check_common(subject: StructureSubject) -> Iterator[Finding]:
    """z_t has the declared shape, type and space, and is a pure function, row by row."""
    structure = subject.fresh()
    if not isinstance(structure.history_steps, int) or structure.history_steps < 1:
        yield Finding(
            "common",
            f"history_steps is {structure.history_steps!r}. It counts the joint steps that common() may look at, the "
            "present included. Give a whole number of at least 1.",
        )
        return
    space = structure.common_space(subject.spec)
    kind = space.dtype
    for t, (window, at) in enumerate(windows(subject.trace, subject.spec, structure.history_steps)):
        kept = deepcopy(window)
        z: NDArray[Any] = structure.common(window, at)
        shape = (len(window[-1].begin), space.columns)
        if z.shape != shape or z.dtype != kind:
            yield Finding(
                "common",
                f"common() gives shape {z.shape} and type {z.dtype} instead of {shape} and {kind} at lock-step {t}. Common "
                "bytes are made from it. Return one row per copy with a column per factor of common_space().",
            )
            return
        if not space.contains(z):
            yield Finding(
                "common",
                f"common() gives {z.tolist()} at lock-step {t}, which lies outside {space}. Every z_t must lie in "
                "common_space(). Declare a larger space or correct the value.",
            )
            return
        if not all(np.array_equal(a, b) for x, y in zip(window, kept, strict=True) for a, b in zip(x, y, strict=True)):
            yield Finding("common", f"common() changed its history at lock-step {t}. Later calls see it. Work on a copy.")
            return
        if not np.array_equal(z, subject.fresh().common(window, at)):
            yield Finding(
                "common",
                f"common() at lock-step {t} depends on earlier calls: an object that was called for the first time gives "
                f"another z_t. It may use the last {structure.history_steps} joint steps only. Raise history_steps instead "
                "of keeping a memory in the object.",
            )
            return
        if not np.array_equal(z[:1], subject.fresh().common([_rows(step, slice(1)) for step in window], at[:1])):
            yield Finding(
                "common",
                f"z_t of copy 0 at lock-step {t} depends on the other copies. Copy e must depend on row e only. Reduce over "
                "agents, never over copies.",
            )
            return


def check_episodes(subject: StructureSubject) -> Iterator[Finding]:
    """z_t does not look back over a begin."""
    structure = subject.fresh()
    length = structure.history_steps
    pairs = zip(windows(subject.trace, subject.spec, length), windows(subject.other, subject.spec, length), strict=True)
    for t, ((window, at), (other, _)) in enumerate(pairs):
        z = structure.common(window, at)
        replaced = list(window)
        hidden = window[-1].begin.copy()
        for place in range(len(window) - 2, -1, -1):
            mixed: list[Any] = [
                np.where(hidden.reshape(-1, *[1] * (a.ndim - 1)), b, a)
                for a, b in zip(window[place], other[place], strict=True)
            ]
            replaced[place] = JointStep(*mixed)
            hidden |= window[place].begin
        if not np.array_equal(z, structure.common(replaced, at)):
            yield Finding(
                "episodes",
                f"z_t at lock-step {t} depends on joint steps from before its copy began. The past episode must be over. "
                "Ask step_in_episode how far it reaches back, and put a fixed value in place of what is not there.",
            )
            return
