"""The state approximator learns from a replay memory too, beside an algorithm that learns from the present batch only.

Once a rule is constant, its batches say nothing of the other prescriptions, and an encoder that sees nothing else forgets
what it knew of them: rule and AIS collapse together. A model of (z', r) given (x, theta) does not depend on the rule that
chose theta, so every record can be learned from again.
"""

from __future__ import annotations

from dadc_net.coordinator.algorithm import Parts
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.memory import ReplayMemory
from dadc_net.exact.streams import Stream


class EncoderReplay:
    """One step on windows of the memory before each update."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        copies, steps = parts.settings.learner.num_envs, parts.settings.learner.batch_lock_steps
        ais = parts.settings.ais
        capacity = max(steps, ais.replay_window + 1, ais.memory_steps // copies)
        self.memory = ReplayMemory(capacity, copies, parts.space, parts.theta, parts.approximator.size)
        self._stream = Stream("replay/ais", parts.shared_seed)

    def improve(self, batch: Batch, update: int) -> None:
        """Remember ``batch``; one step on what is remembered, once that is long enough."""
        self.memory.add(batch)
        ais = self._parts.settings.ais
        if not self.memory.holds(ais.replay_window):
            return
        windows = self.memory.windows(
            *(self._stream, update, ais.replay_windows, ais.replay_window, ais.replay_warm_up, batch.reward_scale)
        )
        self._parts.approximator.improve(windows, self._parts.settings, update)
