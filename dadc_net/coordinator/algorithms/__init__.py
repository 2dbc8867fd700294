"""The algorithms: each one file, each one function that improves actor and critic from a batch.

An algorithm gets the AIS of the batch as data and the network that holds phi and vartheta. It returns its losses for
metrics. Everything else (acting, the state approximator, digests, the order of updates) belongs to the learner, so a
further algorithm is one file and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable

from dadc_net.coordinator.actor_critic_network import ActorCriticNetwork
from dadc_net.coordinator.algorithms import actor_critic, ppo
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.settings import CoordinatorSettings
from dadc_net.exact.grid import Array

Improve = Callable[[ActorCriticNetwork, Batch, Array, CoordinatorSettings, int], dict[str, float]]
"""(network, batch, AIS [T+1, E, X], settings, update 1..) -> losses by name."""

IMPROVE: dict[str, Improve] = {"actor-critic": actor_critic.improve, "ppo": ppo.improve}
