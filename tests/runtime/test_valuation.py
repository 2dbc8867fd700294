"""Ratios without a denominator, and valuations that fail: neither is an exception."""

from __future__ import annotations

import math

import pytest

from dadc_net.cli.progress import gap_text, summary
from dadc_net.config import RunConfig, resolve
from dadc_net.errors import UsageError
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.evaluation import Evaluator, Exact, Valuation, attempt, ratio
from dadc_net.experiment.report import add_valuation, make_report
from dadc_net.experiment.simulation import Simulation
from dadc_net.experiment.sweep.figure import Panel, limits, panels
from dadc_net.experiment.sweep.trial import Trial, run_trial
from dadc_net.planning.evaluation import Estimate
from dadc_net.planning.planners import Plan


@pytest.mark.parametrize(
    ("part", "whole", "residual", "expected"),
    [
        (1.0, 2.0, 0.0, 0.5),
        (1.0, -2.0, 1e-9, -0.5),
        (1.0, 0.0, 0.0, None),
        (0.0, 0.0, 0.0, None),
        (1.0, -0.0, 0.0, None),
        (1.0, 1e-9, 1e-8, None),  # It may as well be 0.
        (1.0, 1e-15, 0.0, None),
        (1.0, math.nan, 0.0, None),
        (math.inf, 1.0, 0.0, None),
        (1e300, 1e-11, 0.0, None),
    ],
)
def test_a_ratio_without_a_denominator_is_none(part: float, whole: float, residual: float, expected: float | None) -> None:
    assert ratio(part, whole, residual) == expected


def test_what_fails_is_said_and_what_does_not_is_there() -> None:
    troubles: list[str] = []

    def fails() -> float:
        raise ZeroDivisionError("float division by zero")

    assert attempt(fails, "trajectories", troubles) is None
    assert attempt(lambda: 3.0, "trajectories", troubles) == 3.0
    (only,) = troubles
    assert "ZeroDivisionError: float division by zero" in only
    assert "evaluation.trajectories" in only

    def stopped() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(stopped, "trajectories", troubles)


def test_a_summary_says_what_it_cannot_say(tmp_path: object) -> None:
    from pathlib import Path

    config = resolve("mabc", [], {"updates": 2})
    digests = {1: "a" * 64, 2: "a" * 64}
    for valuation, words in (
        (
            Valuation(
                Exact(value=-1.0, stderr=0.1, optimum=0.0, gap=None, round_robin=0.0, round_robin_share=None, method="m"),
                Estimate(-1.0, 0.1),
            ),
            "no relative gap, V* is 0",
        ),
        (
            Valuation(
                Exact(value=-1.0, stderr=0.1, optimum=0.0, gap=None, round_robin=0.0, round_robin_share=None, method="m"),
                None,
            ),
            "optimal itself",
        ),
        (Valuation(None, None, ("it failed.",)), "not valued by plain Monte Carlo"),
        (
            Valuation(
                Exact(value=1.0, stderr=0.1, optimum=2.0, gap=0.5, round_robin=0.0, round_robin_share=0.5, method="m"), None
            ),
            "gap 50.00 %",
        ),
    ):
        report = make_report(config, 0, digests, 0, 0.0, 0.0, 2)
        add_valuation(report, valuation)
        assert words in summary(report, valuation, 100, Path("r"))
        assert report["valuation_troubles"] == list(valuation.troubles)
    assert (gap_text(None), gap_text(0.25)) == ("no relative gap, V* is 0", "gap 25.00 %")


def test_every_way_to_value_can_be_switched_off() -> None:
    small = {"updates": 1, "learner.num_envs": 2, "learner.batch_steps": 10}
    off = [f"evaluation.{key}=0" for key in ("trajectories", "progress_trajectories", "monte_carlo_trajectories")]
    config = resolve("mabc", off, small)
    simulation = Simulation(config, seed_bytes(7), seed_bytes(1))
    assert Evaluator(config).valuation(simulation.snapshot()) == Valuation(None, None, ())
    trial = Trial(curve="c", panel="p", label="l", folder="c", seed=0, environment_seed=0, configuration=config.to_plain())
    with pytest.raises(UsageError, match="Nothing was trained"):
        run_trial(trial, lambda _: None)


def test_why_no_optimum_stands_beside_a_rule_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_config: RunConfig) -> Plan:
        raise UsageError("the plan is too large: 9 states. It was not made. Lower them.")

    monkeypatch.setattr("dadc_net.experiment.finite_valuation.finite_plan", refused)
    off = {f"evaluation.{key}": 0 for key in ("trajectories", "monte_carlo_trajectories")}
    (trouble,) = Evaluator(resolve("dec-tiger", (), off)).valuation({}).troubles
    assert trouble.startswith("no optimum stands beside the learned rule: the plan is too large: 9 states.")
    assert "evaluation.plan_seconds=0" in trouble
    assert Evaluator(resolve("dec-tiger", (), {**off, "evaluation.plan_seconds": 0.0})).valuation({}).troubles == ()


def test_a_curve_of_one_point_can_be_drawn() -> None:
    record = {"panel": "p", "curve": "c", "label": "c", "optimum": None, "round_robin": None}
    (panel,) = panels([{**record, "learning": {"env_steps": [10], "value": [1.0]}}])
    assert isinstance(panel, Panel)
    low, high = limits(panel)
    assert low < 1.0 < high
