"""A team that is played by tables has the bits of one that is played record by record, or is not believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadc_net.config import RunConfig, resolve
from dadc_net.errors import InvariantError
from dadc_net.exact import compiled, elementary
from dadc_net.exact.entering import EntryStep
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment import simulation, table_team
from dadc_net.experiment.simulation import Simulation, SimulationResult
from dadc_net.experiment.table_team import TableTeam
from dadc_net.runtime.events import Event, Learned, Updated
from dadc_net.runtime.problem import make_problem
from dadc_net.team.environment import Outcome
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast
from dadc_net.team.tables import TeamTables, team_tables
from tests.tables_that_err import OF_A_WORLD, Changes, named, tampered

pytest.importorskip("numba")
ROOT = Path(__file__).parents[2]
SMALL = ("updates=6", "learner.batch_steps=60", "learner.hidden_size=5", "ais.size=6", "learner.uniform_share=0")
DELAYED = "structure=delayed-sharing"
TEAMS = {
    "paper": ("mabc", ("learner.num_envs=3",)),
    "one copy, cut often": ("mabc", ("learner.num_envs=1", "menu=all", "env.restart_steps=7")),
    "start unknown": ("mabc", ("learner.num_envs=4", "env.initial_busy_probability=0.5", "env.restart_steps=1")),
    "ppo": ("mabc", ("learner.num_envs=2", "algorithm=ppo")),
    "q-actor-critic": ("mabc", ("learner.num_envs=2", "algorithm=q-actor-critic")),
    "no encoder": ("mabc", ("learner.num_envs=3", "algorithm=ppo", "ais.encoder=none", "ais.feature_scale=2")),
    "deep": ("mabc", ("learner.num_envs=3", "menu=all", "learner.hidden_layers=3")),
    "deep without an encoder": ("dec-tiger", ("learner.num_envs=2", "ais.encoder=none", "learner.hidden_layers=2")),
    "uniform at first": ("dec-tiger", ("learner.num_envs=5", "learner.uniform_share=0.4")),
    "a step later": ("dec-tiger", ("learner.num_envs=5", DELAYED)),
    "decisions are numbered": ("recycling", ("learner.num_envs=4", DELAYED, "env.horizon=5", "discount=1.0")),
    "both ends": ("recycling", ("learner.num_envs=4", "env.horizon=5", "env.restart_steps=3")),
    "memory": ("broadcast-channel", ("learner.num_envs=2", "structure.memory_steps=1")),
    "all is common": ("broadcast-channel", ("learner.num_envs=3", "structure=full-sharing")),
    "nothing is": ("broadcast-channel", ("learner.num_envs=3", "structure=no-sharing")),
    "three agents": (
        "launch.examples.three_transmitters:make_task",
        ("learner.num_envs=4", "env.horizon=8", "discount=1.0"),
    ),
    "many states": ("fire-fighting", ("learner.num_envs=2", DELAYED)),
}


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    """With kernels."""
    assert compiled.load()
    yield
    compiled.unload()


def configured(task: str, sets: Sequence[str]) -> RunConfig:
    chosen = [one for one in sets if not one.startswith("algorithm=")]
    algorithm = next((one.removeprefix("algorithm=") for one in sets if one.startswith("algorithm=")), "actor-critic")
    return resolve(task, [*SMALL, *chosen], {"algorithm": algorithm})


@dataclass
class Told:
    """What an observer heard, but for times."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def on(self, event: Event) -> None:
        if isinstance(event, Learned):
            self.events.append((event.update, dict(event.losses)))
        elif isinstance(event, Updated):
            self.events.append((event.update, event.env_steps, event.reward_per_step, event.lock_steps))


def run(config: RunConfig, tables: Callable[..., TeamTables | None] = team_tables) -> tuple[SimulationResult, Told, Any]:
    """A simulation, what it told, and the team that it moved."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(simulation, "team_tables", tables)
        simulated, told = Simulation(config, seed_bytes(3), seed_bytes(4)), Told()
        return simulated.run(told), told, simulated._team


def no_tables(*_: Any) -> None:
    return None


class Counted:
    """Whatever it stands for, and how often that was called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.function(*arguments)


