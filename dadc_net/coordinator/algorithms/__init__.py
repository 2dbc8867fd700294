"""The algorithms: each one file and one class over the skeleton in ``coordinator.algorithm``."""

from __future__ import annotations

from dadc_net.coordinator.algorithm import Algorithm
from dadc_net.coordinator.algorithms.actor_critic import ActorCritic
from dadc_net.coordinator.algorithms.ais_planning import AisPlanning
from dadc_net.coordinator.algorithms.naf_dqn import NafDqn
from dadc_net.coordinator.algorithms.ppo import ProximalPolicyOptimisation
from dadc_net.coordinator.algorithms.q_actor_critic import QActorCritic
from dadc_net.coordinator.algorithms.trpo import TrustRegion

IMPLEMENTATIONS: dict[str, type[Algorithm]] = {
    "actor-critic": ActorCritic,
    "ppo": ProximalPolicyOptimisation,
    "trpo": TrustRegion,
    "q-actor-critic": QActorCritic,
    "ais-planning": AisPlanning,
    "naf-dqn": NafDqn,
}
"""Name in the configuration -> implementation."""
