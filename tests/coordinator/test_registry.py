"""One entry per algorithm: what the table promises, and what sections refuse by their type hints."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

from dadc_net.config import resolve
from dadc_net.coordinator.algorithm import Algorithm
from dadc_net.coordinator.algorithms.registry import ALGORITHMS, NafSettings, PpoSettings
from dadc_net.coordinator.algorithms.spec import KINDS
from dadc_net.coordinator.known_answers import LEARNERS
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.coordinator import OWN_SECTIONS, CoordinatorSettings
from dadc_net.coordinator.settings.gaussian import GaussianSettings
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.coordinator.settings.learning import INDEPENDENT, MODES, SHARED
from dadc_net.coordinator.settings.schedule import ScheduleSettings
from dadc_net.errors import ConfigError
from dadc_net.run_sections import EvaluationSettings, RuntimeSettings
from dadc_net.schema import Checked, from_plain
from dadc_net.team.prescriptions import ThetaSettings

SECTIONS: list[type[Checked]] = [
    *(AisSettings, GaussianSettings, LearnerSettings, ScheduleSettings, ThetaSettings, EvaluationSettings, RuntimeSettings),
    *(type(own) for own in OWN_SECTIONS.values()),
]


def test_the_table_is_read_without_torch() -> None:
    program = "import sys, dadc_net.coordinator.algorithms.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_entry_has_an_implementation_a_section_and_a_run_of_the_self_test(name: str) -> None:
    spec = ALGORITHMS[name]
    assert spec.name == name
    assert issubclass(spec.load(), Algorithm)
    assert {trial.label for trial in spec.trials()} <= set(LEARNERS.golden)
    assert set(spec.thetas) <= set(KINDS)
    if spec.settings is not None:
        assert OWN_SECTIONS[spec.settings.section] is spec.settings
        assert spec.settings.section in resolve("mabc").to_plain()


def test_no_two_algorithms_share_a_section() -> None:
    own = [spec.settings.section for spec in ALGORITHMS.values() if spec.settings is not None]
    assert len(own) == len(set(own)) == len(OWN_SECTIONS)


def test_sections_that_are_left_out_have_their_defaults_and_unknown_ones_are_refused() -> None:
    settings = resolve("mabc", ["ppo.epochs=9"]).settings
    plain = settings.to_plain()
    assert settings.section(PpoSettings).epochs == plain["ppo"]["epochs"] == 9
    assert settings.section(NafSettings) == NafSettings()
    assert CoordinatorSettings.from_plain(plain) == settings
    without = {key: value for key, value in plain.items() if key != "naf"}
    assert CoordinatorSettings.from_plain(without) == settings
    for wrong in ({"own": {}}, {"nef": {}}, {"ppo": 3}, {"ppo": {"epoch": 3}}, {"ppo": {"epochs": 0}}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            CoordinatorSettings.from_plain({**plain, **wrong})


@pytest.mark.parametrize("kind", SECTIONS, ids=lambda kind: kind.section)
def test_every_number_and_word_of_a_section_has_limits(kind: type[Any]) -> None:
    """No finite number is so large, and no word so strange, that a section takes it everywhere; defaults are within."""
    kind()
    # What has no upper limit, because nothing is allocated by it.
    endless = {"learner.num_envs", "learner.batch_steps", "evaluation.every_updates"}
    for field in fields(kind):
        key = f"{kind.section}.{field.name}"
        bad = "strange" if isinstance(field.default, str) else -1 if key in endless else 10**12
        if not isinstance(field.default, bool):
            with pytest.raises(ConfigError, match=kind.section):
                kind(**{field.name: bad})


@pytest.mark.parametrize(
    ("kind", "plain", "sentence"),
    [
        (PpoSettings, {"epochs": 0}, r"ppo\.epochs is 0, which is out of range\. .* Give 1 to 1000\."),
        (PpoSettings, {"clip": 0}, r"ppo\.clip is 0\.0, which is out of range\. .* Give a number in \(0, 1\]\."),
        (PpoSettings, {"epochs": True}, r"ppo\.epochs is True, which is not of type int"),
        (AisSettings, {"size": 1025}, r"ais\.size is 1025, which is out of range\. .* Give 1 to 1024\."),
        (AisSettings, {"loss": "mse"}, r"ais\.loss is 'mse', which does not exist\. .* Choose one of next-observation"),
        (AisSettings, {"loss": 1}, r"ais\.loss is 1, which is not of type str"),
        (LearnerSettings, {"num_envs": 0}, r"learner\.num_envs is 0, which is out of range\. .* Give 1 to 1000000\."),
        (LearnerSettings, {"trace_decay": 1.5}, r"learner\.trace_decay is 1\.5, .* Give a number from 0 to 1\."),
        (ScheduleSettings, {"ais_exponent": 0.5}, r"schedule\.ais_exponent is 0\.5, .* converges for 0\.5 < p <= 1 only"),
        (RuntimeSettings, {"join_timeout_s": 0}, r"runtime\.join_timeout_s is 0\.0, .* Give a positive number of seconds\."),
    ],
)
def test_what_a_hint_does_not_allow_is_refused_with_its_remedy(kind: type[Any], plain: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_plain(kind, plain, f"{kind.section}.")


def test_a_mode_says_whose_learners_are_equal_and_how_they_are_kept() -> None:
    assert SHARED.learners(3) == [[1, 2, 3]]
    assert INDEPENDENT.learners(3) == [[1], [2], [3]]
    own: list[dict[str, Any]] = [{"x": 1}, {"x": 2}]
    assert SHARED.part(SHARED.joined(own[:1]), 2) == {"x": 1}
    assert [INDEPENDENT.part(INDEPENDENT.joined(own), agent) for agent in (1, 2)] == own
    assert set(MODES) == {"shared", "independent"}
