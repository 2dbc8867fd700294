"""Agents that differ and measure real numbers, through the whole protocol in memory and in one simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.audit.consistency import check
from dadc_net.audit.replay import replay
from dadc_net.config import RunConfig, resolve
from dadc_net.errors import ConfigError, NumericError, UsageError
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.evaluation import Evaluator
from dadc_net.experiment.simulation import Simulation
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.messages import Begin, Step
from dadc_net.node.record import ObservationLayout
from dadc_net.node.server.world import TeamProblem, World
from dadc_net.runtime.problem import make_problem
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.conformance import check_task
from dadc_net.team.environment import EnvironmentSpec, Outcome
from dadc_net.team.local_memory import LocalMemory
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space, product
from dadc_net.team.structures.structure import Integers, Values
from tests.journals import write_journals
from tests.measuring_team import DIAL, MENU, THERMOMETER, Parameters, Quantised, make_task
from tests.team_in_memory import Team

TASK = "tests.measuring_team:make_task"
SMALL = ("learner.num_envs=3", "learner.batch_steps=12", "ais.size=3", "learner.hidden_size=4")


def room(*overrides: str, updates: int = 4) -> RunConfig:
    return resolve(TASK, [*SMALL, *overrides], {"updates": updates})


def team_of(config: RunConfig) -> Team:
    return Team(config, structure=Quantised()).run()


def test_the_task_conforms() -> None:
    assert check_task(make_task()) == []
    assert check_task(make_task(), Parameters(narrow=True)) == []


@pytest.mark.parametrize("overrides", [(), ("algorithm=ppo",)])
def test_a_simulation_has_the_digests_of_the_team(overrides: tuple[str, ...]) -> None:
    config = room(*overrides)
    team = team_of(config)
    assert team.finished
    assert len(team.digests()) == 1
    ended = Simulation(config, seed_bytes(7), seed_bytes(1)).run()
    assert ended.agent_digests == {agent: node.learner_digest.hex() for agent, node in team.agents.items()}


def test_another_reading_is_another_run() -> None:
    """The negative control: what the thermometer shows enters the actions, and through them what is learned."""
    colder = room("env.drift=0.25")
    assert team_of(room()).digests() != team_of(colder).digests()


def test_an_agent_is_told_its_own_spaces_and_no_others() -> None:
    team = team_of(room())
    begins = {peer: message for peer, message in team.sent if isinstance(message, Begin)}
    spaces = make_task().make(Parameters(), 1).spec.agents
    for agent, own in enumerate(spaces, start=1):
        told = begins[f"peer-{agent}".encode()]
        assert told.observation_space == own.observation_space.to_plain()
        assert told.action_space == own.action_space.to_plain()
        assert told.structure == {"name": "quantised", "parameters": {"levels": 5}}
    shown = [message.observation for peer, message in team.sent if isinstance(message, Step) and peer == b"peer-1"]
    readings = np.concatenate([ObservationLayout(THERMOMETER, 3).read(raw, 0) for raw in shown])
    assert len(np.unique(readings)) > 20
    others = b"".join(
        message.record.common + message.observation
        for peer, message in team.sent
        if isinstance(message, Step) and peer != b"peer-1"
    )
    assert not any(value.tobytes() in others for value in readings.reshape(-1))


def test_journals_are_checked_replayed_and_computed_again(tmp_path: Path) -> None:
    config = room()
    team = team_of(config)
    write_journals(team, tmp_path)
    found = check([tmp_path], seed_bytes(7))
    assert (found.consistent, found.complete, found.recomputed) == (True, True, True)
    assert found.learner_digest == team.digests().pop()
    assert replay([tmp_path], seed_bytes(7)).agreed


def test_a_world_goes_on_from_its_state() -> None:
    config = room("env.restart_steps=4")
    one, other = (World(make_problem(config), seed_bytes(1)) for _ in range(2))
    one.first()
    rng = np.random.Generator(np.random.Philox(4))
    for _ in range(9):
        one.advance(rng.integers(0, [2, 2, 3], (3, 3)))
    other.restore(one.state())
    for _ in range(9):
        action = rng.integers(0, [2, 2, 3], (3, 3))
        assert one.advance(action) == other.advance(action)


def test_a_sensor_that_breaks_stops_the_run_with_its_name() -> None:
    team = Team(room("env.nan_at=5"), structure=Quantised()).run()
    assert not team.finished
    assert isinstance(team.server.error, NumericError)
    text = str(team.server.error)
    assert "the observation of agent 1 in copy 0 is something else" in text
    assert "in the environment room at lock-step 5" in text
    assert all(isinstance(error, NumericError) for error in team.errors.values())


def test_other_levels_travel_with_the_name(tmp_path: Path) -> None:
    """The server's structure has other parameters than the agent's own class has by itself."""
    member = team_of(room()).agents[1].member
    assert member is not None
    memory = LocalMemory([1], AgentSpec(THERMOMETER, DIAL), 1, Quantised(4), MENU)
    memory.observe(np.array([[1.9]]), np.zeros(1, dtype=np.int64))
    assert memory.snapshot()["local"].tolist() == [[3]]


def test_a_table_of_a_measured_value_is_refused_before_it_is_asked() -> None:
    class AsItIs(Quantised):
        def local_space(self, observation_space, action_space):  # type: ignore[no-untyped-def]
            return observation_space

    with pytest.raises(UsageError, match=r"is \{'kind': 'box'.*tables of 5 local values") as raised:
        LocalMemory([1], AgentSpec(BoxSpace((0.0,), (1.0,)), DIAL), 1, AsItIs(), MENU)
    assert str(raised.value).count(". ") == 2


def test_plain_returns_can_be_had_without_a_planner() -> None:
    config = room("evaluation.monte_carlo_trajectories=50")
    ended = Simulation(config, seed_bytes(7), seed_bytes(1)).run()
    found = Evaluator(config).progress(ended.snapshot, 50)
    assert -30.0 < found.value < 10.0
    assert found.stderr > 0.0


def test_what_cannot_run_is_refused_before_it_starts() -> None:
    with pytest.raises(ConfigError, match=r"learning is 'independent', but the task room has the observations"):
        room("learning=independent")
    with pytest.raises(ConfigError, match=r"the observation of agent 1 of room would take \d+ bytes a record") as raised:
        room("learner.num_envs=1000000", "learner.batch_steps=1000000")
    assert str(raised.value).count(". ") == 2


class Crowd:
    """A hundred agents of three kinds in turn: one reads a number, one a dial, one both a number and a switch."""

    kinds = (
        AgentSpec(BoxSpace((0.0,), (1.0,)), FiniteSpace((2,))),
        AgentSpec(FiniteSpace((300,)), FiniteSpace((3,))),
        AgentSpec(product(BoxSpace((-1.0,), (1.0,)), FiniteSpace((2,))), FiniteSpace((5,))),
    )

    def __init__(self, num_envs: int, num_agents: int = 100) -> None:
        self.num_envs = num_envs
        own = tuple(self.kinds[k % 3] for k in range(num_agents))
        self.spec = EnvironmentSpec(name="crowd", agents=own, public_space=FiniteSpace((2,)), draws_per_step=num_agents)

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        columns = [draws[:, k : k + 1] for k in range(len(self.spec.agents))]
        readings = [lambda u: u, lambda u: np.floor(300 * u), lambda u: np.concatenate((2 * u - 1, u > 0.5), axis=1)]
        seen = [readings[k % 3](column) for k, column in enumerate(columns)]
        mean = joint_action.mean(axis=1)
        return Outcome(seen, (mean[:, None] > 1), np.where(begin, 0.0, mean), np.zeros(self.num_envs, dtype=np.uint8))

    def state(self) -> dict[str, NDArray[Any]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        return None


@dataclass(frozen=True)
class Halves(Quantised):
    """Whether the last column of a reading lies in the upper half of its space."""

    name: ClassVar[str] = "halves"

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return FiniteSpace((2,))

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        return (observation_next[:, -1:] > 0.5).astype(np.int64)


def test_a_hundred_agents_of_three_kinds_play_what_each_would_alone() -> None:
    copies, actions = 3, tuple(own.action_space.num_values for own in Crowd(1).spec.agents)
    table = tuple(((0, size - 1), (size - 1, 0)) for size in actions)
    menu = PrescriptionMenu("two", ("a", "b"), tuple(tuple(own[m] for own in table) for m in (0, 1)))
    world = World(TeamProblem(Crowd(copies), Halves(), menu, 4), seed_bytes(3))
    specs = world.problem.environment.spec.agents
    streams = {agent: private_stream(agent, seed_bytes(1)) for agent in range(1, 101)}
    together = PassiveAgents(streams, copies, Halves(), menu, specs)
    alone = [PassiveAgents({k: stream}, copies, Halves(), menu, [specs[k - 1]]) for k, stream in streams.items()]
    row, rng = world.first(), np.random.Generator(np.random.Philox(6))
    assert [len(raw) for raw in row.observations[:3]] == [8 * copies, 2 * copies, 9 * copies]
    for step in range(6):
        begin, theta = np.full(copies, step % 5 == 0), rng.integers(0, 2, copies)
        together.observe(together.read(step, row.observations), begin)
        joint = together.act(step, theta)
        for k, one in enumerate(alone):
            one.observe(one.read(step, [row.observations[k]]), begin)
            assert np.array_equal(one.act(step, theta)[:, 0], joint[:, k])
        answered = [layout.pack(joint[:, k : k + 1]) for k, layout in enumerate(world.actions)]
        assert np.array_equal(world.joint_action(step, answered), joint)
        assert joint.max(axis=0).max() == 4
        row = world.advance(joint)
    kept = together.snapshot()
    again = PassiveAgents(streams, copies, Halves(), menu, specs)
    again.restore(kept)
    assert all(np.array_equal(array, again.snapshot()[name]) for name, array in kept.items())


@pytest.mark.parametrize("agents", [(1, 2, 3, 4, 5), (1, 2, 3), (4, 2), (5, 4, 3, 2, 1)])
def test_agents_that_draw_their_actions_play_what_each_would_alone(agents: tuple[int, ...]) -> None:
    """The whole team in its order is read at once, and parts of it agent by agent."""
    config, copies = resolve("demand-response", ["env.agents=5", "learner.num_envs=3", "learner.batch_steps=12"]), 3
    problem = make_problem(config)
    spec, family = problem.environment.spec, problem.family
    assert isinstance(family.space, BoxSpace)
    streams = {agent: private_stream(agent, seed_bytes(1)) for agent in agents}
    own = [spec.agents[agent - 1] for agent in agents]
    together = PassiveAgents(streams, copies, problem.structure, family, own)
    alone = [PassiveAgents({k: streams[k]}, copies, problem.structure, family, [spec.agents[k - 1]]) for k in agents]
    rng = np.random.Generator(np.random.Philox(6))
    for step in range(6):
        seen, begin = rng.integers(0, 2, (copies, 5)), np.full(copies, step % 5 == 0)
        theta = rng.uniform(-2.0, 2.0, (copies, len(family.space.low)))
        together.observe(together.parts(seen, spec.observation_places), begin)
        joint = together.act(step, theta)
        for column, (agent, one) in enumerate(zip(agents, alone, strict=True)):
            one.observe([seen[:, agent - 1 : agent]], begin)
            assert np.array_equal(one.act(step, theta)[:, 0], joint[:, column])
