"""The conformance kit passes what conforms, and names the broken rule for each way of breaking one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.team.agent_spec import AgentSpec, equal_agents
from dadc_net.team.conformance import Finding, check_environment, check_task
from dadc_net.team.environment import Environment, EnvironmentSpec, Outcome
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space, product
from dadc_net.team.structures.delayed import DelayedSharing
from dadc_net.team.structures.own_memory import ControlSharing
from dadc_net.team.structures.periodic import PeriodicSharing
from dadc_net.team.structures.structure import InformationStructure, JointStep
from dadc_net.team.tasks import TASKS, Task
from tests.user_task import make_task

Integers = NDArray[np.int64]
PAPER = MultiAccessBroadcastParameters()


class Radio(MultiAccessBroadcast):
    """The conforming environment that the broken ones change in one place."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(PAPER, num_envs)


class Relay:
    """A conforming environment that terminates: an episode ends when its counter reaches 3."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.spec = EnvironmentSpec(
            name="relay",
            agents=equal_agents(3, FiniteSpace((2, 4)), FiniteSpace((2,))),
            public_space=BoxSpace((0.0,), (1.0,)),
            draws_per_step=1,
        )
        self._count = np.zeros(num_envs, dtype=np.int64)

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        moved = np.minimum(self._count + (joint_action.sum(axis=1) > draws[:, 0] * 3), 3)
        self._count = np.where(begin, 0, moved)
        seen = np.stack((np.repeat(self._count[:, None] % 2, 3, axis=1), np.repeat(self._count[:, None], 3, axis=1)), axis=2)
        ended = np.where(self._count == 3, 2, 0).astype(np.uint8)
        public: Any = draws.copy()
        return Outcome(seen, public, np.where(begin, 0.0, 1.0 * self._count), ended)

    def state(self) -> dict[str, NDArray[Any]]:
        return {"count": self._count.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._count = state["count"].copy()


class Memory(InformationStructure):
    """A conforming structure with a past: the last two joint actions are common, the last two observations local."""

    name = "memory"
    history_steps = 2

    def common_space(self, spec: EnvironmentSpec) -> Space:
        return FiniteSpace(spec.joint_action_space.sizes * 2)

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        now = history[-1]
        before = np.zeros_like(now.joint_action_tm1)
        if len(history) > 1:
            before = np.where(now.begin[:, None], 0, history[-2].joint_action_tm1)
        return np.concatenate((now.joint_action_tm1, before), axis=1)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return product(observation_space, observation_space)

    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        past = np.where(step_in_episode[:, None] == 0, 0, local[:, : observation_next.shape[1]])
        return np.concatenate((observation_next, past), axis=1)


@pytest.mark.parametrize("task", [TASKS["mabc"], make_task()], ids=["mabc", "user"])
def test_conforming_tasks_pass(task: Task) -> None:
    assert check_task(task) == []
    assert check_task(task, MultiAccessBroadcastParameters(initial_busy_probability=0.5), copies=2, seed=3) == []


@pytest.mark.parametrize("name", ["NarrowRewards", "SmallIntegers"])
def test_narrow_types_are_taken_where_they_are_exact(name: str) -> None:
    assert check_environment(globals()[name], ControlSharing()) == []


@pytest.mark.parametrize("make", [Radio, Relay])
def test_conforming_environments_and_structures_pass(make: Callable[[int], Environment]) -> None:
    assert check_environment(make, Memory()) == []


def _changed(outcome: Outcome, **fields: Any) -> Outcome:
    return outcome._replace(**fields)


class WrongCount(Radio):
    num_envs = 7


class SpecByCopies(Radio):
    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._spec = replace(self._spec, name=f"radio-{num_envs}")


class TwoActions(Radio):
    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._spec = replace(self._spec, agents=equal_agents(2, FiniteSpace((2,)), FiniteSpace((2, 2))))


class Altered(Radio):
    """Changes what ``advance`` returns."""

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        return self.alter(super().advance(joint_action, begin, draws), begin)

    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return outcome


class NarrowRewards(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, rewards=outcome.rewards.astype(np.float32))


class ComplexRewards(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, rewards=outcome.rewards.astype(np.complex128))


class NotFinite(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, rewards=np.where(outcome.rewards < 0, np.nan, outcome.rewards))


class RewardAtBegin(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, rewards=outcome.rewards + 0.5)


class OutOfSpace(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, observations=outcome.observations + 1)


class FlatObservations(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, observations=outcome.observations[:, :, 0])


class SmallIntegers(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, public=outcome.public.astype(np.int32))


class HalfIntegers(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, public=outcome.public * 0.5)


class TruncatesItself(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, ended=np.ones_like(outcome.ended))


class EndedHalf(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, ended=outcome.ended + 0.5)


class OwnGenerator(Altered):
    generator = np.random.Generator(np.random.Philox(1))

    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        noise = self.generator.random(len(outcome.rewards))
        return _changed(outcome, rewards=np.where(begin, 0.0, noise))


class SharedReward(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, rewards=np.where(begin, 0.0, outcome.rewards.mean()))


class KnowsItsRow(Altered):
    def alter(self, outcome: Outcome, begin: NDArray[np.bool_]) -> Outcome:
        return _changed(outcome, rewards=np.where(begin, 0.0, np.arange(len(begin), dtype=np.float64)))


class Before(Radio):
    """Changes what ``advance`` is given, or does something before it."""

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        return super().advance(*self.before(joint_action, begin, draws))

    def before(self, joint_action: Any, begin: Any, draws: Any) -> tuple[Any, Any, Any]:
        return joint_action, begin, draws


class OneDrawForAll(Before):
    def before(self, joint_action: Any, begin: Any, draws: Any) -> tuple[Any, Any, Any]:
        return joint_action, begin, np.repeat(draws[:1], len(draws), axis=0)


class BeginsOnlyOnce(Before):
    def before(self, joint_action: Any, begin: Any, draws: Any) -> tuple[Any, Any, Any]:
        return joint_action, np.zeros_like(begin), draws


class SpoilsActions(Before):
    def before(self, joint_action: Any, begin: Any, draws: Any) -> tuple[Any, Any, Any]:
        joint_action[begin] = 1
        return joint_action, begin, draws


class SpoilsDraws(Before):
    def before(self, joint_action: Any, begin: Any, draws: Any) -> tuple[Any, Any, Any]:
        draws *= 0.5
        return joint_action, begin, draws


class Arrays(Radio):
    """Keeps buffers and channel as arrays, for others to get them wrong."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._take()

    def _take(self) -> None:
        state = Radio.state(self)
        self._buffers, self._busy = state["buffers"], state["busy"]

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        Radio.restore(self, {"buffers": self._buffers, "busy": self._busy})
        outcome = super().advance(joint_action, begin, draws)
        self._take()
        return outcome

    def state(self) -> dict[str, NDArray[Any]]:
        return {"buffers": self._buffers.copy(), "busy": self._busy.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._buffers, self._busy = state["buffers"].copy(), state["busy"].copy()


class KeepsPackets(Arrays):
    """Begins with the buffers of the episode before."""

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        kept = self._buffers.copy()
        outcome = super().advance(joint_action, begin, draws)
        self._buffers = np.where(begin[:, None], kept, self._buffers)
        return _changed(outcome, observations=self._buffers[:, :, None].copy())


class ActsAtBegin(Arrays):
    """A copy that begins has what its action asked for."""

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        self._buffers = np.where(begin[:, None], joint_action, self._buffers)
        return _changed(outcome, observations=self._buffers[:, :, None].copy())


class InPlace(Arrays):
    """Updates its buffers in place, so whoever got the array sees it change."""

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        own = self._buffers
        outcome = super().advance(joint_action, begin, draws)
        own[:] = self._buffers
        self._buffers = own
        return outcome


class LiveState(InPlace):
    def state(self) -> dict[str, NDArray[Any]]:
        return {"buffers": self._buffers, "busy": self._busy}


class KeepsRestored(InPlace):
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._buffers, self._busy = state["buffers"], state["busy"].copy()


class ForgetsChannel(Arrays):
    def state(self) -> dict[str, NDArray[Any]]:
        return {"buffers": self._buffers.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._buffers = state["buffers"].copy()


class ListState(Arrays):
    def state(self) -> dict[str, NDArray[Any]]:
        return {"buffers": self._buffers.tolist()}  # type: ignore[dict-item]


class CannotRestore(Radio):
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        raise NotImplementedError("no restore")


class LiveObservations(InPlace):
    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        return _changed(super().advance(joint_action, begin, draws), observations=self._buffers[:, :, None])


class Crashes(Radio):
    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        raise ZeroDivisionError("a slip")


@pytest.mark.parametrize(
    ("make", "rule", "words"),
    [
        (WrongCount, "spec", "num_envs is 7 after 4"),
        (SpecByCopies, "spec", "differs from that for 4"),
        (TwoActions, "spec", "action_space"),
        (ComplexRewards, "outcome", "complex128"),
        (NotFinite, "outcome", "not finite"),
        (RewardAtBegin, "outcome", "begin instead of 0"),
        (OutOfSpace, "outcome", "observations of agent 1 lies outside"),
        (FlatObservations, "outcome", r"shape \(4, 2\) instead of \(4, 2, 1\)"),
        (HalfIntegers, "outcome", "public has type float64, which is not exactly int64"),
        (TruncatesItself, "ended", "restart_steps"),
        (EndedHalf, "ended", "ended"),
        (OwnGenerator, "determinism", "rewards of copy 0"),
        (SharedReward, "copies", "rewards"),
        (KnowsItsRow, "copies", "rewards"),
        (OneDrawForAll, "copies", "neighbours"),
        (BeginsOnlyOnce, "outcome", "begin instead of 0"),
        (KeepsPackets, "begin", "remembers"),
        (ActsAtBegin, "begin", "action"),
        (LiveState, "state", "live arrays"),
        (KeepsRestored, "state", "caller's arrays"),
        (ForgetsChannel, "state", "goes on differently"),
        (ListState, "state", "array"),
        (CannotRestore, "state", "NotImplementedError: no restore"),
        (SpoilsActions, "arguments", "joint_action"),
        (SpoilsDraws, "arguments", "draws"),
        (LiveObservations, "arguments", "observations returned at lock-step"),
        (Crashes, "outcome", "ZeroDivisionError: a slip"),
    ],
)
def test_a_broken_environment_is_caught(make: Callable[[int], Environment], rule: str, words: str) -> None:
    findings = check_environment(make, ControlSharing())
    assert rule in {finding.rule for finding in findings}
    with pytest.raises(AssertionError, match=words):
        assert not findings, "\n".join(map(str, findings))


class Leaks(ControlSharing):
    """Remembers z_t in ``common`` and mixes it into local information."""

    seen: ClassVar[int] = 0

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        object.__setattr__(self, "seen", int(history[-1].joint_action_tm1.sum()))
        return super().common(history, step_in_episode)

    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        return (observation_next + self.seen) % 2


class LeaksThroughItsClass(Leaks):
    """The same through an attribute that all objects share."""

    shared = 0

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        LeaksThroughItsClass.shared = int(history[-1].joint_action_tm1.sum())
        return ControlSharing.common(self, history, step_in_episode)

    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        return (observation_next + self.shared) % 2


class TakesCommon(ControlSharing):
    def local(self, local: Any, action: Any, observation_next: Any, step_in_episode: Any, common: Any = None) -> Integers:
        return np.asarray(observation_next)


class Grows(Memory):
    """Counts packets for ever."""

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return FiniteSpace((9,))

    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        return np.where(step_in_episode[:, None] == 0, 0, local) + observation_next


class RestlessSpace(ControlSharing):
    asked: ClassVar[int] = 1

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        object.__setattr__(self, "asked", self.asked + 1)
        return FiniteSpace((self.asked,))


class RemembersTheEpisodeBefore(Memory):
    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        return np.concatenate((observation_next, local[:, : observation_next.shape[1]]), axis=1)


class RemembersTheActionBefore(ControlSharing):
    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        return (observation_next + action[:, None]) % 2


class FlatLocal(ControlSharing):
    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        return observation_next[:, 0]


class ReducesOverCopies(ControlSharing):
    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        return np.broadcast_to(observation_next.max(axis=0), observation_next.shape).copy()


class LooksOverTheBegin(Memory):
    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        first = history[0].joint_action_tm1
        return np.concatenate((history[-1].joint_action_tm1, first if len(history) > 1 else first * 0), axis=1)


class CountsCalls(ControlSharing):
    calls: ClassVar[int] = 0

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        object.__setattr__(self, "calls", self.calls + 1)
        z = super().common(history, step_in_episode)
        z[:, 0] = self.calls % 2
        return z


class SpoilsHistory(ControlSharing):
    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        z = super().common(history, step_in_episode)
        history[-1].public[:] = 0
        return z


class WideCommon(ControlSharing):
    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        return np.concatenate((super().common(history, step_in_episode), history[-1].public), axis=1)


class CommonOutOfSpace(ControlSharing):
    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        return super().common(history, step_in_episode) + 1


class CommonOverCopies(ControlSharing):
    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        z = super().common(history, step_in_episode)
        return np.broadcast_to(z.max(axis=0), z.shape).copy()


class NoHistory(ControlSharing):
    history_steps = 0


@pytest.mark.parametrize(
    ("structure", "rule", "words"),
    [
        (Leaks(), "(L1)", "after common"),
        (LeaksThroughItsClass(), "(L1)", "after common"),
        (TakesCommon(), "(L1)", "'common'"),
        (RemembersTheEpisodeBefore(), "(L1)", "episode before"),
        (RemembersTheActionBefore(), "(L1)", "episode before"),
        (ReducesOverCopies(), "(L1)", "alone"),
        (Grows(), "(L2)", "leaves its space"),
        (RestlessSpace(), "(L2)", "asked again"),
        (FlatLocal(), "(L2)", "shape"),
        (LooksOverTheBegin(), "episodes", "before its copy began"),
        (CountsCalls(), "common", "earlier calls"),
        (SpoilsHistory(), "common", "changed its history"),
        (WideCommon(), "common", r"shape \(4, 4\)"),
        (CommonOutOfSpace(), "common", "outside"),
        (CommonOverCopies(), "common", "other copies"),
        (NoHistory(), "common", "history_steps is 0"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, InformationStructure) else None,
)
def test_a_broken_structure_is_caught(structure: InformationStructure, rule: str, words: str) -> None:
    findings = check_environment(Radio, structure)
    assert [finding.rule for finding in findings] == [rule]
    with pytest.raises(AssertionError, match=words):
        assert not findings, "\n".join(map(str, findings))


class Analog(Radio):
    """The first agent measures how full its buffer is, the second sees whether; both are conforming."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        own = AgentSpec(BoxSpace((0.0,), (1.0,)), FiniteSpace((2,))), AgentSpec(FiniteSpace((2,)), FiniteSpace((2,)))
        self._spec = replace(self._spec, agents=own)

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        seen = np.asarray(outcome.observations)
        measured = (0.75 * seen[:, 0]).astype(np.float32)
        own = [measured, seen[:, 1].astype(np.int32)]
        return _changed(outcome, observations=own, rewards=outcome.rewards.astype(np.float32))


class TooFull(Analog):
    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        return _changed(outcome, observations=[outcome.observations[0] * 2, outcome.observations[1]])


class HalfAValue(Analog):
    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        return _changed(outcome, observations=[outcome.observations[0], outcome.observations[1] * 0.5])


class OneArrayMissing(Analog):
    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        return _changed(outcome, observations=outcome.observations[:1])


@pytest.mark.parametrize("structure", [ControlSharing(), DelayedSharing(2), PeriodicSharing(2), Memory()])
def test_agents_that_differ_and_measure_conform(structure: InformationStructure) -> None:
    assert check_environment(Analog, structure) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (TooFull, "observations of agent 1 lies outside"),
        (HalfAValue, "observations of agent 2 has type float64, which is not exactly int64"),
        (OneArrayMissing, "observations has 1 arrays instead of 2"),
    ],
)
def test_observations_that_do_not_belong_are_named(make: Callable[[int], Environment], words: str) -> None:
    findings = check_environment(make, ControlSharing())
    assert {finding.rule for finding in findings} == {"outcome"}
    assert words in findings[0].message


def test_a_menu_needs_local_values_that_can_be_listed() -> None:
    findings = check_task(replace(TASKS["mabc"], make=lambda _, copies: Analog(copies)))
    assert [finding.rule for finding in findings] == ["menu"]
    assert "A menu is a table over finitely many local values" in findings[0].message


@dataclass(frozen=True)
class WithoutClock:
    stay: float = 0.5


def _menu(*actions: tuple[tuple[int, ...], ...], name: str = "paper") -> dict[str, PrescriptionMenu]:
    return {"paper": PrescriptionMenu(name, tuple("entry" for _ in actions), actions)}


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"parameters_type": WithoutClock}, "task", "restart_steps"),
        ({"default_menu": "papr"}, "task", "default_menu is 'papr'"),
        ({"default_discount": 1.0}, "task", "default_discount is 1.0"),
        ({"menus": _menu(((0, 1),))}, "menu", "1 agents with 2 local values"),
        ({"menus": _menu(((0, 1, 1), (0, 0, 0)))}, "menu", "2 agents with 3 local values"),
        ({"menus": _menu(((0, 2), (0, -1)))}, "menu", r"agent 1 the actions \[2\]"),
        ({"menus": _menu(((0, 1), (0, 0)), name="other")}, "menu", "'other' is listed under 'paper'"),
    ],
)
def test_a_broken_task_is_caught(changes: dict[str, Any], rule: str, words: str) -> None:
    findings = check_task(replace(TASKS["mabc"], **changes))
    assert [finding.rule for finding in findings] == [rule]
    with pytest.raises(AssertionError, match=words):
        assert not findings, "\n".join(map(str, findings))


def test_something_else_than_a_task_is_caught() -> None:
    findings = check_task("mabc")  # type: ignore[arg-type]
    assert [finding.rule for finding in findings] == ["task"]


def test_findings_read_as_three_sentences_at_least() -> None:
    for make in (SharedReward, KeepsPackets, ForgetsChannel):
        findings = check_environment(make, ControlSharing())
        assert findings, make
        for finding in findings:
            assert isinstance(finding, Finding)
            assert str(finding).startswith(f"{finding.rule}: ")
            assert finding.message.count(". ") >= 2
            assert finding.message.endswith(".")


def test_the_kit_refuses_to_look_too_little() -> None:
    with pytest.raises(ValueError, match="at least 2 copies"):
        check_environment(Radio, ControlSharing(), copies=1)
