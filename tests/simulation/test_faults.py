"""Seeded faults against the production cores: every seed ends in the undisturbed digest, or stops for a stated reason."""

from __future__ import annotations

import pytest

from dadc_net.config import RunConfig, resolve
from dadc_net.exact.streams import seed_bytes
from dadc_net.runtime.simulation import Simulation
from tests.simulation.chaos import ENVIRONMENT_SEED, KINDS, SHARED_SEED, Chaos

OVERRIDES = ("learner.num_envs=2", "learner.batch_steps=8", "env.restart_steps=6", "ais.size=3", "learner.hidden_size=3")


def make_config() -> RunConfig:
    """29 records, 7 updates, episodes of 7 records."""
    return resolve("mabc", OVERRIDES, {"updates": 7})


@pytest.fixture(scope="module")
def undisturbed() -> str:
    """The digest that everything must end in."""
    ended = Simulation(make_config(), seed_bytes(SHARED_SEED), seed_bytes(ENVIRONMENT_SEED)).run()
    return ended.agent_digests[1]


def _expect(undisturbed: str, seed: int, kinds: tuple[str, ...] = KINDS, share: float = 0.35) -> int:
    outcome = Chaos(seed, make_config(), kinds, share).run()
    assert outcome.code != 0 or outcome.digests == {undisturbed}, outcome.tell()
    return outcome.code


def test_without_faults(undisturbed: str, recalled: None) -> None:
    assert _expect(undisturbed, 0, ()) == 0


def test_the_real_replica(undisturbed: str) -> None:
    for seed in range(6):
        assert _expect(undisturbed, seed, ("kill", "cut", "wipe", "pause"), 1.0) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_alone(kind: str, undisturbed: str, recalled: None) -> None:
    for seed in range(12):
        code = _expect(undisturbed, seed, (kind,), 1.0)
        assert code == 0 or kind == "rot"


def test_a_swarm_of_faults(undisturbed: str, recalled: None) -> None:
    finished = [_expect(undisturbed, seed) == 0 for seed in range(1000, 1150)]
    assert sum(finished) > 130  # Most seeds must finish: a rotten disk alone may stop a run, and seldom does.


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_swarms(undisturbed: str, recalled: None) -> None:
    for seed in range(10_000, 15_000):
        _expect(undisturbed, seed)
