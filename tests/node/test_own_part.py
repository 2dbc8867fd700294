"""What an agent does by tables is what it does in single steps, byte for byte, or is not believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import resolve
from dadc_net.errors import InvariantError, ProtocolError
from dadc_net.exact import compiled, elementary
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent import own_part
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.own_part import OwnPart, TableAgent
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.agent.team_member import TeamMember
from dadc_net.node.record import ActionLayout, ObservationLayout
from dadc_net.node.server.world import TeamProblem
from dadc_net.runtime.problem import make_problem
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import BoxSpace, FiniteSpace
from dadc_net.team.structures.delayed import DelayedSharing, FullSharing
from dadc_net.team.structures.own_memory import NoSharing
from dadc_net.team.structures.periodic import PeriodicSharing
from dadc_net.team.tables import local_tables

pytest.importorskip("numba")
DELAYED = "structure=delayed-sharing"
TEAMS = {
    "paper": ("mabc", ()),
    "two steps later": ("mabc", (DELAYED, "structure.delay_steps=2", "prescriptions=gibbs")),
    "logits of one table": ("mabc", ("prescriptions=gibbs", "theta.shared=true")),
    "now": ("dec-tiger", ()),
    "a step later": ("dec-tiger", (DELAYED, "prescriptions=gibbs")),
    "own memory": ("broadcast-channel", ("structure=no-sharing", "structure.memory_steps=2", "prescriptions=gibbs")),
    "kinds of steps": ("recycling", ("structure=periodic-sharing", "structure.period_steps=3", "prescriptions=gibbs")),
    "never again": ("demand-response", ("env.agents=4",)),
}
RECORDS = 300
Made = list[bytes]


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    """With kernels."""
    assert compiled.load()
    yield
    compiled.unload()


def problem_of(name: str, copies: int) -> TeamProblem:
    task, sets = TEAMS[name]
    return make_problem(resolve(task, [*sets, f"learner.num_envs={copies}", f"learner.batch_steps={12 * copies}"]))


class Agent:
    """Agent 2 of a team, told at random what it may be told."""

    def __init__(self, name: str, copies: int = 3, by_tables: bool = True) -> None:
        self.problem, self.copies = problem_of(name, copies), copies
        self.spec = self.problem.environment.spec.agents[1]
        structure, family = self.problem.structure, self.problem.family
        passive = PassiveAgents({2: private_stream(2, seed_bytes(5))}, copies, structure, family, [self.spec])
        actions = ActionLayout(self.spec.action_space, copies)
        self.tables = TableAgent.of(2, self.spec, structure, family, actions) if by_tables else None
        self.part = OwnPart(passive, actions, self.tables)
        self._observed = ObservationLayout(self.spec.observation_space, copies)

    def told(self, step: int) -> tuple[bytes, NDArray[np.bool_], NDArray[Any]]:
        """Observation, begins and theta of record ``step``, the same for every agent of the team."""
        rng = np.random.Generator(np.random.Philox(step))
        space, theta = self.spec.observation_space, self.problem.family.space
        assert isinstance(space, FiniteSpace)
        seen = rng.integers(0, space.sizes, (self.copies, space.columns))
        starts_anew = self.problem.restart_steps or TEAMS["never again"][0] not in self.problem.environment.spec.name
        begin = np.full(self.copies, step == 0) | (rng.random(self.copies) < 0.1 * bool(starts_anew))
        if isinstance(theta, FiniteSpace):
            return self._observed.pack(seen), begin, rng.integers(0, theta.num_values, self.copies)
        assert isinstance(theta, BoxSpace)
        return self._observed.pack(seen), begin, rng.uniform(theta.low, theta.high, (self.copies, len(theta.low)))

    def answer(self, step: int, last: bool = False) -> bytes:
        raw, begin, theta = self.told(step)
        return self.part.answer(step, self.part.read(step, raw), begin, None if last else theta)

    def answers(self, first: int, count: int) -> Made:
        return [self.answer(step) for step in range(first, first + count)]

    def state(self) -> dict[str, bytes]:
        return {name: array.tobytes() for name, array in self.part.snapshot().items()}


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether tables alone answered, of each record that ``OwnPart`` was asked about and they may answer."""
    found: list[bool] = []
    single = TableAgent.may_answer

    def watched(agent: TableAgent, begin: NDArray[np.bool_]) -> bool:
        found.append(single(agent, begin))
        return found[-1]

    monkeypatch.setattr(TableAgent, "may_answer", watched)
    return found


