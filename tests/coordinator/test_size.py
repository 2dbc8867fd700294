"""Settings that no host could keep in memory are refused with what was asked and what is allowed, by users and by agents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dadc_net.config import build
from dadc_net.errors import ConfigError, ProtocolError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.agent_node import AgentNode
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.messages import Begin
from dadc_net.team.families import family_from_plain
from dadc_net.team.spaces import FiniteSpace
from tests.simulation.disk import Disk, DiskAgentStore

SMALL: dict[str, Any] = {"task": "mabc", "updates": 2, "learner": {"num_envs": 2, "batch_steps": 8}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"learner": {"num_envs": 10**9, "batch_steps": 10**9}}, r"learner\.num_envs is 1000000000.*Give 1 to 1000000\."),
        ({"learner": {"num_envs": 1, "batch_steps": 10**12}}, r"batch_steps is 1000000000000.*Give 1 to 1000000000"),
        ({"learner": {"num_envs": 1, "batch_steps": 10**9}}, r"batch_steps 1000000000.*GiB.*At most 64 are allowed"),
        ({"algorithm": "naf-dqn", "naf": {"memory_steps": 2**32 - 1}}, r"naf.*memory_steps is 4294967295.*At most 64"),
    ],
)
def test_what_a_user_asks_for(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build({**SMALL, **given})


def test_choices_that_see_one_another_take_the_square_of_their_number() -> None:
    settings = build(SMALL).settings
    with pytest.raises(ConfigError, match=r"the networks would take .* GiB"):
        replace(settings, theta_space=FiniteSpace((2,) * 50_000).to_plain())
    assert replace(settings, theta_space=FiniteSpace((2,) * 500).to_plain()).num_prescriptions == 0
    assert replace(settings, theta_space=FiniteSpace((10**5,)).to_plain()).num_prescriptions == 10**5


def begin(**changed: Any) -> Begin:
    config = build(SMALL)
    spec = config.task.environment(config.parameters, 2).spec.agents[0]
    told: dict[str, Any] = {
        "settings": config.settings.to_plain(),
        "structure": config.structure.to_plain(),
        "family": config.family.to_plain(),
        "observation_space": spec.observation_space.to_plain(),
        "action_space": spec.action_space.to_plain(),
    }
    return Begin(run_id=bytes(range(16)), epoch=1, **{**told, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"action_space": {"kind": "finite", "sizes": [float("inf")]}},
        {"observation_space": {"kind": "finite", "sizes": 7}},
        {"structure": {"name": "control-sharing", "parameters": {"memory_steps": 10**9}}},
        {"family": {"kind": "gibbs", "name": "x", "tables": 2**40, "local_values": 2, "num_actions": 2, "bound": 1.0}},
        {"settings": {**build(SMALL).settings.to_plain(), "updates": 10**30}},
        {"settings": {"learner": 3}},
        {"settings": {}},
    ],
)
def test_what_a_server_says_is_refused_without_a_traceback(changed: dict[str, Any]) -> None:
    agent = AgentNode(AgentIdentity(agent=1, shared_seed=seed_bytes(7), selftest=bytes(32)), DiskAgentStore(Disk()), None)
    with pytest.raises((ConfigError, ProtocolError)):
        agent.receive(begin(**changed), 0.0)
    assert agent.member is None
    agent.receive(begin(), 0.0)
    assert agent.member is not None, "the control: what is not changed is taken"


def test_a_family_has_a_size() -> None:
    record = {"kind": "gibbs", "name": "x", "local_values": 2, "num_actions": 2, "bound": 1.0, "own_actions": []}
    assert family_from_plain({**record, "tables": 2}).shape == (2, 2, 2)
    with pytest.raises(ProtocolError, match=r"'tables': 1048577.*at most 4194304"):
        family_from_plain({**record, "tables": 2**20 + 1})
