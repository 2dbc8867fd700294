"""Replay of a recorded run to any step, and which agents' accounts of that step agree with it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dadc_net.audit.consistency import find_journals
from dadc_net.audit.fresh_learner import FreshLearner, RecomputedState
from dadc_net.audit.journal_audit import audit
from dadc_net.audit.kept_state import Arrays, Compared, Side, kept_state, stopped_step
from dadc_net.audit.referee import Referee
from dadc_net.audit.state_difference import differences
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import UsageError
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.rule_file import kept_rule

_COLUMNS = ("chain head", "parameters", "ais", "prescription", "step digest")


@dataclass(frozen=True)
class Replayed:
    """A state, and who agrees with it."""

    state: RecomputedState
    agent: int
    """Whose common log was replayed."""
    last_record: int
    """Of that log."""
    agents: dict[int, list[str]]
    """agent whose journal reaches this record -> what in its account differs"""

    @property
    def agreed(self) -> bool:
        """Every agent that has this record has the same digests."""
        return not any(self.agents.values())

    def to_plain(self) -> dict[str, Any]:
        """Plain data for --json."""
        return asdict(self) | {"agreed": self.agreed}


def replay(folders: Sequence[Path], shared_seed: bytes, until: int | None = None, agent: int | None = None) -> Replayed:
    """Compute the state after record ``until`` again, from the log of ``agent``; None: the last record, the longest log.

    Raises:
        UsageError: if no agent's journal is there, or it does not reach ``until``.
        CorruptStateError: if a journal is damaged.
        MismatchError: if the seed is not this run's.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(JournalReader(folder))) for folder in find_journals(folders)]
        agents = {reader.agent: reader for reader in readers if reader.agent}
        tips = {number: audit(reader) for number, reader in agents.items()}
        if not agents or (agent is not None and agent not in agents):
            raise UsageError(
                f"journals of the agents {sorted(agents)} were found, {'none' if agent is None else f'not {agent}'}. "
                "A replay follows the common log of an agent. Give the folder of a run, or of an agent."
            )
        chosen = agent if agent is not None else max(agents, key=lambda number: tips[number])
        step = tips[chosen] if until is None else until
        if not 0 <= step <= tips[chosen]:
            raise UsageError(
                f"--until is {step}, but the log of agent {chosen} holds the records 0 to {tips[chosen]}. Nothing was "
                "replayed. Give one of those."
            )
        log = agents[chosen]
        Referee(log, shared_seed).refuse_wrong_seed(list(agents.values()))
        learner = _learner_of(log, shared_seed)
        for _ in learner.follow(islice(log.records(), step + 1)):
            pass
        state = learner.state()
        return Replayed(state, chosen, tips[chosen], _differing(state, agents))


def compare_states(folders: Sequence[Path], shared_seed: bytes, pair: tuple[int, int], until: int | None) -> Compared:
    """Two agents' states after record ``until``; None: where a divergence stopped them, or the last record of both.

    Raises:
        UsageError: if one of the two journals is not there.
        CorruptStateError: if a journal is damaged or ends too early.
        MismatchError: if the seed is not this run's.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(JournalReader(folder))) for folder in find_journals(folders)]
        agents = {reader.agent: reader for reader in readers if reader.agent}
        missing = [agent for agent in pair if agent not in agents]
        if missing or pair[0] == pair[1]:
            raise UsageError(
                f"--diff {pair[0]} {pair[1]} needs the journals of two agents, those of {sorted(agents)} were found. "
                "Nothing was compared. Give the run's folder, or the folders of both."
            )
        two = [agents[agent] for agent in pair]
        tips = [audit(reader) for reader in two]
        stopped = [step for step in (stopped_step(reader.path.parent) for reader in two) if step is not None]
        step = until if until is not None else min(stopped or tips)
        Referee(two[0], shared_seed).refuse_wrong_seed(two)
        states = [kept_state(reader, shared_seed, step) for reader in two]
        learner = _learner_of(two[0], shared_seed)
        for _ in learner.follow(islice(two[0].records(), step + 1)):
            pass
        right = learner.replica.coordinator.snapshot()
        left, other = (_only(right, state.arrays) for state in states)
        return Compared(
            step,
            Side(pair[0], states[0].origin, not differences(right, left)),
            Side(pair[1], states[1].origin, not differences(right, other)),
            differences(left, other),
        )


def _learner_of(log: JournalReader, shared_seed: bytes) -> FreshLearner:
    return FreshLearner(CoordinatorSettings.from_plain(log.facts["settings"]), shared_seed, kept_rule(log.path.parent))


def _only(names: Arrays, state: Arrays) -> Arrays:
    """The learner's part of a state: a checkpoint also holds an agent's own memory, which is nobody else's business."""
    return {name: array for name, array in state.items() if name in names}


def _differing(state: RecomputedState, agents: dict[int, JournalReader]) -> dict[int, list[str]]:
    right = (state.head, state.parameters_digest, state.ais_digest, state.prescription_digest, state.step_digest)
    found: dict[int, list[str]] = {}
    for number, reader in sorted(agents.items()):
        row = next(islice(reader.steps(), state.step, None), None)
        if row is not None:
            own = [value.hex() for value in row[1:]]
            found[number] = [name for name, one, other in zip(_COLUMNS, own, right, strict=True) if one != other]
    return found
