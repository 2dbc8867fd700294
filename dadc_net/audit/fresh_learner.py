"""A fresh learner over a recorded common log: what every agent should have computed, and the state at any step.

The coordinator's state is a function of settings, shared seed and common log, so whoever has the three can compute it
again. That settles what two agents cannot settle between themselves. It needs the shared seed; the environment server
must not have it, so this runs where an agent could run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import CorruptStateError, UsageError
from dadc_net.node.agent.replica import Replica, StepAccount
from dadc_net.node.agent.starting_rule import StartingRule, start_of
from dadc_net.node.record import Record
from dadc_net.node.rows import UpdateRow


@dataclass(frozen=True, kw_only=True)
class RecomputedState:
    """The learner after one record; digests in hex."""

    step: int
    head: str
    """Chain hash of the common log."""
    parameters_digest: str
    ais_digest: str
    prescription_digest: str
    step_digest: str
    """Keyed, as every agent must have sent it."""
    update: int
    """How many updates were made."""
    learner_digest: str
    """Of the whole learner after that update, as every agent must have reported it; empty before the first."""
    state_digest: str
    """Of the whole learner after this record."""
    ais: list[list[float]]
    """x_t, [E][X]"""
    prescriptions: list[int] | None
    """theta_t, [E]; null after the last record."""

    def to_plain(self) -> dict[str, Any]:
        """Plain data for --json."""
        return asdict(self)


class FreshLearner:
    """Replays the common log from record 0."""

    def __init__(self, settings: CoordinatorSettings, shared_seed: bytes, rule: StartingRule | None = None) -> None:
        """``rule``: the learned rule that the run began with.

        Raises:
            UsageError: for independent learners: what each of them learned is not in the common log.
            MismatchError: if the run began with another rule.
        """
        if not settings.mode.one_learner:
            raise UsageError(
                "the learners of this run are independent: each learned from its own observations too, which are not in the "
                "common log. There is nothing to recompute. Check the run without --recompute."
            )
        self.replica = Replica(settings, shared_seed, start_of(settings, rule, 1))
        self.last_update: UpdateRow | None = None
        self._account: StepAccount | None = None

    def follow(self, log: Iterable[Record]) -> Iterator[StepAccount]:
        """The account of every record of ``log``, which begins with record 0.

        Raises:
            CorruptStateError: if a record is missing or does not continue the chain.
        """
        for expected, record in enumerate(log):
            if record.step != expected:
                raise CorruptStateError(
                    f"the common log has a hole: record {record.step} stands where record {expected} belongs. Nothing after "
                    "it was computed. Restore the party's folder from a copy."
                )
            account = self.replica.receive(record)
            self._account = account
            if account.update is not None:
                self.last_update = account.update
            yield account

    def state(self) -> RecomputedState:
        """The state after the last record that was followed."""
        account = self._account
        if account is None:
            raise CorruptStateError("the common log is empty. There is no state to show. Give a party that took a step.")
        coordinator = self.replica.coordinator
        chosen, update = account.prescriptions, self.last_update
        return RecomputedState(
            step=account.record.step,
            head=account.record.head.hex(),
            parameters_digest=account.digests.parameters.hex(),
            ais_digest=account.digests.ais.hex(),
            prescription_digest=account.digests.prescription.hex(),
            step_digest=account.digests.step_digest.hex(),
            update=0 if update is None else update.number,
            learner_digest="" if update is None else update.learner_digest.hex(),
            state_digest=coordinator.digest().hex(),
            ais=coordinator.snapshot()["carried/ais"].tolist(),
            prescriptions=None if chosen is None else chosen.tolist(),
        )
