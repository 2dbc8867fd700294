"""The rules of an information structure's local half: (L1) and (L2). Front door: ``entry.py``.

Partial history sharing (paper, Section 3) asks two things of local information: (L1) it is updated without common
information, (L2) its size is bounded. The signature of ``local`` carries most of (L1); what it cannot carry is a
structure object that remembers what ``common`` showed it, so the same questions are put to an object that has seen common
information and to one that has not.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.conformance.common_rules import StructureSubject, windows
from dadc_net.team.conformance.finding import Finding
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.information import InformationStructure, JointStep
from dadc_net.team.spaces import FiniteSpace

_LOCAL_ARGUMENTS = ("local", "action", "observation_next", "begin")
_MOST_PAIRS = 1024
"""(action, observation) pairs tried with every local value; more are sampled."""
_MOST_LOCAL_VALUES = 2048
"""Reachable local values that are followed."""
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

    local: NDArray[np.int64]
    """[n, L]"""
    action: NDArray[np.int64]
    """[n]"""
    observation: NDArray[np.int64]
    """[n, O]"""

    def ask(self, structure: InformationStructure, begin: bool, rows: slice = slice(None)) -> NDArray[np.int64]:
        """The answer [n, L] for the rows asked."""
        local = self.local[rows].copy()
        return structure.local(local, self.action[rows].copy(), self.observation[rows].copy(), np.full(len(local), begin))

    def shown(self, row: int, begin: bool) -> str:
        """One row in words."""
        local, action, observation = self.local[row].tolist(), int(self.action[row]), self.observation[row].tolist()
        return f"(local {local}, action {action}, observation {observation}, begin {begin})"


def _pairs(spec: EnvironmentSpec, observation_space: FiniteSpace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Actions [n] and observations [n, O] to combine: all of them, or a sample."""
    actions, observations = spec.action_space.num_values, observation_space.num_values
    if actions * observations <= _MOST_PAIRS:
        index = np.arange(actions * observations)
        return index % actions, observation_space.values(index // actions)
    numbers = Stream("conformance-pairs", seed_bytes(0)).uniforms(0, _MOST_PAIRS, 2)
    chosen = (numbers * np.array([actions, observations])).astype(np.int64)
    return chosen[:, 0], observation_space.values(chosen[:, 1])


def _combine(local: NDArray[np.int64], actions: NDArray[np.int64], observations: NDArray[np.int64]) -> Question:
    count, pairs = len(local), len(actions)
    return Question(
        local=np.repeat(local, pairs, axis=0), action=np.tile(actions, count), observation=np.tile(observations, (count, 1))
    )


def _reachable_questions(subject: StructureSubject, observation_space: FiniteSpace) -> Iterator[tuple[bool, Question]]:
    """Every reachable local value with every (action, observation), wave by wave; (begin, question) pairs.

    It is a set at least as large as any run's, since it does not ask whether the environment can produce it.
    """
    structure = subject.fresh()
    space = structure.local_space(observation_space)
    actions, observations = _pairs(subject.spec, observation_space)
    nothing = np.zeros((1, len(space.sizes)), dtype=np.int64)
    question = _combine(nothing, actions, observations)
    yield True, question
    visited = np.zeros(0, dtype=np.int64)
    fresh = np.unique(space.index(question.ask(structure, True)))
    while len(fresh) and len(visited) + len(fresh) <= _MOST_LOCAL_VALUES:
        visited = np.union1d(visited, fresh)
        following: list[NDArray[np.int64]] = []
        for part in np.array_split(fresh, -(-len(fresh) // 64)):
            question = _combine(space.values(part), actions, observations)
            yield False, question
            following.append(space.index(question.ask(structure, False)))
        fresh = np.setdiff1d(np.concatenate(following), visited)


def check_local(subject: StructureSubject) -> Iterator[Finding]:
    """(L2): a fixed finite space holds every local value. (L1): ``local`` knows nothing that its arguments do not say."""
    observation_space = subject.spec.observation_space
    if not isinstance(observation_space, FiniteSpace):
        yield Finding(
            "(L2)",
            f"the observation space is {observation_space}, so local information is not finite. Prescription menus are "
            "tables over local values. Give the environment finite observations.",
        )
        return
    structure = subject.fresh()
    space = structure.local_space(observation_space)
    if not isinstance(space, FiniteSpace) or space != structure.local_space(observation_space):
        yield Finding(
            "(L2)",
            f"local_space() gives {space}, and {structure.local_space(observation_space)} when asked again. It must be one "
            "FiniteSpace for every t. Return a space that depends on the observation space only.",
        )
        return
    histories = list(windows(subject.other.joint_steps(), structure.history_steps))
    some = histories[:: max(1, len(histories) // _HISTORIES)]
    for begin, question in _reachable_questions(subject, observation_space):
        fault = _local_fault(question, begin, space, structure) or _purity_fault(question, begin, some, subject)
        if fault:
            yield fault
            return


def _local_fault(question: Question, begin: bool, space: FiniteSpace, structure: InformationStructure) -> Finding | None:
    """Shape, type, space; at a begin, the observation alone."""
    answer = question.ask(structure, begin)
    shape = (len(question.local), len(space.sizes))
    if answer.shape != shape or answer.dtype != np.int64:
        return Finding(
            "(L2)",
            f"local() gives shape {answer.shape} and type {answer.dtype} instead of {shape} and int64. It is a value of "
            "local_space() per copy. Return one column per factor.",
        )
    if not space.contains(answer):
        outside = next(row for row in range(len(answer)) if not space.contains(answer[row]))
        return Finding(
            "(L2)",
            f"local() leaves its space {space}: it gives {answer[outside].tolist()} for {question.shown(outside, begin)}. "
            "The size of local information must be bounded for all time. Forget the oldest part, or declare more.",
        )
    changed = Question(local=question.local * 0, action=question.action[::-1], observation=question.observation)
    difference = _first_row(question.ask(structure, True), changed.ask(structure, True))
    if difference is not None:
        return Finding(
            "(L1)",
            f"local() at a begin depends on the episode before: {question.shown(difference, True)} gives something else "
            f"than {changed.shown(difference, True)}. A begin clears local memory. Where begin is true, use the "
            "observation alone.",
        )
    return None


def _purity_fault(
    question: Question, begin: bool, histories: Sequence[Sequence[JointStep]], subject: StructureSubject
) -> Finding | None:
    """The same answer from an object that has seen common information, and for a row asked alone."""
    answer = question.ask(subject.fresh(), begin)
    witness = subject.fresh()
    for history in histories:
        witness.common(history)
        difference = _first_row(answer, question.ask(witness, begin))
        if difference is not None:
            return Finding(
                "(L1)",
                f"local() answers {question.shown(difference, begin)} differently after common() was called. Common "
                "information reaches local information through the object's memory. Keep structures without state.",
            )
    if _first_row(answer[:1], question.ask(subject.fresh(), begin, slice(1))) is not None:
        return Finding(
            "(L1)",
            f"local() answers {question.shown(0, begin)} differently when that copy is asked alone. Copy e must depend on "
            "row e only. Do not reduce over copies.",
        )
    return None


def _first_row(left: NDArray[np.int64], right: NDArray[np.int64]) -> int | None:
    if left.shape != right.shape:
        return 0
    rows = np.flatnonzero((left != right).any(axis=1))
    return int(rows[0]) if len(rows) else None