@pytest.mark.parametrize("name", TEAMS)
def test_it_has_the_bits_of_a_team_that_is_played_record_by_record(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(*TEAMS[name])
    ended, told, _ = run(config, no_tables)
    played = Counted(table_team.play)
    monkeypatch.setattr(table_team, "play", played)
    by_tables, heard, team = run(config)
    assert isinstance(team, TableTeam)
    # Of six batches the first that it may play is compared, and with it the others; of 2.4 uniform ones none is played.
    assert played.calls == (3 if name == "uniform at first" else 6)
    assert by_tables.agent_digests == ended.agent_digests
    assert by_tables.lock_steps == ended.lock_steps
    assert heard.events == told.events
    assert len(heard.events) == 12
    assert {key: array.tobytes() for key, array in by_tables.snapshot.items()} == {
        key: array.tobytes() for key, array in ended.snapshot.items()
    }


def test_digests_of_updates_are_told_if_they_are_asked_for() -> None:
    config = configured(*TEAMS["paper"])
    asked = Simulation(config, seed_bytes(3), seed_bytes(4), digests=True)
    team, reports = asked._team, []
    turn = team.first()
    while not turn.is_last:
        turn = team.advance()
        reports += [report for report in turn.reports if report is not None]
    assert isinstance(team, TableTeam)
    assert len(reports) == 6
    assert len({report.learner_digest for report in reports}) == 6
    assert reports[-1].learner_digest.hex() == run(config, no_tables)[0].agent_digests[1]


def test_where_the_kernel_is_not_sure_the_acting_step_settles_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four tenths of a rounding interval as tolerance: hardly a row is sure, and none differs."""
    config = configured(*TEAMS["a step later"])
    ended = run(config, no_tables)[0]
    settled, single = [], EntryStep.__call__

    def counted(step: EntryStep, *arguments: Any) -> Any:
        settled.append(step)
        return single(step, *arguments)

    monkeypatch.setattr(EntryStep, "__call__", counted)
    assert run(config)[0].agent_digests == ended.agent_digests
    # The first lock-step of each batch; those after it are entered by kernels.
    usual = len(settled)
    assert usual == 6
    settled.clear()
    monkeypatch.setattr(elementary, "TOLERANCE", 0.4 * 2.0**-30)
    assert run(config)[0].agent_digests == ended.agent_digests
    assert len(settled) > usual + 40


@pytest.mark.parametrize(
    "changes",
    [
        *OF_A_WORLD,
        {"local": lambda table: table[::-1].copy()},
        {"actions": lambda table: table[::-1].copy()},
    ],
    ids=named,
)
def test_tables_that_err_are_not_believed(changes: Changes) -> None:
    """The negative control of each table."""
    config = configured("dec-tiger", ("learner.num_envs=6", DELAYED, "env.restart_steps=4"))
    with pytest.raises(InvariantError, match="differs from the same batch record by record"):
        run(config, tampered(team_tables, changes))


@pytest.mark.parametrize(
    ("task", "sets"),
    [
        ("recycling", ("structure=periodic-sharing",)),
        ("recycling", ("prescriptions=factored",)),
        ("dec-tiger", ("structure=delayed-sharing", "structure.delay_steps=2")),
        ("demand-response", ("env.agents=4", "algorithm=ppo")),
        ("mabc", ("env.restart_steps=0",)),
    ],
)
def test_a_team_that_is_no_matter_of_tables_is_played_record_by_record(task: str, sets: tuple[str, ...]) -> None:
    problem = make_problem(configured(task, ("learner.num_envs=2", *sets)))
    assert team_tables(problem.environment, problem.structure, problem.family, problem.restart_steps) is None


class Dearer(MultiAccessBroadcast):
    """Somebody's own world, made from a shipped one: late in an episode everything costs more."""

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Outcome:
        moved = super().advance(joint_action, begin, draws)
        return moved._replace(rewards=moved.rewards - 0.25)


class Handed:
    """A world that hands on whatever it is asked."""

    def __init__(self, within: Any) -> None:
        self._within = within

    def __getattr__(self, name: str) -> Any:
        return getattr(self._within, name)

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Outcome:
        moved: Outcome = self._within.advance(joint_action, begin, draws)
        return moved._replace(rewards=moved.rewards - 0.25)


def test_a_world_that_moves_in_another_way_has_no_tables() -> None:
    problem = make_problem(configured(*TEAMS["paper"]))
    shipped: Any = problem.environment
    rest = problem.structure, problem.family, problem.restart_steps
    assert team_tables(shipped, *rest) is not None
    for other in (Dearer(shipped.parameters, 3), Handed(shipped)):
        assert hasattr(other, "transition_tables")
        assert team_tables(other, *rest) is None


@pytest.mark.parametrize("action", [2, -1])
def test_a_menu_with_an_action_that_an_agent_does_not_have_has_no_tables(action: int) -> None:
    problem = make_problem(configured(*TEAMS["paper"]))
    menu = problem.family
    assert isinstance(menu, PrescriptionMenu)
    wrong = replace(menu, actions=(*menu.actions[:-1], ((0, action), (0, 0))))
    assert team_tables(problem.environment, problem.structure, wrong, problem.restart_steps) is None


def test_a_menu_that_draws_in_its_own_way_has_no_tables() -> None:
    class Own(PrescriptionMenu):
        pass

    problem = make_problem(configured(*TEAMS["paper"]))
    menu = problem.family
    assert isinstance(menu, PrescriptionMenu)
    own = Own(menu.name, menu.entries, menu.actions)
    assert team_tables(problem.environment, problem.structure, own, problem.restart_steps) is None


def test_without_kernels_it_is_played_record_by_record(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(*TEAMS["paper"])
    expected = run(config)[0].agent_digests
    monkeypatch.setenv("DADC_FAST", "0")
    compiled.unload()
    played = Counted(table_team.play)
    monkeypatch.setattr(table_team, "play", played)
    ended, _, team = run(config)
    assert isinstance(team, TableTeam)
    assert played.calls == 0
    assert ended.agent_digests == expected


@pytest.mark.parametrize(
    ("task", "sets"), [("mabc", ()), ("dec-tiger", ()), ("recycling", ("env.horizon=3",)), ("fire-fighting", ())]
)
def test_tables_lead_where_the_environment_goes(task: str, sets: tuple[str, ...]) -> None:
    """Each copy from each case: two thousand lock-steps with random actions and begins."""
    environment: Any = make_problem(configured(task, ("learner.num_envs=6", *sets))).environment
    spec, world = environment.spec, environment.transition_tables()
    joint, states = spec.joint_action_space, environment.state_numbers(environment.state())
    num_states = (len(world.roots) - 1) // joint.num_values
    generator = np.random.Generator(np.random.Philox(5))
    for step in range(2000):
        begin = (generator.random(6) < 0.1) | (step == 0)
        actions = generator.integers(0, joint.num_values, 6)
        draws = generator.random((6, spec.draws_per_step))
        outcome = environment.advance(joint.values(actions), begin, draws)
        nodes = np.where(begin, world.roots[-1], world.roots[actions * num_states + states])
        for draw in draws.T:
            branches = [
                next(at for at in range(world.first[node], len(world.threshold)) if one < world.threshold[at])
                for node, one in zip(nodes, draw, strict=True)
            ]
            nodes = world.child[branches]
        states = world.state[nodes]
        assert (states == environment.state_numbers(environment.state())).all()
        assert (world.seen[nodes] == spec.joint_observation_space.index(outcome.observations.reshape(6, -1))).all()
        assert (world.public[nodes] == spec.public_space.index(outcome.public)).all()
        assert (np.where(begin, 0.0, world.reward[nodes]) == outcome.rewards).all()


ASSEMBLY = """
import json
from tests.experiment.test_table_team import TEAMS, compiled, configured, run
compiled.load()
run(configured(*TEAMS["paper"]))
from dadc_net.exact.compiled.playing import play
fused = ("vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "fmadd", "fmsub", "fnmadd", "fnmsub", "fmla", "fmls")
texts = list(play.inspect_asm().values())
print(json.dumps([len(texts), *(sum(word.startswith(fused) for word in text.split()) for text in texts)]))
"""


@pytest.mark.timeout(240)
def test_its_kernel_fuses_no_operation_and_is_compiled_once(tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", ASSEMBLY], capture_output=True, text=True, timeout=200, env=variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 0]
