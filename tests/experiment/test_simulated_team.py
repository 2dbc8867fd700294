"""A team that is given values and one that is given records are the same team."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.coordinator import UpdateReport
from dadc_net.errors import ProtocolError
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment import simulation
from dadc_net.experiment.simulated_team import RecordTeam, ValueTeam
from dadc_net.experiment.simulation import Simulation, SimulationResult
from dadc_net.node.agent.passive_agents import PassiveAgents
from dadc_net.runtime.events import Event, Updated

_SMALL = ("learner.num_envs=4", "learner.batch_steps=20", "ais.size=4", "learner.hidden_size=4", "updates=8")
_CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "two that are alike": ("mabc", ()),
    "two, actions a step later": ("dec-tiger", ("structure=delayed-sharing",)),
    "loads that draw": ("demand-response", ()),
    "three that differ": ("launch.examples.three_transmitters:make_task", ()),
    "choices, one after the other": ("recycling", ("structure=periodic-sharing", "prescriptions=factored")),
    "agents that measure": ("tests.measuring_team:make_task", ()),
}


class _Rewards:
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on(self, event: Event) -> None:
        if isinstance(event, Updated):
            self.seen.append(event.reward_per_step)


def _ran(config: RunConfig, replicas: str) -> tuple[SimulationResult, list[float], type[Any]]:
    simulated, rewards = Simulation(config, seed_bytes(7), seed_bytes(1), replicas), _Rewards()
    return simulated.run(rewards), rewards.seen, type(simulated._team)


@pytest.mark.parametrize("name", _CASES)
def test_values_and_records_give_the_same_bits_and_rewards(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task, further = _CASES[name]
    config = resolve(task, (*_SMALL, *further), {})
    # What is played by tables is compared with values in test_table_team.
    monkeypatch.setattr(simulation, "team_tables", lambda *_: None)
    values, earned, kind = _ran(config, "one")
    records, again, other = _ran(config, "all")
    assert (kind, other) == (ValueTeam, RecordTeam)
    assert values.agent_digests == records.agent_digests
    assert (values.lock_steps, earned) == (records.lock_steps, again)
    assert len(set(earned)) > 1
    assert all(np.array_equal(values.snapshot[key], found) for key, found in records.snapshot.items())


@pytest.mark.parametrize(("replicas", "length"), [("one", 0), ("all", 32)])
def test_updates_are_told_with_digests_where_replicas_are_compared(
    replicas: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[UpdateReport] = []
    after = Simulation._after_update

    def watched(self: Simulation, observer: Any, update: int, reports: Any) -> None:
        told.extend(reports)
        after(self, observer, update, reports)

    monkeypatch.setattr(Simulation, "_after_update", watched)
    _ran(resolve("mabc", _SMALL, {}), replicas)
    assert {len(report.learner_digest) for report in told} == {length}
    assert all(bool(report.tensors) == bool(length) and report.losses for report in told)


def test_learners_of_their_own_are_given_records() -> None:
    _, _, kind = _ran(resolve("mabc", (*_SMALL, "learning=independent"), {}), "one")
    assert kind is RecordTeam


@pytest.mark.parametrize("found", [7, -1])
@pytest.mark.parametrize("replicas", ["one", "all"])
def test_an_action_that_no_agent_has_is_refused(found: int, replicas: str, monkeypatch: pytest.MonkeyPatch) -> None:
    act = PassiveAgents.act

    def wrong(self: PassiveAgents, step: int, theta: NDArray[Any]) -> NDArray[np.int64]:
        actions = act(self, step, theta)
        if step == 3:
            actions[0, -1] = found
        return actions

    monkeypatch.setattr(PassiveAgents, "act", wrong)
    with pytest.raises(ProtocolError, match=r"record 3 .*outside its space"):
        _ran(resolve("mabc", _SMALL, {}), replicas)


def test_actions_of_another_type_are_what_an_agent_would_have_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    config = resolve("mabc", _SMALL, {})
    wanted, _, _ = _ran(config, "one")
    act = PassiveAgents.act
    monkeypatch.setattr(PassiveAgents, "act", lambda self, step, theta: act(self, step, theta).astype(np.int8))
    assert _ran(config, "one")[0].agent_digests == wanted.agent_digests
