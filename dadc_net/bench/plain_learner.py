"""The advantage actor-critic in plain torch, as one would write it without a thought for bits: a yardstick.

Same network, losses, clipping and optimiser as the exact learner (paper, E.1), with torch.nn layers, autograd and
torch.optim.Adam in float32 or float64. Two replicas of it on different CPUs part at the first update; nothing but the
benchmark uses it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings


class PlainBatch(NamedTuple):
    """A batch of T lock-steps of E copies without episode ends."""

    inputs: Tensor
    """[T+1, E, I]"""
    common_index: Tensor
    """int64 [T+1, E]"""
    prescriptions: Tensor
    """int64 [T, E]"""
    rewards: Tensor
    """[T, E]"""


class PlainLearner(nn.Module):
    """Both parameter groups, their optimisers, one update and one acting step."""

    def __init__(self, settings: CoordinatorSettings, inputs: int, outcomes: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.settings = settings
        size, hidden, entries = settings.ais.size, settings.learner.hidden_size, settings.num_prescriptions
        self.embedding = nn.Linear(inputs, size)
        self.recurrent = nn.GRU(size, size)
        self.reward = nn.Sequential(nn.Linear(size + entries, size), nn.Tanh(), nn.Linear(size, 1))
        self.transition = nn.Sequential(nn.Linear(size + entries, size), nn.Tanh(), nn.Linear(size, outcomes))
        self.trunk = nn.Sequential(nn.Linear(size, hidden), nn.Tanh())
        self.actor = nn.Linear(hidden, entries)
        self.critic = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.to(dtype)
        approximator = (self.embedding, self.recurrent, self.reward, self.transition)
        self.approximator_parameters = [p for module in approximator for p in module.parameters()]
        self.policy_parameters = [p for module in (self.trunk, self.actor, self.critic) for p in module.parameters()]
        self.approximator_optimiser = torch.optim.Adam(self.approximator_parameters, settings.ais.learning_rate)
        self.policy_optimiser = torch.optim.Adam(self.policy_parameters, settings.learner.learning_rate)

    def update(self, batch: PlainBatch, start: Tensor) -> dict[str, float]:
        """State approximator, then actor and critic; start [E, X]. The losses, by the names of the exact learner."""
        states, _ = self.recurrent(torch.tanh(self.embedding(batch.inputs)), start[None])
        codes = functional.one_hot(batch.prescriptions, self.settings.num_prescriptions).to(states.dtype)
        known = torch.cat((states[:-1], codes), 2)
        reward_loss = functional.smooth_l1_loss(self.reward(known)[..., 0], batch.rewards)
        predicted = self.transition(known)
        transition_loss = functional.cross_entropy(predicted.flatten(0, 1), batch.common_index[1:].flatten())
        weight = self.settings.ais.reward_loss_weight
        self.approximator_optimiser.zero_grad()
        loss = weight * reward_loss + (1.0 - weight) * transition_loss
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.ais.gradient_norm > 0.0:
            nn.utils.clip_grad_norm_(self.approximator_parameters, self.settings.ais.gradient_norm)
        self.approximator_optimiser.step()
        losses = {"ais": loss.item(), "reward": reward_loss.item(), "transition": transition_loss.item()}
        return losses | self._improve(batch, states.detach())

    def _improve(self, batch: PlainBatch, states: Tensor) -> dict[str, float]:
        learner = self.settings.learner
        with torch.no_grad():
            values = self.critic(self.trunk(states))[..., 0]
            delta = batch.rewards + self.settings.discount * values[1:] - values[:-1]
            advantages, following = torch.empty_like(delta), torch.zeros_like(delta[0])
            for t in range(delta.shape[0] - 1, -1, -1):
                following = delta[t] + self.settings.discount * learner.trace_decay * following
                advantages[t] = following
        trunk = self.trunk(states[:-1])
        logs = functional.log_softmax(self.actor(trunk), 2)
        policy = (logs.gather(2, batch.prescriptions[..., None])[..., 0] * advantages).mean()
        entropy = -(logs.exp() * logs).sum(2).mean()
        value = functional.smooth_l1_loss(self.critic(trunk)[..., 0], advantages + values[:-1])
        self.policy_optimiser.zero_grad()
        loss = learner.value_loss_weight * value - (policy + learner.entropy_weight * entropy)
        loss.backward()  # type: ignore[no-untyped-call]
        if learner.gradient_norm > 0.0:
            nn.utils.clip_grad_norm_(self.policy_parameters, learner.gradient_norm)
        self.policy_optimiser.step()
        return {"policy": -policy.item(), "value": value.item(), "entropy": entropy.item()}

    @torch.no_grad()
    def act(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One lock-step: inputs [E, I], state [E, X] -> next state [E, X], drawn prescriptions [E]."""
        states, _ = self.recurrent(torch.tanh(self.embedding(inputs))[None], state[None])
        probabilities = functional.softmax(self.actor(self.trunk(states[0])), 1)
        return states[0], torch.multinomial(probabilities, 1)[:, 0]
