"""Records that are looked up in tables are those that the environment makes, byte for byte, or are not believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import resolve
from dadc_net.errors import InvariantError
from dadc_net.exact import compiled
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.rows import ServerRow
from dadc_net.node.server import table_steps
from dadc_net.node.server.world import TeamProblem, World
from dadc_net.runtime.problem import make_problem
from dadc_net.team import tables
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.finite.environment import FiniteEnvironment, FiniteParameters
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.own_memory import MeanFieldSharing
from dadc_net.team.tables import world_tables
from tests.tables_that_err import OF_A_WORLD, Changes, named, tampered

pytest.importorskip("numba")
ROOT = Path(__file__).parents[2]
DELAYED = "structure=delayed-sharing"
TEAMS = {
    "paper": ("mabc", ("learner.num_envs=3",)),
    "one copy, cut often": ("mabc", ("learner.num_envs=1", "env.restart_steps=7")),
    "ends at once": ("mabc", ("learner.num_envs=4", "env.initial_busy_probability=0.5", "env.restart_steps=1")),
    "now": ("dec-tiger", ("learner.num_envs=5",)),
    "a step later": ("dec-tiger", ("learner.num_envs=5", DELAYED)),
    "factored": ("recycling", ("learner.num_envs=4", "prescriptions=factored")),
    "decisions are numbered": ("recycling", ("learner.num_envs=4", DELAYED, "env.horizon=5", "discount=1.0")),
    "both ends": ("recycling", ("learner.num_envs=4", "env.horizon=5", "env.restart_steps=3")),
    "all is common": ("broadcast-channel", ("learner.num_envs=3", "structure=full-sharing")),
    "nothing is": ("broadcast-channel", ("learner.num_envs=3", "structure=no-sharing")),
    "three agents": (
        "launch.examples.three_transmitters:make_task",
        ("learner.num_envs=4", "env.horizon=8", "discount=1.0"),
    ),
    "many states": ("fire-fighting", ("learner.num_envs=2", DELAYED)),
}
RECORDS = 700


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    """With kernels."""
    assert compiled.load()
    yield
    compiled.unload()


def problem_of(task: str, sets: tuple[str, ...]) -> TeamProblem:
    return make_problem(resolve(task, [*sets, "learner.batch_steps=240"]))


def world_of(problem: TeamProblem, by_tables: bool = True) -> World:
    return World(problem, seed_bytes(4), by_tables)


def actions_of(world: World, step: int) -> NDArray[np.int64]:
    """Some joint action [E, K], the same for every world."""
    rng = np.random.Generator(np.random.Philox(step))
    sizes = [agent.action_space.num_values for agent in world.problem.environment.spec.agents]
    return rng.integers(0, sizes, (world.copies, world.num_agents))


def rows_of(world: World, first: int, count: int) -> list[ServerRow]:
    """Records ``first`` .. of a world that stands before them."""
    return [world.advance(actions_of(world, step)) for step in range(first, first + count)]


def state_bytes(world: World) -> dict[str, tuple[bytes, str, tuple[int, ...]]]:
    return {name: (array.tobytes(), str(array.dtype), array.shape) for name, array in world.state().items()}


def is_sure(world: World) -> bool:
    return world._tables is not None and world._tables.is_sure


@pytest.mark.parametrize("name", TEAMS)
def test_they_have_the_bytes_of_the_environments(name: str) -> None:
    plain, looked_up = world_of(problem_of(*TEAMS[name]), False), world_of(problem_of(*TEAMS[name]))
    assert plain.first() == looked_up.first()
    for step in range(1, RECORDS):
        actions = actions_of(plain, step)
        assert looked_up.advance(actions) == plain.advance(actions)
        assert list(looked_up.state()) == list(plain.state())
        assert state_bytes(looked_up) == state_bytes(plain)
        assert not is_sure(looked_up) or step >= table_steps._COMPARED
    assert is_sure(looked_up)
    assert not is_sure(plain)


@pytest.mark.parametrize("name", ["paper", "a step later", "decisions are numbered"])
def test_a_world_that_is_wound_back_makes_the_same_records_again(name: str) -> None:
    """From a state that tables told, in the same world, in a new one, and in one without tables; and the other way round."""
    world = world_of(problem_of(*TEAMS[name]))
    world.first()
    rows_of(world, 1, 350)
    assert is_sure(world)
    state = world.state()
    told = {name: array.tobytes() for name, array in state.items()}
    expected = rows_of(world, 351, 350)
    assert {name: array.tobytes() for name, array in state.items()} == told
    world.restore(state)
    assert not is_sure(world)
    assert rows_of(world, 351, 350) == expected
    assert is_sure(world)
    for by_tables in (True, False):
        other = world_of(problem_of(*TEAMS[name]), by_tables)
        other.restore(state)
        assert rows_of(other, 351, 350) == expected
        assert is_sure(other) is by_tables


def test_values_alone_go_on_from_where_tables_stand() -> None:
    plain, looked_up = world_of(problem_of(*TEAMS["a step later"]), False), world_of(problem_of(*TEAMS["a step later"]))
    for world in (plain, looked_up):
        world.first()
        rows_of(world, 1, 100)
    assert is_sure(looked_up)
    for step in range(101, 120):
        actions = actions_of(plain, step)
        moved, expected = looked_up.move(actions), plain.move(actions)
        assert all(mine.tobytes() == other.tobytes() for mine, other in zip(moved, expected, strict=True))
    assert not is_sure(looked_up)
    for world in (plain, looked_up):
        world.head = bytes(32)
    assert rows_of(looked_up, 120, 100) == rows_of(plain, 120, 100)


@pytest.mark.parametrize(
    "changes", [*OF_A_WORLD, {"state_of": lambda told: lambda numbers, steps: told(numbers, steps + 1)}], ids=named
)
def test_tables_that_err_are_not_believed(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of each table."""
    monkeypatch.setattr(table_steps, "world_tables", tampered(world_tables, changes))
    world = world_of(problem_of("recycling", ("learner.num_envs=6", DELAYED, "env.restart_steps=4")))
    world.first()
    with pytest.raises(InvariantError, match="differs from the same record as the environment makes it"):
        rows_of(world, 1, RECORDS)


