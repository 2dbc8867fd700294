"""What an environment server is to do: the phases of its run, how long each may last, and what goes in and out."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import NamedTuple

from dadc_net.errors import TemporaryError
from dadc_net.node.messages import Begin, Message
from dadc_net.node.server.world import TeamProblem

LINGER_SECONDS = 30.0
"""How long a finished server waits for an agent that has not said that it kept the result."""


class ServerPhase(Enum):
    """Where the run stands."""

    JOINING = "joining"
    """Until all K agents have joined; those that do not fit are refused."""
    RUNNING = "running"
    """Lock-step: one record to every agent, one answer from every agent, compare digests, step."""
    EXAMINING = "examining"
    """Replicas differ; until the agents have said which tensor it is in."""
    FINISHED = "finished"
    """All records are answered; until every agent has said that it kept the result."""
    FAILED = "failed"
    """After a divergence, a straggler or a request to stop; ``EnvironmentServerNode.error`` says why."""


FOLLOWING: dict[ServerPhase, set[ServerPhase]] = {
    ServerPhase.JOINING: {ServerPhase.RUNNING, ServerPhase.FINISHED, ServerPhase.FAILED},
    ServerPhase.RUNNING: {ServerPhase.EXAMINING, ServerPhase.FINISHED, ServerPhase.FAILED},
    ServerPhase.EXAMINING: {ServerPhase.FAILED},
    ServerPhase.FINISHED: {ServerPhase.EXAMINING, ServerPhase.FAILED},
    ServerPhase.FAILED: {ServerPhase.FAILED},
}
"""Phase -> what can come after it. JOINING to FINISHED: taken up again after its end, before all were told. FINISHED to
EXAMINING: an agent that goes through the log once more answers otherwise."""


class Delivery(NamedTuple):
    """A message for one connection."""

    peer: bytes
    message: Message


class ClosedStep(NamedTuple):
    """A record that all agents have answered."""

    step: int
    update: int | None
    """Index of the update that the record closed."""


class RunTerms(NamedTuple):
    """What the server is told of the learner: how long the run is, and what to hand to the agents unread."""

    settings: dict[str, object]
    settings_digest: bytes
    batch_lock_steps: int
    updates: int
    lockstep_timeout_s: float
    join_timeout_s: float
    shared_learning: bool = True
    """Whether learner digests must be equal; independent learners differ by construction."""
    starting_rule: str = ""
    """Digest, in hexadecimal, of the learned rule that the agents must begin with; empty: they must have none."""

    @property
    def last_step(self) -> int:
        """Index of the run's last record."""
        return self.updates * self.batch_lock_steps

    def update_of(self, step: int) -> int | None:
        """Index of the update that record ``step`` closes; None if it closes none."""
        closes = step > 0 and step % self.batch_lock_steps == 0
        return step // self.batch_lock_steps if closes else None

    def patience_s(self, phase: ServerPhase) -> float:
        """How long ``phase`` may last without progress."""
        by_phase = {ServerPhase.JOINING: self.join_timeout_s, ServerPhase.FINISHED: LINGER_SECONDS}
        return by_phase.get(phase, self.lockstep_timeout_s)

    def too_late(self, phase: ServerPhase, step: int, late: list[int], present: Collection[int]) -> TemporaryError:
        """The error of a phase that has lasted too long because of the agents in ``late``; ``step``: the newest record."""
        joining = phase is ServerPhase.JOINING
        names = ", ".join(
            f"agent {agent}" + ("" if joining else " (connected)" if agent in present else " (gone)") for agent in late
        )
        doing = "join" if joining else f"answer step {step}"
        return TemporaryError(
            f"{names} did not {doing} within {self.patience_s(phase):g} s. The other agents were ready, and everything so "
            "far is kept. Start what is missing, or allow more time with "
            f"--set runtime.{'join' if joining else 'lockstep'}_timeout_s=..."
        )

    def environment_too_late(self, step: int, seconds: float) -> TemporaryError:
        """The error of an environment that needed too long for the record after ``step``, the newest that stands."""
        return TemporaryError(
            f"the environment needed {seconds:.1f} s for record {step}, more than the {self.lockstep_timeout_s:g} s of "
            "runtime.lockstep_timeout_s. All agents had answered and waited, and everything before is kept. Make the "
            "environment faster, or allow more time with --set runtime.lockstep_timeout_s=..."
        )

    def stopped(self, reason: str, step: int) -> TemporaryError:
        """The error of a server that was asked to stop; ``step``: the newest record, -1 before the first."""
        where = "before its first step" if step < 0 else f"at step {step} of {self.last_step}"
        return TemporaryError(
            f"the environment server was stopped by {reason}. The run stands {where}. Start the same commands again and it "
            "goes on from there."
        )

    def begin(self, problem: TeamProblem, run_id: bytes, epoch: int, agent: int) -> Begin:
        """What ``agent`` is told: everything it may know of the run, and no parameter of the environment."""
        own = problem.environment.spec.agents[agent - 1]
        return Begin(
            run_id=run_id,
            epoch=epoch,
            settings=self.settings,
            structure=problem.structure.to_plain(),
            family=problem.family.to_plain(),
            observation_space=own.observation_space.to_plain(),
            action_space=own.action_space.to_plain(),
        )
