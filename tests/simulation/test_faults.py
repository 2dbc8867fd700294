"""Seeded faults against the production cores: every seed ends in the undisturbed digest, or stops for a stated reason."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from tests.simulation.chaos import ENVIRONMENT_SEED, KINDS, SHARED_SEED, Chaos

OVERRIDES = ("learner.num_envs=2", "learner.batch_steps=8", "env.restart_steps=6", "ais.size=3", "learner.hidden_size=3")


PLANNING = ("planning.model_steps=1", "planning.windows=4", "planning.window=3", "planning.warm_up=1", "planning.states=8")
THREE = "tests.simulation.three_radios:make_task"
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: ("mabc", (f"algorithm={name}", *PLANNING)) for name in ALGORITHMS if name != "naf-dqn"},
    "naf-dqn": ("mabc", ("algorithm=naf-dqn", "prescriptions=opportunity", *PLANNING)),
    "private draws": ("mabc", ("prescriptions=opportunity", "algorithm=actor-critic")),
    "independent": ("mabc", ("learning=independent",)),
    "one copy": ("mabc", ("learner.num_envs=1",)),
    "three agents": (THREE, ()),
}


def make_config(task: str = "mabc", overrides: Sequence[str] = ()) -> RunConfig:
    """29 records, 7 updates, episodes of 7 records."""
    return resolve(task, (*OVERRIDES, *overrides), {"updates": 7})


def digests_of(config: RunConfig) -> set[str]:
    """What everything must end in; one digest, unless learners are independent."""
    return set(Simulation(config, seed_bytes(SHARED_SEED), seed_bytes(ENVIRONMENT_SEED)).run().agent_digests.values())


SWARM_FINISH = 0.85
"""The share of swarms that must end with the digest: a rotten disk alone may stop a run, and seldom does."""
ROTTEN_FINISH = 10
"""Of twelve seeds whose disk rots for certain, those that must end with the digest."""


@pytest.fixture(scope="module")
def undisturbed() -> set[str]:
    """The digest that everything must end in, alone."""
    return digests_of(make_config())


@pytest.fixture(scope="module")
def undisturbed_three() -> set[str]:
    """The same of three agents; like ``undisturbed`` made before any replica is a recalled one."""
    return digests_of(make_config(THREE))


def _expect(
    undisturbed: set[str],
    seed: int,
    kinds: tuple[str, ...] = KINDS,
    share: float = 0.35,
    config: RunConfig | None = None,
) -> int:
    outcome = Chaos(seed, config or make_config(), kinds, share).run()
    assert outcome.code != 0 or outcome.digests == undisturbed, outcome.tell()
    return outcome.code


def test_without_faults(undisturbed: set[str], recalled: None) -> None:
    assert _expect(undisturbed, 0, ()) == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_learner_comes_back(variant: str) -> None:
    """With the real replica: whatever a learner carries, checkpoint, replay and catching up give it back."""
    task, overrides = VARIANTS[variant]
    config = make_config(task, overrides)
    expected = digests_of(config)
    for seed in range(2):
        assert _expect(expected, seed, ("kill", "cut", "wipe", "pause"), 1.0, config) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_alone(kind: str, undisturbed: set[str], recalled: None) -> None:
    codes = [_expect(undisturbed, seed, (kind,), 1.0) for seed in range(12)]
    assert codes.count(0) >= (ROTTEN_FINISH if kind == "rot" else 12), codes


def test_a_swarm_of_faults(undisturbed: set[str], recalled: None) -> None:
    finished = [_expect(undisturbed, seed) == 0 for seed in range(1000, 1150)]
    assert sum(finished) > SWARM_FINISH * len(finished)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_swarms(undisturbed: set[str], recalled: None) -> None:
    finished = [_expect(undisturbed, seed) == 0 for seed in range(10_000, 15_000)]
    assert sum(finished) > SWARM_FINISH * len(finished)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_swarms_of_three(undisturbed_three: set[str], recalled: None) -> None:
    config = make_config(THREE)
    finished = [_expect(undisturbed_three, seed, config=config) == 0 for seed in range(20_000, 22_000)]
    assert sum(finished) > SWARM_FINISH * len(finished)
