"""Independent learners, the baseline: they differ, they share the log and nothing else, and every way of running agrees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.config import resolve
from dadc_net.coordinator.settings.learning import MODES
from dadc_net.errors import ConfigError, InvariantError, UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.evaluation import Evaluator
from dadc_net.experiment.simulation import Simulation
from dadc_net.node.agent.independent_replica import (
    IndependentReplica,
    own_seed,
    own_settings,
)
from dadc_net.node.agent.replica import Replica
from dadc_net.planning.monte_carlo import IndependentRules, monte_carlo
from dadc_net.planning.planners import plan
from dadc_net.team.menu import all_combinations, own_actions, own_parts
from dadc_net.team.multi_access_broadcast import MENUS
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.tasks import TASKS
from tests.team_in_memory import MakeConfig, Team

INDEPENDENT = "learning=independent"


def test_learners_differ_and_the_run_goes_on(small: MakeConfig) -> None:
    team = Team(small(overrides=[INDEPENDENT])).run()
    assert team.finished
    assert len(team.digests()) == 2
    first, second = team.accounts.values()
    for one, other in zip(first, second, strict=True):
        assert (one.record, one.digests.step_digest) == (other.record, other.digests.step_digest)
        assert one.digests.parameters != other.digests.parameters
    assert Team(small(overrides=[INDEPENDENT])).run().digests() == team.digests()


def test_learners_of_one_team_are_equal_and_those_of_a_changed_seed_are_refused(small: MakeConfig) -> None:
    """The negative control: with shared learning the same comparison stops the run."""
    assert len(Team(small()).run().digests()) == 1
    assert not Team(small(overrides=[INDEPENDENT]), seeds={2: 8}).run().finished


def test_a_simulation_has_the_digests_of_the_processes(small: MakeConfig) -> None:
    config = small(overrides=[INDEPENDENT])
    team = Team(config).run()
    ended = Simulation(config, seed_bytes(7), seed_bytes(1)).run()
    assert ended.agent_digests == {agent: node.learner_digest.hex() for agent, node in team.agents.items()}


def test_what_an_agent_learns_depends_on_what_it_alone_observes(small: MakeConfig) -> None:
    config = small(overrides=[INDEPENDENT])
    row = Simulation(config, seed_bytes(7), seed_bytes(1)).world.first()
    states = []
    for observation in (bytes(4), np.ones(4, dtype="u1").tobytes()):
        replica = IndependentReplica(config.settings, seed_bytes(7), 1, FiniteSpace((2,)))
        replica.show(0, observation)
        states.append(replica.receive(row.record).digests.ais)
    assert states[0] != states[1]
    blind = IndependentReplica(config.settings, seed_bytes(7), 1, FiniteSpace((2,)))
    with pytest.raises(InvariantError, match="without the observation"):
        blind.receive(row.record)
    assert not hasattr(Replica, "show")


def test_seeds_and_settings_are_an_agents_own(small: MakeConfig) -> None:
    assert len({own_seed(seed_bytes(7), 1), own_seed(seed_bytes(7), 2), own_seed(seed_bytes(8), 1)}) == 3
    settings = small(overrides=[INDEPENDENT]).settings
    assert settings.common_space["sizes"] == [2, 2, 3]
    assert own_settings(settings, FiniteSpace((2,))).common_space["sizes"] == [2, 2, 3, 2]
    joint = MODES["independent"].joined([{"a/b": np.zeros(1)}, {"a/b": np.ones(1)}])
    assert MODES["independent"].part(joint, 2)["a/b"] == 1.0
    assert set(joint) == {"agent-1/a/b", "agent-2/a/b"}


def test_own_parts_and_their_combinations() -> None:
    own = own_parts(MENUS["paper"])
    assert own.actions == (((0, 0), (0, 0)), ((0, 1), (0, 1)))
    assert all_combinations(MENUS["paper"], MENUS) == "all"
    assert all_combinations(MENUS["paper"], {"paper": MENUS["paper"]}) == ""
    plain = own_actions([3], 2)
    assert plain.draw(np.array([2, 0]), np.array([4]), np.array([[1], [0]])).tolist() == [[2], [0]]


class _Fixed:
    """Always the same entry."""

    def __init__(self, entry: int) -> None:
        self.entry = entry

    def begin(self, copies: int) -> None:
        """Nothing to remember."""

    def choose(self, common: np.ndarray) -> np.ndarray:
        """The entry."""
        return np.full(len(common), self.entry)


def test_independent_rules_that_play_a_prescription_are_worth_what_it_is_worth() -> None:
    task = TASKS["mabc"]
    parameters = task.parameters_type()
    streams = Stream("test", seed_bytes(0)), Stream("test/private", seed_bytes(0))
    team = monte_carlo(task, parameters, MENUS["paper"], 0.9, _Fixed(1), 50, *streams)
    alone = IndependentRules([_Fixed(0), _Fixed(1)])
    assert monte_carlo(task, parameters, own_parts(MENUS["paper"]), 0.9, alone, 50, *streams) == team
    both = IndependentRules([_Fixed(1), _Fixed(1)])
    assert monte_carlo(task, parameters, own_parts(MENUS["paper"]), 0.9, both, 50, *streams) != team


def test_the_optimum_beside_it_may_combine_parts_as_freely(small: MakeConfig) -> None:
    config = small(overrides=[INDEPENDENT])
    evaluator = Evaluator(config)
    assert evaluator.plan is not None
    assert evaluator.plan.value == plan(TASKS["mabc"], config.parameters, "all", 0.9).value
    snapshot = Simulation(config, seed_bytes(7), seed_bytes(1)).run().snapshot
    found = evaluator.exact(snapshot, 50)
    assert found is not None
    assert found.method == "monte-carlo"
    with pytest.raises(UsageError, match="learners are independent"):
        evaluator.certificate(snapshot)


def test_configuration() -> None:
    config = resolve("mabc", [INDEPENDENT])
    assert (config.prescriptions, config.settings.learning, config.settings.num_prescriptions) == ("own", "independent", 2)
    for overrides in (["learning=alone"], [INDEPENDENT, "prescriptions=menu"], ["prescriptions=own"]):
        with pytest.raises(ConfigError, match="does not"):
            resolve("mabc", overrides)


def test_demand_response_too(tmp_path: Path) -> None:
    overrides = [INDEPENDENT, "env.agents=3", "learner.num_envs=2", "learner.batch_steps=16"]
    config = resolve("demand-response", overrides, {"updates": 2})
    assert config.settings.common_space["sizes"] == [4]
    ended = Simulation(config, seed_bytes(7), seed_bytes(1)).run()
    assert len(set(ended.agent_digests.values())) == 3
    found = Evaluator(config).exact(ended.snapshot, 20)
    assert found is not None
    assert (found.method, found.round_robin_share) == ("monte-carlo", None)
    assert found.value < found.optimum < 0


def test_from_the_command_line_to_the_value(tmp_path: Path) -> None:
    run = str(tmp_path / "r")
    options = ["--updates", "3", "--num-envs", "4", "--set", "learner.batch_steps=40", "--set", INDEPENDENT]
    ended = CliRunner().invoke(dadc, ["simulate", "mabc", *options, "--out", run, "--json"])
    assert ended.exit_code == 0
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["learning"] == "independent"
    assert len(set(report["agent_digests"].values())) == 2
    assert "independent and differ" in ended.stderr
    valued = CliRunner().invoke(dadc, ["evaluate", run, "--json"])
    assert json.loads(valued.stdout.splitlines()[-1])["value"] == report["value"]
