"""The end of an episode as a part of what is predicted: the AIS knows how much time is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.coordinator.batch import ENDED_TERMINATED, ENDED_TRUNCATED, Batch
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment import simulation
from dadc_net.experiment.simulation import Simulation
from dadc_net.team.common_record import CommonRecord
from tests.coordinator.test_learner import settings
from tests.coordinator.test_operations import Guard, is_watched

DECISIONS = 4
GUESSED = float(np.log(12.0))
"""Cross-entropy of z_{t+1} for whoever knows that its twelve values are equally likely."""


def episodes(chosen: CoordinatorSettings, ended: int, by_chance: bool = False) -> Iterator[CommonRecord]:
    """Episodes of DECISIONS, or of a chance as large to end at each; z tells nothing."""
    stream, copies = Stream("test", seed_bytes(2)), chosen.learner.num_envs
    over = np.ones(copies, dtype=bool)
    age = np.zeros(copies, dtype=np.int64)
    for t in range(chosen.updates * chosen.learner.batch_lock_steps + 1):
        u = stream.uniforms(t, copies, 4)
        common = (u[:, :3] * np.array([2, 2, 3])).astype(np.int64)
        begin, age = over, np.where(over, 0, age + 1)
        over = (u[:, 3] * DECISIONS < 1.0) & ~begin if by_chance else age == DECISIONS
        yield CommonRecord(t, common, np.zeros(copies), begin, np.where(over, ended, 0).astype(np.uint8))


def last_loss(ended: int, by_chance: bool = False) -> float:
    """What the AIS has left of the transition loss, above that of z alone, per step."""
    chosen = settings(250, copies=16, steps=20, size=8, learning_rate=0.02, gradient_norm=1.0, predicts_end=True)
    learner, found = Coordinator(chosen, seed_bytes(7)), []
    for record in episodes(chosen, ended, by_chance):
        decision = learner.receive(record)
        if decision.update is not None:
            found.append(decision.update.losses["transition"])
    return float(np.mean(found[-20:])) - GUESSED


def test_the_ais_counts_where_episodes_have_a_number_of_decisions() -> None:
    assert last_loss(ENDED_TERMINATED) < 0.15
    assert last_loss(ENDED_TERMINATED, by_chance=True) > 0.4, "nobody can tell what is chance"


def test_a_copy_that_is_cut_off_by_the_clock_has_not_ended() -> None:
    assert last_loss(ENDED_TRUNCATED, by_chance=True) < 0.1


@pytest.mark.parametrize("beside", ["none", "next-ais-energy"])
def test_the_loss_is_that_of_both(beside: str) -> None:
    """Cross-entropy of z_{t+1} and of the end, by hand; the end's tensors come last, so that the others begin alike."""
    chosen = settings(1, copies=3, steps=6, beside=beside)
    both = replace(chosen, ais=replace(chosen.ais, predicts_end=True))
    ended = np.zeros((6, 3), dtype=np.uint8)
    ended[2], ended[4, 1] = ENDED_TERMINATED, ENDED_TRUNCATED
    losses = []
    for one in (chosen, both):
        approximator = Coordinator(one, seed_bytes(7)).approximator
        batch = Batch(
            inputs=np.zeros((6, 3, approximator.group.arrays["encoder.input.weight"].shape[0])),
            keep=np.ones((6, 3, 1)),
            start=np.zeros((3, one.ais.size)),
            common_index=np.zeros((6, 3), dtype=np.int64),
            prescriptions=np.zeros((5, 3), dtype=np.int64),
            rewards=np.zeros((5, 3)),
            ended=ended,
        )
        found = approximator.losses(batch)
        losses.append(found.transition)
    arrays, x = approximator.group.arrays, found.states[:-1].reshape(15, -1)
    theta = approximator.theta.codes(batch.prescriptions).reshape(15, -1)
    outcome = approximator.outcomes.codes(batch.common_index[1:])
    hidden = np.tanh(np.concatenate((x, theta, outcome), axis=1) @ arrays["end.hidden.weight"] + arrays["end.hidden.bias"])
    logits = hidden @ arrays["end.output.weight"] + arrays["end.output.bias"]
    over = (ended[1:] == ENDED_TERMINATED).reshape(15)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    counted = batch.valid.reshape(15) == 1.0
    by_hand = -log_p[np.arange(15), over.astype(int)][counted].mean()
    assert losses[1] - losses[0] == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("beside", ["none", "next-ais-energy"])
def test_only_allowed_operations_run(beside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "pass_selftest", lambda: None)
    overrides = ["learner.num_envs=3", "learner.batch_steps=12", "env.horizon=2", f"ais.beside={beside}"]
    config = resolve("dec-tiger", [*overrides, "ais.clips_apart=true"], {"updates": 2, "algorithm": "ppo"})
    assert config.settings.ais.predicts_end
    with Guard() as guard:
        Simulation(config, seed_bytes(7), seed_bytes(1)).run()
    assert guard.wrong == set()
    assert is_watched(guard, "ppo", {beside})
