"""A team written down in tables: what follows from where it stands, as numbers to look up. Servers and simulations do so.

Possible where everything is finite: an environment that gives tables, a built-in information structure that looks at most
one joint step back, and, where the agents are to be in them too, a menu. What becomes common, what is local and what is
done are found by asking the structure and the menu about every case; how the world moves, its own class says beside its
``advance``. So a class that moves in another way than the one that it comes from has no tables, nor has one that nobody
wrote any for; and where something is not finite, or the cases are too many, there are none.

Axis letters: S states, J joint actions, K agents, N nodes, B branches, H leaves, C kinds of steps, O what happens on the
way to one record (joint action, joint observation and what is public), Z common observations, M entries, L local values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.environment import Environment, EnvironmentSpec
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.by_name import is_built_in
from dadc_net.team.structures.structure import InformationStructure, JointStep

Numbers = NDArray[np.int64]
_MOST_ENTRIES = 2_000_000
"""Of one table."""
_MOST_KINDS = 64
_MOST_STEPS = 100_000


class EnvironmentTables(NamedTuple):
    """An environment with finitely many states. At a node a uniform number takes the first branch whose threshold is larger;
    as many numbers as the environment draws lead from a root to a leaf."""

    roots: Numbers
    """[J S + 1] the node for each joint action and state, and that of a copy that begins"""
    first: Numbers
    """[N] the first branch of each node"""
    threshold: NDArray[np.float64]
    """[B] rising at a node, the last one at least 1"""
    child: Numbers
    """[B] the next node, or, after the last draw, the leaf"""
    state: Numbers
    """[H] the next state"""
    seen: Numbers
    """[H] the joint observation, by number"""
    public: Numbers
    """[H] what is public, by number"""
    reward: NDArray[np.float64]
    """[H]"""
    over: NDArray[np.bool_]
    """[H] whether nothing is to come"""


@runtime_checkable
class Tabulated(Protocol):
    """An environment that may be written down."""

    def transition_tables(self) -> EnvironmentTables | None:
        """What follows from every state; None where that is too much."""
        ...

    def state_numbers(self, state: Mapping[str, NDArray[Any]]) -> Numbers:
        """[E] numbers of the states that ``Environment.state`` tells."""
        ...

    def state_of(self, numbers: Numbers, steps: Numbers) -> dict[str, NDArray[Any]]:
        """What ``Environment.state`` tells of copies in states ``numbers`` [E], ``steps`` [E] after they began."""
        ...


@dataclass(frozen=True, kw_only=True)
class WorldTables:
    """All that a lock-step looks up but for what the agents do."""

    world: EnvironmentTables
    common: Numbers
    """[C, O or 1, O] z by number, after what happened at the step before (if the structure looks at it) and at this one"""
    kinds: Numbers
    """[A] kind of each step of an episode"""
    own: Numbers
    """[J O, K] of each joint observation, what each agent sees, by number"""
    strides: Numbers
    """[K] of the number of a joint action"""
    counts: Numbers
    """S, joint observations, public values, restart_steps, horizon, and whether ``common`` looks back"""
    state_numbers: Callable[[Mapping[str, NDArray[Any]]], Numbers]
    """``Tabulated.state_numbers``"""
    state_of: Callable[[Numbers, Numbers], dict[str, NDArray[Any]]]
    """``Tabulated.state_of``"""

    def happened(self, joint: JointStep, spec: EnvironmentSpec) -> Numbers:
        """[E] the number of a joint step."""
        return _happened(
            spec.joint_action_space.index(joint.joint_action_tm1),
            numbered(spec.joint_observation_space).index(joint.observations),
            numbered(spec.public_space).index(joint.public),
            self.counts[1:3],
        )

    def joint_step(self, happened: Numbers, begin: NDArray[np.bool_], spec: EnvironmentSpec) -> JointStep:
        """The joint step of numbers [E], with which copies began or not [E]."""
        return _joint_step(spec, happened, begin)


@dataclass(frozen=True, kw_only=True)
class TeamTables(WorldTables):
    """All that a lock-step looks up."""

    local: Numbers
    """Of all agents one after the other, [C, L, A, O^k] the next local value, by number"""
    places: Numbers
    """[K, 4] where that of each agent begins, and its L, A and O^k"""
    actions: Numbers
    """[M, K, L] of the menu"""

    def team(self, codes: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
        """Everything but the world's, with codes [Z, F] of common observations, in the order that kernels take it in."""
        return (
            *(self.common, codes, self.kinds, self.own, self.local),
            *(self.places, self.actions, self.strides, self.counts),
        )


