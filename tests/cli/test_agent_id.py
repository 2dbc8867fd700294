"""Where an agent's id comes from, and what is said when two sources differ."""

from __future__ import annotations

import pytest

from dadc_net.cli.agent_id import SOURCES, agent_id
from dadc_net.errors import UsageError


@pytest.mark.parametrize(
    ("option", "variables", "agent", "source"),
    [
        (3, {}, 3, "--id"),
        (None, {"DADC_AGENT_ID": "3"}, 3, "DADC_AGENT_ID=3"),
        (None, {"JOB_COMPLETION_INDEX": "0"}, 1, "JOB_COMPLETION_INDEX=0"),
        (None, {"DADC_POD_NAME": "dadc-agent-11"}, 12, "DADC_POD_NAME=dadc-agent-11"),
        (None, {"SLURM_PROCID": "4"}, 5, "SLURM_PROCID=4"),
        (2, {"SLURM_PROCID": "1", "DADC_AGENT_ID": ""}, 2, "--id and SLURM_PROCID=1"),
    ],
)
def test_every_source(option: int | None, variables: dict[str, str], agent: int, source: str) -> None:
    assert agent_id(option, {"HOME": "/", **variables}) == (agent, source)


@pytest.mark.parametrize(
    ("option", "variables", "words"),
    [
        (None, {}, "no agent id was given"),
        (0, {}, r"the agent id is 0 \(--id\)"),
        (None, {"DADC_AGENT_ID": "-1"}, "DADC_AGENT_ID is '-1'"),
        (None, {"DADC_AGENT_ID": "0"}, r"the agent id is 0 \(DADC_AGENT_ID=0\)"),
        (None, {"DADC_POD_NAME": "dadc-agent-x7k"}, "ordinal"),
        (None, {"SLURM_PROCID": "one"}, "a task's rank"),
        (1, {"SLURM_PROCID": "1"}, "--id says agent 1, but SLURM_PROCID=1 says agent 2"),
        (None, {"DADC_AGENT_ID": "1", "JOB_COMPLETION_INDEX": "1"}, "DADC_AGENT_ID=1 says agent 1, but JOB_COMP.* agent 2"),
    ],
)
def test_none_a_bad_one_and_two_that_differ(option: int | None, variables: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        agent_id(option, variables)


def test_every_pair_of_sources_is_compared() -> None:
    first = {"DADC_AGENT_ID": "1", "JOB_COMPLETION_INDEX": "0", "DADC_POD_NAME": "a-0", "SLURM_PROCID": "0"}
    second = {"DADC_AGENT_ID": "2", "JOB_COMPLETION_INDEX": "1", "DADC_POD_NAME": "a-1", "SLURM_PROCID": "1"}
    assert set(first) == set(second) == set(SOURCES)
    assert agent_id(1, first)[0] == 1
    for one in SOURCES:
        for other in set(SOURCES) - {one}:
            with pytest.raises(UsageError, match="says agent"):
                agent_id(None, {one: first[one], other: second[other]})