def as_expected(world: World, rows: list[ServerRow]) -> None:
    for step, row in enumerate(rows, start=1):
        assert world.advance(actions_of(world, step)) == row


@pytest.mark.parametrize(
    ("changes", "task"),
    [
        ({"counts": lambda table: table - [0, 0, 0, 1, 0, 0]}, ("mabc", ("learner.num_envs=2",))),
        ({"counts": lambda table: table * [1, 1, 1, 0, 1, 1]}, ("mabc", ("learner.num_envs=2",))),
        ({"roots": lambda table: np.append(table[:-1], table[0])}, ("mabc", ("learner.num_envs=2",))),
        (
            {"counts": lambda table: table - [0, 0, 0, 0, 1, 0]},
            ("recycling", ("learner.num_envs=2", "env.horizon=90", "env.restart_steps=200")),
        ),
    ],
    ids=["cut too early", "never cut", "another beginning", "over too early"],
)
def test_what_comes_late_in_an_episode_is_compared_before_tables_are_believed(
    changes: Changes, task: tuple[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = world_of(problem_of(*task), False)
    plain.first()
    expected = rows_of(plain, 1, 301)
    monkeypatch.setattr(table_steps, "world_tables", tampered(world_tables, changes))
    world = world_of(problem_of(*task))
    world.first()
    with pytest.raises(InvariantError, match="differs from the same record"):
        as_expected(world, expected)


def test_a_case_that_comes_seldom_is_compared_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one leaf in many gives is wrong: a record in 64 is made both ways as long as the world goes on."""
    rare = {"reward": lambda table: table + 0.5 * (np.arange(len(table)) == 9)}
    monkeypatch.setattr(table_steps, "world_tables", tampered(world_tables, rare))
    world = world_of(problem_of("dec-tiger", ("learner.num_envs=1", "env.restart_steps=20")))
    world.first()
    with pytest.raises(InvariantError, match="differs from the same record"):
        rows_of(world, 1, 100_000)
    assert world._step > 64


@pytest.mark.parametrize("place", range(5))
def test_a_byte_that_errs_is_noticed(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each part of a record."""
    make_record = table_steps.make_record

    def wrong(*arguments: Any) -> None:
        make_record(*arguments)
        arguments[-1][place].reshape(-1).view(np.uint8)[-1] ^= 1

    monkeypatch.setattr(table_steps, "make_record", wrong)
    world = world_of(problem_of(*TEAMS["paper"]))
    world.first()
    with pytest.raises(InvariantError, match="differs from the same record"):
        rows_of(world, 1, 3)


class Dearer(MultiAccessBroadcast):
    """Somebody's own world, made from a shipped one."""

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Any:
        moved = super().advance(joint_action, begin, draws)
        return moved._replace(rewards=moved.rewards - 0.25)


class Silent(FiniteEnvironment):
    """Moves as a finite model does, and tells another state than that."""

    advance, transition_tables = FiniteEnvironment.advance, FiniteEnvironment.transition_tables
    state_numbers, state_of = FiniteEnvironment.state_numbers, FiniteEnvironment.state_of


def test_what_is_no_matter_of_tables_is_made_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, tiger = problem_of(*TEAMS["paper"]), problem_of(*TEAMS["now"])
    assert isinstance(shipped.environment, MultiAccessBroadcast)
    assert isinstance(tiger.environment, FiniteEnvironment)
    own = replace(shipped, environment=Dearer(shipped.environment.parameters, 3))
    silent = replace(tiger, environment=Silent(tiger.environment.model, FiniteParameters(), 5))
    loads = problem_of("demand-response", ("env.agents=4", "learner.num_envs=2"))
    endless = problem_of("mabc", ("env.restart_steps=0", "learner.num_envs=2"))
    for problem in (own, silent, loads, endless):
        assert world_of(problem)._tables is None
    assert world_of(shipped)._tables is not None
    monkeypatch.setattr(table_steps, "_MOST_ENTRIES", 10)
    assert world_of(shipped)._tables is None


@pytest.mark.parametrize("values", [3, 20])
def test_common_values_that_are_too_many_have_no_table(values: int) -> None:
    """Two agents that see 20 things are 1,600 cases, and 3^19 values of what is common."""
    agents = equal_agents(2, FiniteSpace((values,)), FiniteSpace((2,)))
    spec = EnvironmentSpec(name="s", agents=agents, public_space=FiniteSpace((1,)), draws_per_step=1)
    found = tables._common(MeanFieldSharing(values=values), spec, [0, 1], 100_000)
    assert (found is None) == (values == 20)


@pytest.mark.parametrize(
    "changes",
    [
        {"roots": lambda table: table + len(table) ** 2},
        {"child": lambda table: table - 1},
        {"child": lambda table: table + 1},
        {"first": lambda table: table + 1},
        {"state": lambda table: table + 1},
        {"seen": lambda table: table - 1},
        {"public": lambda table: table + 1},
        {"reward": lambda table: table * np.nan},
        {"threshold": lambda table: table * 0.5},
    ],
    ids=named,
)
def test_tables_that_lead_nowhere_are_none(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = FiniteEnvironment.transition_tables

    def leading_nowhere(environment: FiniteEnvironment) -> Any:
        found = shipped(environment)
        assert found is not None
        return found._replace(**{name: change(getattr(found, name)) for name, change in changes.items()})

    assert world_of(problem_of(*TEAMS["now"]))._tables is not None
    monkeypatch.setattr(FiniteEnvironment, "transition_tables", leading_nowhere)
    assert world_of(problem_of(*TEAMS["now"]))._tables is None


ASSEMBLY = """
import json
from tests.node.test_table_steps import TEAMS, compiled, problem_of, rows_of, world_of
compiled.load()
for name in ("paper", "a step later"):
    world = world_of(problem_of(*TEAMS[name]))
    world.first()
    rows_of(world, 1, 100)
from dadc_net.exact.compiled.playing import make_record
fused = ("vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "fmadd", "fmsub", "fnmadd", "fnmsub", "fmla", "fmls")
texts = list(make_record.inspect_asm().values())
print(json.dumps([len(texts), *(sum(word.startswith(fused) for word in text.split()) for text in texts)]))
"""


@pytest.mark.timeout(240)
def test_the_kernel_fuses_no_operation_and_is_compiled_once(tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", ASSEMBLY], capture_output=True, text=True, timeout=200, env=variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 0]