@pytest.mark.parametrize("copies", [1, 3, 40])
@pytest.mark.parametrize("name", TEAMS)
def test_answers_and_memory_are_those_of_single_steps(name: str, copies: int, looked_up: list[bool]) -> None:
    plain, by_tables = Agent(name, copies, by_tables=False), Agent(name, copies)
    for step in range(RECORDS):
        assert by_tables.answer(step) == plain.answer(step)
        if step % 7 == 0:
            assert by_tables.state() == plain.state()
    assert sum(looked_up) > RECORDS // 2
    assert by_tables.answer(RECORDS, last=True) == plain.answer(RECORDS, last=True) == b""
    assert by_tables.state() == plain.state()


@pytest.mark.parametrize("name", ["paper", "own memory", "kinds of steps", "never again"])
def test_an_agent_that_comes_back_does_the_same_again(name: str, looked_up: list[bool]) -> None:
    """From what tables told, in the same agent, in a new one and in one without tables."""
    agent = Agent(name)
    agent.answers(0, 150)
    state = agent.part.snapshot()
    expected = agent.answers(150, 150)
    for other in (agent, Agent(name), Agent(name, by_tables=False)):
        looked_up.clear()
        other.part.restore(state)
        assert other.answers(150, 150) == expected
        assert sum(looked_up) > 50 or other.tables is None


def test_tables_that_err_later_are_found_out() -> None:
    agent = Agent("kinds of steps")
    agent.answers(0, 100)
    assert agent.tables is not None
    agent.tables._moves.local[...] = agent.tables._moves.local[..., ::-1].copy()
    agent.answers(100, 28)
    with pytest.raises(InvariantError, match="looked up in tables"):
        agent.answer(128)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "local": lambda table: table[..., ::-1].copy(),
    "following": np.zeros_like,
}


@pytest.mark.parametrize("field", CHANGES)
def test_wrong_tables_are_found_before_they_are_believed(
    field: str, looked_up: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*problem: Any) -> Any:
        found = local_tables(*problem)
        assert found is not None
        return found._replace(**{field: CHANGES[field](getattr(found, field))})

    monkeypatch.setattr(own_part, "local_tables", wrong)
    agent = Agent("kinds of steps")
    with pytest.raises(InvariantError, match="looked up in tables"):
        agent.answers(0, 64)
    assert not any(looked_up)


