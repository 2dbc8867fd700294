"""Schedules and presets: the conditions of Theorem 4 on step sizes, and the numbers that the paper prints."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.coordinator.algorithms.registry import NafSettings, TrpoSettings
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.schedule import geometric, power, step_size
from dadc_net.errors import ConfigError
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation

THEOREM = {"algorithm": "q-actor-critic", "preset": "theorem"}


def test_the_theorem_preset_has_step_sizes_whose_ratios_vanish() -> None:
    settings = resolve("mabc", [], THEOREM).settings
    sizes = {c: [step_size(settings, c, 1.0, 0.0, k) for k in (1, 10, 1000, 100_000)] for c in ("ais", "critic", "actor")}
    assert all(values[0] == 1.0 and values == sorted(values, reverse=True) for values in sizes.values())
    for fast, slow in (("ais", "critic"), ("critic", "actor")):
        ratios = [s / f for s, f in zip(sizes[slow], sizes[fast], strict=True)]
        assert ratios == sorted(ratios, reverse=True)
        assert ratios[-1] < 0.25


def test_a_power_is_the_power() -> None:
    for k in (1, 2, 7, 1000):
        assert power(0.3, 0.75, k) == pytest.approx(0.3 * k**-0.75, abs=1e-8)


def test_a_geometric_schedule_falls_by_equal_factors() -> None:
    values = [geometric(0.2, 0.02, k, 4) for k in range(5)]
    assert values[0] == pytest.approx(0.2, abs=1e-8)
    assert values[-1] == pytest.approx(0.02, abs=1e-8)
    assert np.allclose(np.array(values[1:]) / values[:-1], 0.1**0.25, atol=1e-6)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("schedule.ais_exponent=0.5", "sum of its squares converges for 0.5 < p <= 1"),
        ("schedule.actor_exponent=1.1", "give such a number"),
        ("schedule.critic_exponent=0.6", "b_k / a_k and c_k / b_k must go to 0"),
        ("schedule.actor_exponent=0.7", "must lie strictly between"),
        ('schedule.kind="robins-monro"', "Did you mean 'robbins-monro'"),
        ("schedule.parameter_bound=-1", "schedule.parameter_bound"),
        ('q.gradient="some"', "Choose one of all, sampled, corrected"),
        ("planning.warm_up=24", "less than planning.window"),
        ("trpo.max_kl=0", "trpo.max_kl"),
    ],
)
def test_settings_that_break_the_conditions_are_refused(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve("mabc", [override], THEOREM)


def test_parameters_stay_in_their_box_and_reach_it() -> None:
    overrides = ["learner.num_envs=4", "learner.batch_steps=20", "schedule.parameter_bound=0.05", "learner.learning_rate=5"]
    config = resolve("mabc", overrides, THEOREM | {"updates": 5})
    settings = config.settings
    first = Coordinator(settings, seed_bytes(7))
    assert max(float(np.abs(group.values).max()) for group in first.groups) == 0.05
    after = Simulation(config, seed_bytes(7), seed_bytes(1)).run().snapshot
    moved = [name for name in after if name.startswith("policy/") and "adam" not in name]
    assert all(float(np.abs(after[name]).max()) <= 0.05 for name in moved)
    assert all(not (first.snapshot()[name] == after[name]).all() for name in moved if name.endswith("bias"))
    assert all(not after[name].any() for name in after if "adam.first" in name)


def test_the_paper_preset_has_the_numbers_of_appendix_e() -> None:
    settings = resolve("mabc", [], {"algorithm": "actor-critic", "preset": "paper"}).settings
    assert (settings.ais.size, settings.learner.hidden_size) == (5, 5)
    assert (settings.ais.learning_rate, settings.learner.learning_rate) == (0.08, 0.01)
    assert settings.ais.final_learning_rate_share == settings.learner.final_learning_rate_share == 1.0
    assert (settings.learner.batch_steps, settings.learner.num_envs, settings.discount) == (300, 1, 0.9)
    assert (settings.ais.loss, settings.ais.detach_target) == ("next-ais-nll", False)


def test_the_paper_preset_has_the_numbers_of_e_2() -> None:
    names = ("ppo", "trpo", "naf-dqn")
    ppo, trpo, naf = (resolve("demand-response", [], {"algorithm": name, "preset": "paper"}) for name in names)
    for config in (ppo, trpo):
        learner = config.settings.learner
        assert (learner.hidden_size, learner.hidden_layers, learner.shared_trunk) == (64, 2, False)
        assert (learner.batch_steps, learner.num_envs, learner.final_learning_rate_share) == (200, 1, 1.0)
        assert (config.settings.ais.encoder, config.settings.discount) == ("none", 0.9)
        assert config.parameters.restart_steps == 0
    assert ppo.settings.learner.learning_rate == ppo.settings.gaussian.learning_rate == 0.0003
    critic = naf.settings.section(NafSettings)
    assert trpo.settings.section(TrpoSettings).value_learning_rate == critic.learning_rate == 0.001
    assert (critic.hidden_size, critic.hidden_layers, critic.activation) == (100, 2, "relu")
    assert critic.windows == 200


def test_the_paper_preset_of_naf_has_the_numbers_of_the_implementation_that_e_1_names() -> None:
    settings = resolve("mabc", [], {"algorithm": "naf-dqn", "preset": "paper"}).settings
    naf = settings.section(NafSettings)
    assert (naf.hidden_size, naf.hidden_layers, naf.activation, naf.learning_rate) == (128, 2, "tanh", 0.001)
    assert (naf.target_rate, naf.noise, naf.final_noise, naf.gradient_norm) == (0.001, 0.3, 0.3, 1.0)
    assert (naf.memory_steps, naf.first_steps, naf.steps / settings.learner.batch_steps) == (10**6, 640, 5)
    assert naf.windows * (naf.window - naf.warm_up) == 128
    assert (naf.plays, naf.final_learning_rate_share) == ("peak", 1.0)
    assert (settings.ais.learning_rate, settings.ais.loss, settings.ais.size) == (0.08, "next-ais-nll", 5)
    assert (settings.discount, settings.updates * settings.learner.batch_steps) == (0.9, 300_000)


def test_a_preset_that_does_not_exist_is_refused_with_what_exists() -> None:
    with pytest.raises(ConfigError, match="It exists for mabc q-actor-critic"):
        resolve("mabc", [], {"algorithm": "ppo", "preset": "theorem"})
    with pytest.raises(ConfigError, match="tuned, paper, theorem"):
        resolve("mabc", [], {"preset": "best"})