def world_tables(
    environment: Environment, structure: InformationStructure, restart_steps: int, most: int = _MOST_ENTRIES
) -> WorldTables | None:
    """The tables of an environment under an information structure; None if it has none, or one has more than ``most``."""
    spec = environment.spec
    steps = [count for count in (restart_steps, spec.horizon) if count]
    kinds = _kinds(structure, min(steps)) if steps and is_built_in(structure) and structure.history_steps <= 2 else None
    finite = all(isinstance(space, FiniteSpace) for space in (spec.joint_observation_space, spec.public_space))
    if kinds is None or not finite or not _moves_by_tables(environment) or not isinstance(environment, Tabulated):
        return None
    common = _common(structure, spec, kinds[1], most)
    world = environment.transition_tables() if common is not None else None
    states = 0 if world is None else (len(world.roots) - 1) // spec.joint_action_space.num_values
    if common is None or world is None or len(world.threshold) > most or not _are_sound(world, states, spec):
        return None
    counts = [states, *_sizes(spec), restart_steps, spec.horizon]
    return WorldTables(
        world=world,
        common=common,
        kinds=kinds[0],
        own=_own(spec),
        strides=spec.joint_action_space.index(np.eye(spec.num_agents, dtype=np.int64)),
        counts=np.array([*counts, structure.history_steps == 2], dtype=np.int64),
        state_numbers=environment.state_numbers,
        state_of=environment.state_of,
    )


def team_tables(
    environment: Environment, structure: InformationStructure, family: PrescriptionFamily, restart_steps: int
) -> TeamTables | None:
    """The tables of a team problem; None if it has none."""
    spec = environment.spec
    menu = _menu(family, spec)
    found = world_tables(environment, structure, restart_steps) if menu is not None else None
    local = None if found is None else _local(structure, spec, _first_steps(found.kinds))
    if menu is None or found is None or local is None:
        return None
    return TeamTables(
        **vars(found),
        local=np.concatenate([one.reshape(-1) for one in local]),
        places=_places(local),
        actions=menu,
    )


class LocalTables(NamedTuple):
    """Local information of one agent, by number."""

    steps: Numbers
    """[C] the first step of each kind"""
    following: Numbers
    """[C] the kind of step after a step of each kind; 0 is the kind of an episode's first one."""
    local: Numbers
    """[C, L, A, O^k] the next local value"""


def local_tables(structure: InformationStructure, agent: AgentSpec, most: int) -> LocalTables | None:
    """The tables of what an agent remembers, however long episodes are; None if there are none, or one exceeds ``most``."""
    steps, following = [0], list[int]()
    while is_built_in(structure) and len(following) < len(steps) <= _MOST_KINDS:
        after = structure.recurring_step(steps[-1] + 1)
        if after not in steps:
            steps.append(after)
        following.append(steps.index(after))
    finite = isinstance(agent.observation_space, FiniteSpace)
    local = _local_of(structure, agent, steps, most) if finite and len(following) == len(steps) else None
    return None if local is None else LocalTables(np.array(steps), np.array(following), local)


def _first_steps(kinds: Numbers) -> list[int]:
    """A step of each kind."""
    found: list[int] = np.unique(kinds, return_index=True)[1].tolist()
    return found


def _moves_by_tables(environment: Environment) -> bool:
    """Whether what moves it stands in the class that has the tables, neither inherited nor passed on to something else."""
    own = vars(type(environment))
    return all(name in own for name in ("advance", "state", "transition_tables", "state_numbers", "state_of"))


def _are_sound(world: EnvironmentTables, states: int, spec: EnvironmentSpec) -> bool:
    """Whether every number leads to a place that there is; kernels do not ask."""
    nodes, branches, leaves = len(world.first), len(world.threshold), len(world.state)
    ends = np.append(world.first[1:], branches)
    named = (world.roots, nodes), (world.state, states), (world.seen, _sizes(spec)[0]), (world.public, _sizes(spec)[1])
    if world.first[0] or (ends <= world.first).any() or not all(_within(*pair) for pair in named):
        return False
    node_of = np.repeat(np.arange(nodes), ends - world.first)
    reached = world.roots
    for draw in range(spec.draws_per_step):
        reached = world.child[np.isin(node_of, reached)]
        if not _within(reached, leaves if draw == spec.draws_per_step - 1 else nodes):
            return False
    return bool((world.threshold[ends - 1] >= 1.0).all()) and bool(np.isfinite(world.reward).all())


def _within(numbers: Numbers, size: int) -> bool:
    return bool(((numbers >= 0) & (numbers < size)).all())


def _menu(family: PrescriptionFamily, spec: EnvironmentSpec) -> Numbers | None:
    """[M, K, L]; None for what is no menu, or says an action that its agent does not have."""
    if type(family) is not PrescriptionMenu:
        return None
    table = family.table()
    table = np.repeat(table, spec.num_agents, axis=1) if table.shape[1] == 1 else table
    sizes = np.array([agent.action_space.num_values for agent in spec.agents])
    sound = table.shape[1] == len(sizes) and bool(((table >= 0) & (table < sizes[:, None])).all())
    return table if sound else None


