"""The referee of a check: a fresh learner that stands beside the agents as one more party, and is right by construction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dadc_net.audit.fresh_learner import FreshLearner
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import MismatchError
from dadc_net.node.rows import UpdateRow
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.rule_file import kept_rule


class Referee:
    """Reads like a journal, but computes what it says."""

    def __init__(self, log: JournalReader, shared_seed: bytes) -> None:
        """``log``: the journal whose common log is replayed."""
        self._log = log
        self._settings = CoordinatorSettings.from_plain(log.facts["settings"])
        self._seed = shared_seed
        self._rule = kept_rule(log.path.parent)
        self._learner = FreshLearner(self._settings, shared_seed, self._rule)
        self._made: UpdateRow | None = None

    def refuse_wrong_seed(self, agents: Sequence[JournalReader]) -> None:
        """Before record 0 nothing has been computed that could be wrong, so a difference there is the seed's.

        Raises:
            MismatchError: if all agents began with the same other parameters and digest key.
        """
        first = next(iter(FreshLearner(self._settings, self._seed, self._rule).follow(self._log.records())), None)
        begun = {row[5] for row in (next(reader.steps(), None) for reader in agents) if row is not None}
        if first is not None and len(begun) == 1 and first.digests.step_digest not in begun:
            raise MismatchError(
                f"the shared seed is not this run's: recomputed with it, record 0 has the digest "
                f"{first.digests.step_digest.hex()[:16]}, every agent has {next(iter(begun)).hex()[:16]}. "
                "Give the seed that the agents were started with."
            )

    @property
    def facts(self) -> dict[str, Any]:
        """Its tensors at the step at which it stands, as an agent notes them when a run stops."""
        coordinator = self._learner.replica.coordinator
        tensors = {name: value.hex() for name, value in coordinator.tensor_digests().items()}
        return {"stopped": {"step": self._learner.state().step, "tensors": tensors}}

    def steps(self) -> Iterator[tuple[Any, ...]]:
        """Rows as an agent's journal has them, computed when they are asked for."""
        for account in self._learner.follow(self._log.records()):
            self._made = self._learner.last_update
            yield account.record.step, account.record.head, *account.digests

    def update_at(self, step: int) -> UpdateRow | None:
        """The update that record ``step``, where it stands, closed; None where it closed none."""
        return self._made if self._made is not None and self._made.step == step else None
