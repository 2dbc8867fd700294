"""Agent k without I/O: a message in, messages and an account of what happened out.

This is the only place that holds both a coordinator and local information, and the line between them is one call:
``PassiveAgents.act`` is given the prescription. An independent learner, the baseline, has no such line. The agent knows no
environment; its settings come with ``Begin``.

    JOINING --Begin--> RUNNING --End--> FINISHED
    any state --Fault--> raises the error that the fault carries
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from dadc_net.coordinator.settings import CoordinatorSettings
from dadc_net.errors import MismatchError, ProtocolError, error_for_exit_code
from dadc_net.node.independent_replica import IndependentReplica
from dadc_net.node.messages import NO_RUN, Act, Alive, Begin, End, Fault, Join, Message, Probe, Step
from dadc_net.node.passive_agent import PassiveAgents, private_stream
from dadc_net.node.record import pack_actions
from dadc_net.node.replica import Replica, StepAccount, commitment
from dadc_net.team.families import family_from_record
from dadc_net.team.information import InformationStructure, structure_by_name
from dadc_net.team.spaces import FiniteSpace, space_from_record


class Phase(Enum):
    """Where an agent stands."""

    JOINING = "joining"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True)
class AgentIdentity:
    """What an agent process is started with."""

    agent: int
    """1..K"""
    shared_seed: bytes
    selftest: bytes
    settings_digest: bytes = b""
    """Digest of the settings it insists on; empty: whatever the server says."""
    host: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    """As in ``Join``."""
    structure: InformationStructure | None = None
    """The user's own structure, loaded on this host; a name sent by the server is looked up among built-in ones."""
    private_seed: bytes = b""
    """Of the stream that the agent draws its own actions with; empty: the shared seed, so that runs repeat."""


class Reaction(NamedTuple):
    """What to send, and what was done."""

    messages: list[Message]
    account: StepAccount | None = None


class AgentNode:
    """The agent's role in the protocol."""

    def __init__(self, identity: AgentIdentity, tamper: Callable[[Replica, int], None] | None = None) -> None:
        """``tamper`` is called with the replica before each record; negative controls use it to break a replica."""
        self.identity = identity
        self.phase = Phase.JOINING
        self.replica: Replica | None = None
        self.learner_digest = b""
        self._tamper = tamper
        self._passive: PassiveAgents | None = None
        self.run_id = NO_RUN
        self._epoch = 0
        self.next_step = 0
        self._last_answer: Act | None = None

    def join(self) -> Join:
        """The message that opens, or re-opens, the conversation."""
        identity = self.identity
        seed = commitment(identity.shared_seed)
        return Join(
            identity.agent, seed, identity.selftest, identity.settings_digest, identity.host, identity.answers
        )

    def receive(self, message: Message) -> Reaction:
        """React to one message.

        Raises:
            DadcError: the error that a ``Fault`` carries, or what went wrong here.
        """
        match message:
            case Begin():
                self._begin(message)
                return Reaction([])
            case Step():
                return self._step(message)
            case End():
                return self._end(message)
            case Probe():
                return Reaction([Alive(self.identity.agent)])
            case Fault(exit_code, text):
                raise error_for_exit_code(exit_code, text)
            case _:
                raise ProtocolError(
                    f"agent {self.identity.agent} received a {type(message).__name__}, which only an agent may send. "
                    "The peer is not an environment server. Check the address given with --server."
                )

    def _begin(self, message: Begin) -> None:
        if self.phase is not Phase.JOINING:
            raise ProtocolError(
                f"the server began run {message.run_id.hex()[:8]} while run {self.run_id.hex()[:8]} is under way. "
                f"It was at step {self.next_step}. Restart the agents together with the server."
            )
        settings = CoordinatorSettings.from_record(message.settings)
        wanted = self.identity.settings_digest
        if wanted and wanted != settings.digest():
            raise MismatchError(
                f"the server's settings have the digest {settings.digest().hex()[:16]}, agent {self.identity.agent} "
                f"insists on {wanted.hex()[:16]}. No step was taken. Give server and agent the same task and options."
            )
        structure = self.identity.structure or structure_by_name(message.structure)
        space = space_from_record(message.observation_space)
        if not isinstance(space, FiniteSpace):
            raise ProtocolError(
                f"the private observations have the space {message.observation_space!r}, which is not finite. "
                "Prescriptions are tables over finitely many local values. Use a finite observation space."
            )
        self.run_id, self._epoch = message.run_id, message.epoch
        agent, seed = self.identity.agent, self.identity.shared_seed
        shared = settings.is_shared
        self.replica = Replica(settings, seed) if shared else IndependentReplica(settings, seed, agent, space)
        stream = private_stream(self.identity.agent, self.identity.private_seed or self.identity.shared_seed)
        family = family_from_record(message.family)
        streams = {self.identity.agent: stream}
        self._passive = PassiveAgents(streams, settings.learner.num_envs, structure, family, space)
        self.phase = Phase.RUNNING

    def _step(self, message: Step) -> Reaction:
        if self.replica is None or self._passive is None or message.run_id != self.run_id:
            raise ProtocolError(
                f"agent {self.identity.agent} received step {message.sequence} of run {message.run_id.hex()[:8]}, but "
                f"it takes part in run {self.run_id.hex()[:8]}. The server was restarted. Restart the agents as well."
            )
        if message.sequence == self.next_step - 1 and self._last_answer is not None:
            return Reaction([self._last_answer])  # A repeated record gets the stored answer: receiving is idempotent.
        if message.sequence != self.next_step:
            raise ProtocolError(
                f"agent {self.identity.agent} expected step {self.next_step} and received step {message.sequence}. "
                "Steps were lost on the way. Restart the run."
            )
        if self._tamper is not None:
            self._tamper(self.replica, message.sequence)
        if isinstance(self.replica, IndependentReplica):
            self.replica.show(message.sequence, message.private)
        account = self.replica.receive(message.sequence, message.common, message.head)
        self._passive.observe(message.sequence, [message.private], account.begin)
        actions = b""
        if account.prescriptions is not None:
            actions = pack_actions(self._passive.act(message.sequence, account.prescriptions)[:, 0])
        update_digest = b"" if account.update is None else account.update.digest
        self.learner_digest = update_digest or self.learner_digest
        answer = Act(
            self.run_id,
            self._epoch,
            self.identity.agent,
            message.sequence,
            actions,
            account.step_digest,
            update_digest,
        )
        self.next_step += 1
        self._last_answer = answer
        return Reaction([answer], account)

    def _end(self, message: End) -> Reaction:
        if message.learner_digest != self.learner_digest:
            raise ProtocolError(
                f"the server ended the run with learner digest {message.learner_digest.hex()[:16]}, agent "
                f"{self.identity.agent} has {self.learner_digest.hex()[:16]}. They were equal at the last update. "
                "Run dadc check on the run's folders."
            )
        self.phase = Phase.FINISHED
        return Reaction([])
