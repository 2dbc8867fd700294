"""The rules of an information structure's local half: (L1) and (L2). Front door: ``entry.py``.

Partial history sharing (paper, Section 3) asks two things of local information: (L1) it is updated without common
information, (L2) its size is bounded. The signature of ``local`` carries most of (L1); what it cannot carry is a
structure object that remembers what ``common`` showed it, so the same questions are put to an object that has seen common
information and to one that has not.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.conformance.common_rules import StructureSubject, Window, windows
from dadc_net.team.conformance.finding import Finding
from dadc_net.team.spaces import FiniteSpace, Space
from dadc_net.team.structures.structure import InformationStructure

_LOCAL_ARGUMENTS = ("local", "action", "observation_next", "step_in_episode")
_MOST_PAIRS = 1024
"""(action, observation) pairs tried with every local value; more are sampled."""
_MOST_ROWS = 2**17
"""Questions asked at one step; more are sampled."""
_MOST_STEPS = 32
"""Steps of an episode that are followed."""
_HISTORIES = 8
"""Histories shown to an object between questions."""


def check_signature(subject: StructureSubject) -> Iterator[Finding]:
    """(L1) in the signature: ``local`` has no argument through which common information could come."""
    names = tuple(inspect.signature(subject.structure.local).parameters)
    if names != _LOCAL_ARGUMENTS:
        yield Finding(
            "(L1)",
            f"local() takes {names} instead of {_LOCAL_ARGUMENTS}. Local information is made from the agent's own past "
            "alone. Put what everyone knows into common(); a prescription can use it there.",
        )


@dataclass(frozen=True, kw_only=True)
class Question:
    """Arguments of ``local`` for n independent rows."""

    local: NDArray[Any]
    """[n, L]"""
    action: NDArray[np.int64]
    """[n]"""
    observation: NDArray[Any]
    """[n, O]"""
    step: int
    """In the episode."""

    def ask(self, structure: InformationStructure, rows: slice = slice(None)) -> NDArray[Any]:
        """The answer [n, L] for the rows asked."""
        local = self.local[rows].copy()
        steps = np.full(len(local), self.step)
        return structure.local(local, self.action[rows].copy(), self.observation[rows].copy(), steps)

    def shown(self, row: int) -> str:
        """One row in words."""
        local, action, observation = self.local[row].tolist(), int(self.action[row]), self.observation[row].tolist()
        return f"(local {local}, action {action}, observation {observation}, step {self.step})"


def _sample(space: Space, numbers: NDArray[np.float64]) -> NDArray[Any]:
    """Values [n, C] of ``space``, evenly by ``numbers`` [n, C] in [0, 1)."""
    columns, start = [], 0
    for part in space.parts:
        own = numbers[:, start : start + part.columns]
        start += part.columns
        if isinstance(part, FiniteSpace):
            columns.append(np.floor(own * np.array(part.sizes)))
        else:
            columns.append(np.array(part.low) + own * (np.array(part.high) - np.array(part.low)))
    return np.concatenate(columns, axis=1).astype(space.dtype)


def _pairs(spec: AgentSpec) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Actions [n] and observations [n, O] to combine: all of them, or a sample."""
    actions, space = spec.action_space.num_values, spec.observation_space
    if isinstance(space, FiniteSpace) and actions * space.num_values <= _MOST_PAIRS:
        index = np.arange(actions * space.num_values)
        return index % actions, space.values(index // actions)
    numbers = Stream("conformance-pairs", seed_bytes(0)).uniforms(0, _MOST_PAIRS, 1 + space.columns)
    return (numbers[:, 0] * actions).astype(np.int64), _sample(space, numbers[:, 1:])


def _questions(subject: StructureSubject, spec: AgentSpec) -> Iterator[Question]:
    """Every local value that can be reached at a step, with every (action, observation), step by step.

    It is a set at least as large as any run's, since it does not ask whether the environment can produce it.
    """
    structure = subject.fresh()
    space = structure.local_space(spec.observation_space, spec.action_space)
    actions, observations = _pairs(spec)
    reached = np.zeros((1, space.columns), dtype=space.dtype)
    for step in range(_MOST_STEPS):
        kept = reached[:: -(-len(reached) * len(actions) // _MOST_ROWS)]
        question = Question(
            local=np.repeat(kept, len(actions), axis=0),
            action=np.tile(actions, len(kept)),
            observation=np.tile(observations, (len(kept), 1)),
            step=step,
        )
        yield question
        before, reached = reached, np.unique(question.ask(structure), axis=0)
        if step > 0 and np.array_equal(before, reached):
            return


def check_local(subject: StructureSubject) -> Iterator[Finding]:
    """(L2): a fixed bounded space holds every local value. (L1): ``local`` knows nothing that its arguments do not say."""
    for spec in dict.fromkeys(subject.spec.agents):
        structure = subject.fresh()
        space, again = (structure.local_space(spec.observation_space, spec.action_space) for _ in range(2))
        if not isinstance(space, Space) or space != again:
            yield Finding(
                "(L2)",
                f"local_space() gives {space}, and {again} when asked again. It must be one space for every t. Return one "
                "that depends on the observation space and the action space only.",
            )
            return
        histories = list(windows(subject.other, subject.spec, structure.history_steps))
        some = histories[:: max(1, len(histories) // _HISTORIES)]
        for question in _questions(subject, spec):
            fault = _local_fault(question, space, structure) or _purity_fault(question, some, subject)
            if fault:
                yield fault
                return


def _local_fault(question: Question, space: Space, structure: InformationStructure) -> Finding | None:
    """Shape, type, space; at a begin, the observation alone."""
    answer = question.ask(structure)
    shape = (len(question.local), space.columns)
    if answer.shape != shape or answer.dtype != space.dtype:
        return Finding(
            "(L2)",
            f"local() gives shape {answer.shape} and type {answer.dtype} instead of {shape} and {space.dtype}. It is a "
            "value of local_space() per copy. Return one column per factor.",
        )
    if not space.contains(answer):
        outside = next(row for row in range(len(answer)) if not space.contains(answer[row]))
        return Finding(
            "(L2)",
            f"local() leaves its space {space}: it gives {answer[outside].tolist()} for {question.shown(outside)}. "
            "The size of local information must be bounded for all time. Forget the oldest part, or declare more.",
        )
    begun = replace(question, step=0)
    changed = replace(begun, local=question.local * 0, action=question.action[::-1])
    difference = _first_row(begun.ask(structure), changed.ask(structure))
    if difference is not None:
        return Finding(
            "(L1)",
            f"local() at a begin depends on the episode before: {begun.shown(difference)} gives something else than "
            f"{changed.shown(difference)}. A begin clears local memory. Where step_in_episode is 0, use the observation "
            "alone.",
        )
    return None


def _purity_fault(question: Question, histories: Sequence[Window], subject: StructureSubject) -> Finding | None:
    """The same answer from an object that has seen common information, and for a row asked alone."""
    answer = question.ask(subject.fresh())
    witness = subject.fresh()
    for history, at in histories:
        witness.common(history, at)
        difference = _first_row(answer, question.ask(witness))
        if difference is not None:
            return Finding(
                "(L1)",
                f"local() answers {question.shown(difference)} differently after common() was called. Common "
                "information reaches local information through the object's memory. Keep structures without state.",
            )
    if _first_row(answer[:1], question.ask(subject.fresh(), slice(1))) is not None:
        return Finding(
            "(L1)",
            f"local() answers {question.shown(0)} differently when that copy is asked alone. Copy e must depend on "
            "row e only. Do not reduce over copies.",
        )
    return None


def _first_row(left: NDArray[Any], right: NDArray[Any]) -> int | None:
    if left.shape != right.shape:
        return 0
    rows = np.flatnonzero((left != right).any(axis=1))
    return int(rows[0]) if len(rows) else None
