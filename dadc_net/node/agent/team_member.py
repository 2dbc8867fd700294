"""One agent of the team without its protocol: a coordinator and the passive agent that obeys it.

This is the only place that holds both a coordinator and local information, and the line between them is one call:
``PassiveAgents.act`` is given the prescription. Nothing flows back. An independent learner, the baseline, has no such line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import CorruptStateError, ProtocolError
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.independent_replica import IndependentReplica
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.agent.replica import Replica, StepAccount
from dadc_net.node.record import pack_actions
from dadc_net.team.families import family_from_plain
from dadc_net.team.information import structure_by_name
from dadc_net.team.spaces import FiniteSpace, space_from_plain


class TeamMember:
    """Agent ``identity.agent`` of one run."""

    def __init__(self, identity: AgentIdentity, settings: CoordinatorSettings, facts: Mapping[str, Any]) -> None:
        """``facts``: structure, family and observation_space, as Begin and the journal hold them.

        Raises:
            UsageError: for a structure that is neither built in nor the agent's own.
            ProtocolError: for an observation space that is not finite.
        """
        structure = identity.structure or structure_by_name(facts["structure"])
        space = space_from_plain(facts["observation_space"])
        if not isinstance(space, FiniteSpace):
            raise ProtocolError(
                f"the private observations have the space {facts['observation_space']!r}, which is not finite. "
                "Prescriptions are tables over finitely many local values. Use a finite observation space."
            )
        self.settings = settings
        agent, seed, shared = identity.agent, identity.shared_seed, settings.is_shared
        self.replica = Replica(settings, seed) if shared else IndependentReplica(settings, seed, agent, space)
        streams = {identity.agent: private_stream(identity.agent, identity.private_seed or identity.shared_seed)}
        family = family_from_plain(facts["family"])
        self._passive = PassiveAgents(streams, settings.learner.num_envs, structure, family, space)

    def advance(self, step: int, common: bytes, head: bytes, private: bytes) -> tuple[StepAccount, bytes]:
        """One record: what the replica did, and this agent's actions (none at the last record).

        Raises:
            ProtocolError: if the chain does not continue or the bytes do not fit.
        """
        if isinstance(self.replica, IndependentReplica):
            self.replica.show(step, private)
        account = self.replica.receive(step, common, head)
        self._passive.observe(step, [private], account.begin)
        if account.prescriptions is None:
            return account, b""
        return account, pack_actions(self._passive.act(step, account.prescriptions)[:, 0])

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of the whole state, local memory included."""
        return {**self.replica.coordinator.snapshot(), **self._passive.snapshot()}

    def meta(self) -> dict[str, Any]:
        """What belongs to a snapshot so that it can be checked."""
        return {
            "settings": self.settings.to_plain(),
            "head": self.replica.head.hex(),
            "state_digest": self.replica.coordinator.digest().hex(),
        }

    def restore(self, step: int, snapshot: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Take the state after record ``step``.

        Raises:
            CorruptStateError: if it gives another learner digest than it was made from.
        """
        self.replica.restore(snapshot, bytes.fromhex(meta["head"]))
        self._passive.restore(snapshot)
        if self.replica.coordinator.digest().hex() != meta["state_digest"]:
            raise CorruptStateError(
                f"the checkpoint after record {step} gives another learner state than it was made from. Nothing was sent. "
                "Delete this checkpoint: the one before it, or the journal, brings the agent back."
            )
