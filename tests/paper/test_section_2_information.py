"""Sections 2 and 3: information structures, their common and local parts, (L1), (L2), and prescriptions.

The formulas are taken literally: an information structure is a set of named variables for each agent and time, common and
local information are an intersection and a difference of such sets, and what the code's structure depends on is found by
changing one variable at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.conformance import check_environment
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.multi_access_broadcast import MENUS, MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.spaces import FiniteSpace, Space
from dadc_net.team.structures.own_memory import ControlSharing, MeanFieldSharing
from dadc_net.team.structures.structure import InformationStructure, JointStep

AGENTS, LAST = (1, 2), 6
Variable = tuple[str, int, int]
"""(letter, agent or 0, time)"""
Known = Callable[[int, int], set[Variable]]
"""(agent, time) -> I_t^k"""


def common(known: Known, t: int) -> set[Variable]:
    """C_t, the intersection of I_s^k over s >= t and k; the horizon stands for infinity."""
    return set.intersection(*(known(k, s) for k in AGENTS for s in range(t, LAST + 1)))


def between(letter: str, agents: Sequence[int], first: int, last: int) -> set[Variable]:
    """Variables of ``agents`` from ``first`` to ``last``."""
    return {(letter, k, t) for k in agents for t in range(max(first, 0), last + 1)}


def control_sharing(k: int, t: int) -> set[Variable]:
    """I_t^k = {O_{0:t}^k, A_{0:t-1}}."""
    return between("O", [k], 0, t) | between("A", AGENTS, 0, t - 1)


def mean_field_sharing(k: int, t: int) -> set[Variable]:
    """I_t^k = {S_{0:t}^k, A_{0:t-1}^k, M_{0:t}}."""
    return between("O", [k], 0, t) | between("A", [k], 0, t - 1) | between("M", [0], 0, t)


def delayed_sharing(k: int, t: int, d: int = 1) -> set[Variable]:
    """I_t^k = {O_{0:t-d}, A_{0:t-d}, O_{t-d+1:t}^k, A_{t-d+1:t-1}^k}."""
    shared = between("O", AGENTS, 0, t - d) | between("A", AGENTS, 0, t - d)
    return shared | between("O", [k], t - d + 1, t) | between("A", [k], t - d + 1, t - 1)


class DelayedByOne(InformationStructure):
    """Delayed sharing with d = 1, as a user would write it: z_t = (O_{t-1}, A_{t-1}), L_t^k = O_t^k."""

    name = "delayed-by-one"
    history_steps = 2

    def common_space(self, spec: EnvironmentSpec) -> FiniteSpace:
        return FiniteSpace((2,) * 4)

    def common(self, history: Sequence[JointStep], step_in_episode: NDArray[np.int64]) -> NDArray[np.int64]:
        before, now = history[0], history[-1]
        observed = np.where(now.begin[:, None], 0, before.observations)
        return np.concatenate((observed, now.joint_action_tm1), axis=1)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return observation_space

    def local(
        self,
        local: NDArray[np.int64],
        action: NDArray[np.int64],
        observation_next: NDArray[np.int64],
        step_in_episode: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        return observation_next


STRUCTURES: list[tuple[InformationStructure, Known, set[str]]] = [
    (ControlSharing(), control_sharing, {"A"}),
    (MeanFieldSharing(), mean_field_sharing, {"M"}),
    (DelayedByOne(), delayed_sharing, {"O", "A"}),
]


def history(changed: Variable | None, t: int) -> list[JointStep]:
    """Two joint steps up to time t, all zeros but ``changed``."""

    def value(letter: str, k: int, s: int) -> int:
        return int((letter, k, s) == changed)

    def step(s: int) -> JointStep:
        observed = np.array([[value("O", k, s) for k in AGENTS]])
        acted = np.array([[value("A", k, s - 1) for k in AGENTS]])
        return JointStep(observed, np.zeros((1, 1), dtype=np.int64), acted, np.zeros(1, dtype=bool))

    return [step(t - 1), step(t)]


def depends_on(structure: InformationStructure, t: int) -> set[Variable]:
    """The variables of which z_t says anything; the mean field M_t is one variable, made of all O_t."""
    at = np.full(1, t)
    plain = structure.common(history(None, t), at)
    tried = between("O", AGENTS, t - 1, t) | between("A", AGENTS, t - 2, t - 1)
    found = {variable for variable in tried if (structure.common(history(variable, t), at) != plain).any()}
    if isinstance(structure, MeanFieldSharing):
        assert found == between("O", AGENTS, t, t)
        return {("M", 0, t)}
    return found


@pytest.mark.parametrize(("structure", "known", "letters"), STRUCTURES, ids=[s.name for s, _, _ in STRUCTURES])
def test_the_increment_is_what_becomes_common(structure: InformationStructure, known: Known, letters: set[str]) -> None:
    """Section 3: C_t is the intersection of I_s^k over k and s >= t, grows with t, and Z is what it grows by.

    Index choice: here z_t is what is common on arrival at t, C_t minus C_{t-1}, so that C_t = z_0 .. z_t.
    """
    for t in (2, 3, 4):
        assert common(known, t - 1) <= common(known, t)
        assert depends_on(structure, t) == common(known, t) - common(known, t - 1)
        assert {letter for letter, _, _ in common(known, t)} == letters


def test_another_structure_has_another_increment() -> None:
    """The negative control: control sharing's increment is not that of delayed sharing, nor the other way round."""
    for structure, known in ((STRUCTURES[0][0], delayed_sharing), (STRUCTURES[2][0], control_sharing)):
        assert depends_on(structure, 3) != common(known, 3) - common(known, 2)


