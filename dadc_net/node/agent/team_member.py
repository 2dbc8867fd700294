"""One agent of the team without its protocol: a coordinator and the passive agent that obeys it.

This is the only place that holds both a coordinator and local information, and the line between them is one call:
``OwnPart.answer`` is given the prescription. Nothing flows back. An independent learner, the baseline, has no such line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import CorruptStateError, ProtocolError
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.independent_replica import IndependentReplica, replica_of
from dadc_net.node.agent.own_part import OwnPart, TableAgent
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.agent.replica import StepAccount
from dadc_net.node.record import ActionLayout, CommonLayout, ObservationLayout, Record
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.families import family_from_plain
from dadc_net.team.spaces import FiniteSpace, space_from_plain
from dadc_net.team.structures.by_name import own_structure, structure_from_plain


class TeamMember:
    """Agent ``identity.agent`` of one run."""

    def __init__(self, identity: AgentIdentity, settings: CoordinatorSettings, facts: Mapping[str, Any]) -> None:
        """``facts``: structure, family, observation_space and action_space, as Begin and the journal hold them.

        Raises:
            UsageError: for a structure that is neither built in nor the agent's own, or prescriptions that do not fit it.
            MismatchError: if the agent's own structure, or the learned rule that it was given, is not the run's.
            ProtocolError: for an action space that is not finite, or prescriptions that are not the coordinator's.
        """
        if identity.rule is not None:
            identity.rule.check_problem(settings, facts["structure"], facts["family"])
        own, record = identity.structure, facts["structure"]
        structure = structure_from_plain(record) if own is None else own_structure(own, record)
        spec = AgentSpec(space_from_plain(facts["observation_space"]), _finite(facts["action_space"]))
        self.settings = settings
        self.replica = replica_of(settings, identity.shared_seed, identity.agent, spec.observation_space, identity.rule)
        spaces = {name: facts[name] for name in ("observation_space", "action_space")}
        self._problem = {
            **{name: facts[name] for name in ("structure", "family")},
            "agents": {str(identity.agent): spaces},
        }
        """What whoever finds a checkpoint needs to act with it."""
        copies = settings.learner.num_envs
        actions = ActionLayout(spec.action_space, copies)
        common = CommonLayout(space_from_plain(settings.common_space), copies)
        self.record_bytes = max(common.size, ObservationLayout(spec.observation_space, copies).size)
        """Of the larger of a record's two parts."""
        streams = {identity.agent: private_stream(identity.agent, identity.private_seed or identity.shared_seed)}
        family = family_from_plain(facts["family"])
        if family.space.to_plain() != settings.theta_space:
            raise ProtocolError(
                f"the server says that a coordinator chooses from {settings.theta_space!r}, but the prescriptions "
                f"{family.name} are {family.space.to_plain()!r}. Nothing was computed. Check that server and agent run the "
                "same version of dadc-net."
            )
        passive = PassiveAgents(streams, copies, structure, family, [spec])
        self._own = OwnPart(passive, actions, TableAgent.of(identity.agent, spec, structure, family, actions))

    def advance(self, record: Record, observation: bytes) -> tuple[StepAccount, bytes]:
        """One record and this agent's observation: what the replica did, and this agent's actions (none at the last record).

        Raises:
            ProtocolError: if the chain does not continue or the bytes do not fit; then nothing has changed.
        """
        seen = self._own.read(record.step, observation)
        if isinstance(self.replica, IndependentReplica):
            self.replica.show(record.step, observation)
        account = self.replica.receive(record)
        return account, self._own.answer(record.step, seen, account.begin, account.prescriptions)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of the whole state, local memory included."""
        return {**self.replica.coordinator.snapshot(), **self._own.snapshot()}

    def meta(self) -> dict[str, Any]:
        """What belongs to a snapshot so that it can be checked."""
        return {
            "settings": self.settings.to_plain(),
            **self._problem,
            "head": self.replica.head.hex(),
            "state_digest": self.replica.coordinator.digest().hex(),
        }

    def restore(self, step: int, snapshot: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Take the state after record ``step``.

        Raises:
            CorruptStateError: if it gives another learner digest than it was made from.
        """
        self.replica.restore(snapshot, bytes.fromhex(meta["head"]))
        self._own.restore(snapshot)
        if self.replica.coordinator.digest().hex() != meta["state_digest"]:
            raise CorruptStateError(
                f"the checkpoint after record {step} gives another learner state than it was made from. Nothing was sent. "
                "Delete this checkpoint: the one before it, or the journal, brings the agent back."
            )


def _finite(record: Mapping[str, Any]) -> FiniteSpace:
    space = space_from_plain(record)
    if not isinstance(space, FiniteSpace):
        raise ProtocolError(
            f"the server says that actions are {dict(record)!r}, but an action is one of finitely many. Nothing was "
            "computed. Check that server and agent run the same version of dadc-net."
        )
    return space
