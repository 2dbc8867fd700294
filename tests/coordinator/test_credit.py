"""Credit to used choices: which acted is found from what is common alone, and leaving the others out is as it says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.factors import Factors
from dadc_net.coordinator.networks.autoregressive import Autoregressive
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.errors import ConfigError
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.team.factored import FactoredFamily
from dadc_net.team.used_choices import UsedChoices

SMALL = ["learner.num_envs=4", "learner.batch_steps=80", "updates=4", "factored.credit=used", "prescriptions=factored"]
Drawn = NDArray[np.int64]
STRUCTURES = {
    "delay 1": ["structure=delayed-sharing"],
    "delay 2": ["structure=delayed-sharing", "structure.delay_steps=2"],
    "period 3": ["structure=periodic-sharing", "structure.period_steps=3"],
}


def config(*options: str, task: str = "dec-tiger", algorithm: str = "ppo") -> RunConfig:
    return resolve(task, [*SMALL, *options], {"algorithm": algorithm})


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_choices_that_acted_are_those_of_the_agents_own_local_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agents' memories, which no coordinator sees, say the same: wherever a choice is left out, it did not act."""
    made, acted, said = config(*STRUCTURES[name]), list[Array](), list[Array]()
    draw, weights = FactoredFamily.draw, UsedChoices.weights

    def drawn(self: FactoredFamily, theta: Drawn, agents: Drawn, local_index: Drawn, words: None) -> Drawn:
        assert agents.tolist() == [1, 2]
        acted.append(np.zeros((len(theta), theta.shape[1])))
        for places, own in zip(self.places(2), local_index.T, strict=True):
            acted[-1][np.arange(len(theta)), places[own]] = 1.0
        return draw(self, theta, agents, local_index, words)

    def weighed(self: UsedChoices, commons: Drawn, steps: Drawn, factors: int) -> Array:
        said.append(weights(self, commons, steps, factors))
        return said[-1]

    monkeypatch.setattr(FactoredFamily, "draw", drawn)
    monkeypatch.setattr(UsedChoices, "weights", weighed)
    Simulation(made, seed_bytes(7), seed_bytes(1)).run()
    used, told = np.array(acted), np.concatenate(said)
    assert len(used) == len(told) == made.settings.updates * made.settings.learner.batch_lock_steps
    known = (told == 0.0).any(axis=2)
    assert 0.5 < known.mean() < 1.0  # The last steps of a batch are not known when it is closed.
    assert np.array_equal(told[known], used[known])


def test_the_score_of_independent_choices_is_right_without_the_unused_ones() -> None:
    """Two choices of two; the second acts. Its reward is its own: leaving the first out changes no expected gradient."""
    logits, reward = np.array([[0.3, -0.2, 0.5, 0.1]]), np.array([1.0, -2.0])

    def gradient(coupling: float, used: bool) -> Array:
        factors = Factors((2, 2))
        psi = Autoregressive(factors, coupled=True)
        group = ParameterGroup("test", {**psi.shapes}, Stream("test", seed_bytes(1)))
        psi.initialise(group, "none")
        group.arrays["coupling"][0, 2] = coupling
        found = np.zeros(4)
        for theta in product((0, 1), (0, 1)):
            values = psi.values(group, logits, np.array([theta]))
            chance = float(np.exp(values.log_density()[0]))
            score = values.back(np.ones(1), None, np.array([[0.0, 1.0]]) if used else None).outputs[0]
            found += chance * reward[theta[1]] * score
        return found

    assert gradient(0.0, True) == pytest.approx(gradient(0.0, False), abs=1e-8)
    assert np.abs(gradient(2.0, True) - gradient(2.0, False)).max() > 0.05  # The bias that is spoken of.


@pytest.mark.parametrize("algorithm", ["ppo", "actor-critic"])
def test_replicas_agree_and_learn_otherwise_than_with_credit_to_all(algorithm: str) -> None:
    used = Simulation(config("structure=delayed-sharing", algorithm=algorithm), seed_bytes(7), seed_bytes(1), "all").run()
    assert len(set(used.agent_digests.values())) == 1
    to_all = resolve("dec-tiger", [*SMALL, "structure=delayed-sharing", "factored.credit=all"], {"algorithm": algorithm})
    assert Simulation(to_all, seed_bytes(7), seed_bytes(1)).run().agent_digests != used.agent_digests


def test_a_learner_goes_on_from_its_snapshot() -> None:
    made = config("structure=delayed-sharing", "structure.delay_steps=2")
    simulation = Simulation(made, seed_bytes(7), seed_bytes(1))
    simulation.run()
    whole = simulation.replicas[0].coordinator
    again = Coordinator(made.settings, seed_bytes(7))
    again.restore(whole.snapshot())
    assert again.digest() == whole.digest()
    assert {"window/common", "window/step-in-episode"} <= set(whole.snapshot())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["structure=control-sharing"], "nobody learns which choices acted"),
        (["structure=delayed-sharing", "prescriptions=menu"], "made one by one"),
        (["structure=delayed-sharing", "prescriptions=own", "learning=independent"], "always acts"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_where_nobody_can_know_it_is_refused(options: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config(*options)


def test_an_algorithm_that_sums_over_all_choices_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gives credit to all choices.*actor-critic, ppo"):
        config("structure=delayed-sharing", algorithm="trpo")


