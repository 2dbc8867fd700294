"""What is earned blindly, and what is said of a rule that earns no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment import evaluation
from dadc_net.experiment.baselines import Baselines, ConstantRule, baselines, candidates, one_action_each, returns_of
from dadc_net.experiment.comparison import Comparison
from dadc_net.experiment.evaluation import Evaluator
from dadc_net.experiment.simulation import Simulation
from dadc_net.planning.evaluation import Estimate, blind_value, mean_estimate
from dadc_net.team.spaces import BoxSpace

QUICK = ("updates=2", "learner.num_envs=2", "learner.batch_steps=8", "learner.hidden_size=4", "ais.size=4")
FOUND = Baselines(random=Estimate(-5.0, 0.1), constant=Estimate(2.0, 0.1), prescription="always stay")


def compared(value: float, stderr: float = 0.0, optimum: float | None = 3.0, rank: float | None = 5.0) -> Comparison:
    return Comparison(Estimate(value, stderr), optimum, FOUND, rank)


def test_with_a_planner_the_values_are_exact() -> None:
    config = resolve("mabc")
    plan = Evaluator(config).plan
    assert plan is not None
    assert plan.model is not None
    found = baselines(config, plan, 2)
    assert found.random == Estimate(pytest.approx(-0.558708, abs=1e-6), 0.0)
    each = [blind_value(plan.model, 0.9, [entry]) for entry in range(3)]
    assert found.constant == Estimate(max(each), 0.0)
    assert found.prescription == plan.model.prescriptions[int(np.argmax(each))]


def test_without_one_they_are_plain_returns_that_agree() -> None:
    """The same problem, asked as if it had no planner."""
    config = resolve("mabc")
    exact = baselines(config, Evaluator(config).plan, 2)
    found = baselines(config, None, 3000)
    assert found.prescription == exact.prescription
    for plain, known in ((found.random, exact.random), (found.constant, exact.constant)):
        assert plain is not None
        assert known is not None
        assert 0.0 < plain.stderr < 0.05
        assert abs(plain.value - known.value) < 4.0 * plain.stderr


def test_the_best_of_many_prescriptions_of_dec_tiger_is_to_listen() -> None:
    found = baselines(resolve("dec-tiger"), None, 500)
    assert found.prescription == "listen/listen, listen/listen"
    assert found.constant is not None
    assert found.constant.value == pytest.approx(-20.0, abs=1e-3)


def test_choices_in_parts_are_valued_as_the_menu_that_holds_them_all() -> None:
    factored = resolve("dec-tiger", ["prescriptions=factored"])
    found = baselines(factored, None, 500)
    assert found.constant is not None
    assert found.random is not None
    assert found.constant.value == pytest.approx(-20.0, abs=1e-3)
    whole = baselines(resolve("dec-tiger"), None, 500).random
    assert whole is not None
    assert abs(found.random.value - whole.value) < 4.0 * (found.random.stderr + whole.stderr)
    assert candidates(resolve("box-pushing", ["prescriptions=factored"]).family) is None


def test_where_a_planner_values_rules_corners_of_the_box_are_tried() -> None:
    config = resolve("demand-response", ["env.agents=6"])
    tried = candidates(config.family)
    assert tried is not None
    assert len(tried) == 2**6
    plan = Evaluator(config).plan
    found = baselines(config, plan, 2)
    assert plan is not None
    assert found.constant is not None
    assert plan.random < plan.extra["doing_nothing"] - 1e-9 <= found.constant.value <= plan.value


def test_where_prescriptions_are_too_many_each_agent_always_does_one_thing() -> None:
    found = baselines(resolve("demand-response", ["env.agents=6", "prescriptions=one-each"]), None, 20)
    assert found.constant is not None
    assert "of agents 1 to 6, whatever is seen" in found.prescription


def test_too_many_to_try_is_said() -> None:
    """Two to the thirteenth joint actions."""
    config = resolve("demand-response", ["env.agents=13", "prescriptions=one-each"])
    assert isinstance(config.family.space, BoxSpace)
    found = baselines(config, None, 2)
    assert (found.constant, found.prescription) == (None, "not looked for: there are too many prescriptions to try each")
    assert found.random is not None


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["gibbs", "factored", "linear", "neural"])
def test_every_family_can_be_told_to_do_one_thing(name: str, shared: bool) -> None:
    """What agents draw under it is that action, nearly always, at whatever local value."""
    config = resolve("dec-tiger", [f"prescriptions={name}", f"theta.shared={str(shared).lower()}"])
    spec = config.task.environment(config.parameters, 1).spec
    found = one_action_each(config.family, spec)
    assert found is not None
    joint = [(a, a) for a in range(3)] if shared else [(a, b) for a in range(3) for b in range(3)]
    assert len(found.thetas) == len(joint)
    local = config.structure.local_space(spec.agents[0].observation_space, spec.agents[0].action_space)
    asked = np.stack([config.family.look_up(local, np.full((len(joint), 1), value)) for value in (0, 1)], axis=1)
    words = np.full((len(joint), 2), 1 << 63, dtype=np.uint64)
    drawn = config.family.draw(found.thetas, np.array([1, 2]), asked, words)
    assert drawn.tolist() == [list(pair) for pair in joint]


def test_returns_come_from_few_copies_as_well_as_from_many() -> None:
    """Copies bound the memory that a valuation needs; each candidate keeps its own returns."""
    many, few = resolve("mabc"), resolve("mabc", ["evaluation.copies=64"])
    rule = np.repeat(np.arange(3), 400)
    values = [returns_of(one, ConstantRule(rule), 1200, "one").reshape(3, 400) for one in (many, few)]
    for all_at_once, in_turn in zip(*values, strict=True):
        doubt = 4.0 * np.hypot(all_at_once.std(), in_turn.std()) / 20.0
        assert abs(all_at_once.mean() - in_turn.mean()) < doubt
    # Other random numbers in each group of episodes.
    assert len(np.unique(values[1][0])) > 100


def test_equal_names_have_equal_luck() -> None:
    config = resolve("mabc")
    rule = ConstantRule(np.array([1]))
    first = returns_of(config, rule, 50, "one")
    assert np.array_equal(first, returns_of(config, rule, 50, "one"))
    assert not np.array_equal(first, returns_of(config, rule, 50, "other"))


def test_a_rule_is_better_than_blind_or_not() -> None:
    better, blind = compared(2.5, 0.05), compared(2.1, 0.05)
    assert (better.is_blind, better.share, better.troubles()) == (False, 0.5, [])
    assert not any("WARNING" in line for line in better.lines())
    assert (blind.is_blind, blind.troubles()) == (True, ["no better than blind"])
    assert "no better than blind" in "\n".join(blind.lines())
    assert blind.fields()["no_better_than_blind"] is True
    assert compared(2.5, 0.05, optimum=None).share is None
    assert not compared(2.5, 0.05, optimum=None).is_blind


def test_where_the_best_constant_is_optimal_no_rule_is_blamed() -> None:
    found = compared(2.0, optimum=2.0)
    assert (found.is_blind, found.share) == (False, None)
    assert "is optimal itself" in "\n".join(found.lines())


def test_a_collapsed_ais_is_said() -> None:
    assert compared(2.9, rank=1.0).troubles() == ["AIS collapsed"]
    assert "has collapsed" in "\n".join(compared(2.9, rank=1.0).lines())
    assert not compared(2.9, rank=2.0).has_collapsed
    assert not compared(2.9, rank=None).has_collapsed


def test_a_constant_rule_is_found_out_by_the_evaluator() -> None:
    """An actor whose bias drowns everything plays one prescription, the best constant one: it is no better than blind."""
    config = resolve(
        "dec-tiger", [*QUICK, "algorithm=actor-critic", "evaluation.trajectories=200", "evaluation.plan_seconds=0"]
    )
    snapshot = dict(Simulation(config, seed_bytes(0), seed_bytes(1)).run().snapshot)
    evaluator = Evaluator(config)
    best = [entry for entry, words in enumerate(config.task.menus["all"].entries) if words == "listen/listen, listen/listen"]
    snapshot["actor-critic/actor.bias"] = np.where(np.arange(len(snapshot["actor-critic/actor.bias"])) == best[0], 1e3, 0.0)
    found = evaluator.comparison(snapshot, None, 200, {"ais_rank": 1.0})
    assert found.is_blind
    assert found.has_collapsed
    assert not replace(found, value=Estimate(0.0, 0.0), beyond=None).is_blind
    few = evaluator.comparison(snapshot, None, 20, {})
    assert found.baselines.constant is not None
    assert few.beyond == Estimate(0.0, 0.0)
    assert few.value.value == pytest.approx(found.baselines.constant.value), "few returns have luck of their own"
    assert few.is_blind


def test_the_error_of_a_value_beside_the_best_constant_is_that_of_its_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many returns, in the same episodes: the correction is none, and must not make the error look smaller."""
    chance = np.random.default_rng(3)
    blind = chance.normal(size=200)
    returns = 2.0 * blind + 0.1 * chance.normal(size=200)
    config = resolve("dec-tiger", [*QUICK, "evaluation.trajectories=200", "evaluation.plan_seconds=0"])
    evaluator = Evaluator(config)
    snapshot = dict(Simulation(config, seed_bytes(0), seed_bytes(1)).run().snapshot)
    known = Baselines(random=None, constant=mean_estimate(blind), prescription="", theta=np.array([0]))
    monkeypatch.setattr(evaluation, "baselines", lambda *_: known)
    drawn = {True: blind, False: returns}
    monkeypatch.setattr(evaluation, "returns_of", lambda _config, rule, *_: drawn[isinstance(rule, ConstantRule)])
    found = evaluator.comparison(snapshot, None, 200, {})
    assert found.value.value == pytest.approx(returns.mean())
    assert found.value.stderr == pytest.approx(mean_estimate(returns).stderr)
    assert found.beyond == mean_estimate(returns - blind)


def test_a_rule_is_told_from_a_blind_one_by_returns_with_the_same_luck() -> None:
    unsure = compared(2.1, 0.5)
    assert unsure.is_blind
    assert not replace(unsure, beyond=Estimate(0.4, 0.1)).is_blind
    assert replace(compared(2.9, 0.05), beyond=Estimate(0.1, 0.1)).is_blind