@pytest.mark.parametrize(("structure", "known", "letters"), STRUCTURES, ids=[s.name for s, _, _ in STRUCTURES])
def test_local_information_is_the_rest_shed_of_the_past(
    structure: InformationStructure, known: Known, letters: set[str]
) -> None:
    """Section 3: L_t^k = I_t^k minus C_t. Where it grows, irrelevant information is shed: the present observation is left.

    (L1) is the signature of ``local``, which has no common information in it; (L2) is its space, the same at every t.
    """
    rest = control_sharing(1, 3) - common(control_sharing, 3)
    assert rest == between("O", [1], 0, 3)  # unbounded: without shedding, (L2) would fail
    assert len(control_sharing(1, 5) - common(control_sharing, 5)) > len(rest)
    assert delayed_sharing(1, 3) - common(delayed_sharing, 3) == between("O", [1], 3, 3)  # bounded as it is
    space = FiniteSpace((2,))
    assert structure.local_space(space, space) == space
    for before in (0, 1):
        for action in (0, 1):
            following = structure.local(
                np.array([[before]] * 2), np.array([action] * 2), np.array([[0], [1]]), np.full(2, 3)
            )
            assert following.tolist() == [[0], [1]]


def test_delayed_sharing_satisfies_l1_and_l2() -> None:
    """Section 3: delayed sharing satisfies (L1) and (L2), so the conformance kit finds nothing to object to.

    It does object to a structure whose local information depends on the common one behind the signature's back.
    """

    class Leaky(DelayedByOne):
        shared = 0

        def common(self, history: Sequence[JointStep], step_in_episode: NDArray[np.int64]) -> NDArray[np.int64]:
            self.shared = int(history[-1].joint_action_tm1.sum())
            return super().common(history, step_in_episode)

        def local(self, *given: NDArray[np.int64]) -> NDArray[np.int64]:  # type: ignore[override]
            return (given[2] + self.shared) % 2

    def make(copies: int) -> MultiAccessBroadcast:
        return MultiAccessBroadcast(MultiAccessBroadcastParameters(), copies)

    assert check_environment(make, DelayedByOne(), copies=2, steps=16) == []
    assert check_environment(make, Leaky(), copies=2, steps=16) != []


def test_a_prescription_maps_local_information_to_actions() -> None:
    """Section 3: h_t^k is a function from L^k to actions; agent k applies its own component to its own L_t^k.

    ``PassiveAgents`` are shown every pair of local values under every entry of the menu of E.1.
    """
    waits, transmits_if_packet = (0, 0), (0, 1)
    """By local value."""
    rules = [(transmits_if_packet, waits), (waits, transmits_if_packet), (transmits_if_packet, transmits_if_packet)]
    pairs = np.array([(x, y) for x in (0, 1) for y in (0, 1)])
    for entry, components in enumerate(rules):
        for agent in AGENTS:
            streams = {agent: private_stream(agent, seed_bytes(1))}
            specs = equal_agents(1, FiniteSpace((2,)), FiniteSpace((2,)))
            passive = PassiveAgents(streams, 4, ControlSharing(), MENUS["paper"], specs)
            own = pairs[:, agent - 1]
            passive.observe(passive.read(0, [own.astype("u1").tobytes()]), np.ones(4, dtype=bool))
            acted = passive.act(0, np.full(4, entry))[:, 0]
            assert acted.tolist() == [components[agent - 1][value] for value in own.tolist()]