def numbered(space: Any) -> FiniteSpace:
    """``space``, whose values have numbers. Raises InvariantError for one whose values have none."""
    if not isinstance(space, FiniteSpace):
        raise InvariantError(f"{space} has no values to number, and was to stand in a table")
    return space


def _sizes(spec: EnvironmentSpec) -> tuple[int, int]:
    """How many joint observations and public values there are."""
    return numbered(spec.joint_observation_space).num_values, numbered(spec.public_space).num_values


def branching(counts: Numbers) -> Numbers:
    """[N] where the branches of each node begin, from how many there are."""
    begins: Numbers = np.cumsum(counts) - counts
    return begins


def _happened(joint_action: Numbers, seen: Numbers, public: Numbers, sizes: Numbers) -> Numbers:
    number: Numbers = (joint_action * sizes[0] + seen) * sizes[1] + public
    return number


def _kinds(structure: InformationStructure, oldest: int) -> tuple[Numbers, list[int]] | None:
    """The kind of each step up to ``oldest``, and a step of each kind; None if they are too many."""
    if oldest > _MOST_STEPS:
        return None
    found: dict[int, int] = {}
    kinds = [found.setdefault(structure.recurring_step(step), len(found)) for step in range(oldest + 1)]
    return (np.array(kinds, dtype=np.int64), list(found)) if len(found) <= _MOST_KINDS else None


def _common(structure: InformationStructure, spec: EnvironmentSpec, steps: list[int], most: int) -> Numbers | None:
    """[C, O or 1, O]"""
    seen, public = _sizes(spec)
    number = spec.joint_action_space.num_values * seen * public
    looks_back = structure.history_steps == 2
    cases = number * number if looks_back else number
    space = structure.common_space(spec)
    if not isinstance(space, FiniteSpace) or max(len(steps) * cases, space.num_values) > most:
        return None
    now = np.tile(np.arange(number), number) if looks_back else np.arange(number)
    before = np.repeat(np.arange(number), number) if looks_back else now[:0]
    tables = []
    for step in steps:
        begin = np.full(cases, step == 0)
        history = [_joint_step(spec, which, begin) for which in ((before, now) if looks_back else (now,))]
        values = structure.common(history, np.full(cases, step, dtype=np.int64))
        if not space.contains(values):
            return None
        tables.append(space.index(values).reshape(-1, number))
    return np.stack(tables)


def _joint_step(spec: EnvironmentSpec, happened: Numbers, begin: NDArray[np.bool_]) -> JointStep:
    """The inverse of ``_happened``."""
    seen, public = _sizes(spec)
    return JointStep(
        numbered(spec.joint_observation_space).values(happened // public % seen),
        numbered(spec.public_space).values(happened % public),
        spec.joint_action_space.values(happened // public // seen),
        begin,
    )


def _own(spec: EnvironmentSpec) -> Numbers:
    """[J O, K]"""
    values = numbered(spec.joint_observation_space).values(np.arange(_sizes(spec)[0]))
    agents = zip(spec.agents, spec.observation_places, strict=True)
    return np.stack([numbered(agent.observation_space).index(values[:, place]) for agent, place in agents], axis=1)


def _local(structure: InformationStructure, spec: EnvironmentSpec, steps: list[int]) -> list[Numbers] | None:
    """Of each agent [C, L, A, O^k]"""
    found: dict[AgentSpec, Numbers] = {}
    for agent in dict.fromkeys(spec.agents):
        table = _local_of(structure, agent, steps)
        if table is None:
            return None
        found[agent] = table
    return [found[agent] for agent in spec.agents]


def _local_of(
    structure: InformationStructure, agent: AgentSpec, steps: list[int], most: int = _MOST_ENTRIES
) -> Numbers | None:
    space = structure.local_space(agent.observation_space, agent.action_space)
    if not isinstance(space, FiniteSpace):
        return None
    observations = numbered(agent.observation_space)
    sizes = space.num_values, agent.action_space.num_values, observations.num_values
    if len(steps) * math.prod(sizes) > most:
        return None
    cases = FiniteSpace(sizes)
    local, action, seen = cases.values(np.arange(cases.num_values)).T
    tables = []
    for step in steps:
        at = np.full(cases.num_values, step, dtype=np.int64)
        values = structure.local(space.values(local), action, observations.values(seen), at)
        if not space.contains(values):
            return None
        tables.append(space.index(values).reshape(cases.sizes))
    return np.stack(tables)


def _places(local: list[Numbers]) -> Numbers:
    """[K, 4]"""
    begins = np.cumsum([0, *(table.size for table in local)])[:-1]
    return np.array([[begin, *table.shape[1:]] for begin, table in zip(begins, local, strict=True)], dtype=np.int64)