def test_a_wrong_beginning_is_found_where_none_came_for_long(
    looked_up: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that came back when its stream never restarted has not seen one; the first is done both ways."""
    agent = Agent("own memory")
    agent.answers(0, 10)
    state, calm = agent.part.snapshot(), np.zeros(3, dtype=np.bool_)
    agent.part.restore(state)
    told = Agent.told
    monkeypatch.setattr(Agent, "told", lambda self, step: (told(self, step)[0], calm, told(self, step)[2]))
    agent.answers(10, 110)
    assert sum(looked_up) > 30
    monkeypatch.setattr(Agent, "told", lambda self, step: (told(self, step)[0], ~calm, told(self, step)[2]))
    looked_up.clear()
    agent.answers(120, 2)
    assert looked_up == [False, True]


def test_what_the_kernel_doubts_is_done_in_single_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, doubtful = Agent("never again", by_tables=False), Agent("never again")
    expected = plain.answers(0, RECORDS)
    found = doubtful.answers(0, 100)
    assert doubtful.tables is not None
    monkeypatch.setattr(elementary, "TOLERANCE", 0.4 * 2.0**-30)
    outcomes = []
    single = TableAgent.answer

    def watched(*arguments: Any) -> bytes | None:
        outcomes.append(single(*arguments))
        return outcomes[-1]

    monkeypatch.setattr(TableAgent, "answer", watched)
    assert found + doubtful.answers(100, RECORDS - 100) == expected
    assert None in outcomes


class Reversed(DelayedSharing):
    """A structure of a user's."""


@pytest.mark.parametrize(
    ("structure", "observations"),
    [
        (Reversed(), FiniteSpace((2,))),
        (NoSharing(), BoxSpace((0.0,), (1.0,))),
        (NoSharing(memory_steps=2), FiniteSpace((9,))),
        (PeriodicSharing(period_steps=60), FiniteSpace((2,))),
    ],
)
def test_there_are_no_tables_of_what_is_no_matter_of_tables(structure: Any, observations: Any) -> None:
    """Of code that agents do not know, of real numbers, and of more cases than are worth it."""
    assert local_tables(structure, AgentSpec(observations, FiniteSpace((2,))), 10_000) is None


@pytest.mark.parametrize("structure", [FullSharing(), PeriodicSharing(period_steps=1)])
def test_observations_without_end_do_not_keep_an_agent_from_starting(structure: Any) -> None:
    """Their cases cannot even be numbered, although what is kept of them is little."""
    spec = AgentSpec(FiniteSpace((256,) * 5), FiniteSpace((2,)))
    assert structure.local_space(spec.observation_space, spec.action_space).num_values < 100
    assert local_tables(structure, spec, 10_000) is None


class OwnMenu(PrescriptionMenu):
    """A menu of a user's, who may mean something else by an entry."""


class OwnLogits(GibbsFamily):
    """Likewise of logits."""


GIBBS: dict[str, Any] = {"name": "g", "tables": 2, "local_values": 2, "num_actions": 3, "bound": 5.0}
WAITS = ("wait", "go")
FAMILIES: dict[str, tuple[PrescriptionFamily, bool]] = {
    "menu": (PrescriptionMenu("m", WAITS, (((0, 0),) * 2, ((1, 2),) * 2)), True),
    "an action that the agent does not have": (PrescriptionMenu("m", WAITS, (((0, 0),) * 2, ((1, 3),) * 2)), False),
    "a menu of a user's": (OwnMenu("m", WAITS, (((0, 0),) * 2, ((1, 2),) * 2)), False),
    "logits": (GibbsFamily(**GIBBS), True),
    "logits of fewer actions": (GibbsFamily(**{**GIBBS, "num_actions": 2}), True),
    "logits of more actions": (GibbsFamily(**{**GIBBS, "num_actions": 4}), False),
    "agents with different actions": (GibbsFamily(**GIBBS, own_actions=(2, 3)), False),
    "logits of a user's": (OwnLogits(**GIBBS), False),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("copies", [1, own_part._MANY_COPIES - 1, own_part._MANY_COPIES])
def test_which_prescriptions_are_looked_up(name: str, copies: int) -> None:
    """Those that mean what they say, of so few copies that single steps take longer."""
    family, by_tables = FAMILIES[name]
    spec = AgentSpec(FiniteSpace((2,)), FiniteSpace((3,)))
    found = TableAgent.of(2, spec, NoSharing(), family, ActionLayout(spec.action_space, copies))
    assert (found is not None) == (by_tables and copies < own_part._MANY_COPIES)


@pytest.mark.parametrize(("agent", "by_tables"), [(2, True), (3, False)])
def test_an_agent_without_a_table_of_its_own_looks_nothing_up(agent: int, by_tables: bool) -> None:
    """Logits of two agents, and a server that gives them to the third: single steps refuse that."""
    spec = AgentSpec(FiniteSpace((2,)), FiniteSpace((3,)))
    found = TableAgent.of(agent, spec, NoSharing(), GibbsFamily(**GIBBS), ActionLayout(spec.action_space, 1))
    assert (found is not None) == by_tables


def test_prescriptions_that_the_coordinator_does_not_choose_from_are_refused() -> None:
    """A kernel has no bounds: logits of a wider theta would be read beyond the copies."""
    config = resolve("demand-response", ["env.agents=4", "learner.num_envs=2", "learner.batch_steps=24"])
    task = make_problem(config)
    facts: dict[str, Any] = {
        "structure": task.structure.to_plain(),
        "family": task.family.to_plain(),
        "observation_space": task.environment.spec.agents[0].observation_space.to_plain(),
        "action_space": task.environment.spec.agents[0].action_space.to_plain(),
    }
    identity = AgentIdentity(agent=1, shared_seed=seed_bytes(1), selftest=bytes(32))
    assert TeamMember(identity, config.settings, facts).record_bytes > 0
    wider = BoxSpace((-5.0,) * 96, (5.0,) * 96).to_plain()
    with pytest.raises(ProtocolError, match=r"a coordinator chooses from .* but the prescriptions"):
        TeamMember(identity, replace(config.settings, theta_space=wider), facts)


def test_without_kernels_an_agent_has_no_tables() -> None:
    compiled.unload()
    assert Agent("paper").tables is None
