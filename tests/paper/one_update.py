"""A coordinator that has seen one batch: what it was given, and its parameters before and after the update."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dadc_net.config import resolve
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.streams import seed_bytes
from dadc_net.team.common_record import CommonRecord
from tests.paper.printed import Array, Experience

SIZES = ["learner.num_envs=1", "learner.batch_steps=6", "learner.hidden_size=4", "ais.size=3"]
AS_PRINTED = ["ais.loss=next-ais-nll", "ais.detach_target=false"]


class OneUpdate(NamedTuple):
    """Parameters by component and name."""

    learner: Coordinator
    before: dict[str, dict[str, Array]]
    after: dict[str, dict[str, Array]]
    seen: Experience
    losses: dict[str, float]

    def moved(self, component: str) -> dict[str, Array]:
        """After minus before."""
        return {name: self.after[component][name] - old for name, old in self.before[component].items()}


def parameters(learner: Coordinator) -> dict[str, dict[str, Array]]:
    """Copies of all parameters."""
    return {group.component: {name: array.copy() for name, array in group.arrays.items()} for group in learner.groups}


def theorem_settings(*overrides: str, **options: object) -> CoordinatorSettings:
    """The preset of Theorem 4, small: plain gradient steps, Q and its gradient as printed."""
    chosen = {"algorithm": "q-actor-critic", "preset": "theorem", "updates": 1, **options}
    return resolve("mabc", [*SIZES, *overrides], chosen).settings


def one_update(settings: CoordinatorSettings, seed: int = 7, largest_reward: float = 3.0) -> OneUpdate:
    """Feed one batch of made-up common information; rewards are large enough for both branches of smooth L1."""
    learner = Coordinator(settings, seed_bytes(seed))
    rng = np.random.Generator(np.random.Philox(11))
    steps, entries = settings.learner.batch_lock_steps, settings.num_prescriptions
    before = parameters(learner)
    inputs, observed, thetas, rewards = [], [], [], []
    code, losses = np.zeros(entries), {}
    no, ended = np.zeros(1, dtype=bool), np.zeros(1, dtype=np.uint8)
    for t in range(steps + 1):
        index = int(rng.integers(learner.space.num_values))
        gain = 0.0 if t == 0 else float(rng.uniform(-largest_reward, largest_reward))
        common = learner.space.values(np.array([index]))
        decision = learner.receive(CommonRecord(t, common, np.array([gain]), ~no if t == 0 else no, ended))
        inputs.append(np.concatenate((np.eye(learner.space.num_values)[index], code)))
        observed.append(index)
        rewards.append(gain)
        if decision.update is not None:
            losses = decision.update.losses
        if decision.prescriptions is not None:
            thetas.append(int(decision.prescriptions[0]))
            code = np.eye(entries)[thetas[-1]]
    seen = Experience(np.array(inputs), np.array(observed), np.array(thetas), np.array(rewards[1:]), entries)
    return OneUpdate(learner, before, parameters(learner), seen, losses)


def batch_of(seen: Experience, size: int) -> Batch:
    """The same experience as the learner's own kind of batch; ``size`` X."""
    records, steps = len(seen.inputs), len(seen.rewards)
    keep = np.ones((records, 1, 1))
    keep[0] = 0.0
    return Batch(
        seen.inputs[:, None].copy(),
        keep,
        np.zeros((1, size)),
        seen.observed[:, None].copy(),
        seen.thetas[:, None].copy(),
        seen.rewards.reshape(steps, 1).copy(),
        np.zeros((records, 1), dtype=np.uint8),
    )
