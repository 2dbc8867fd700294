"""Which agent this process is: from an option, or from what an engine that starts many of the same tells each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from dadc_net.errors import UsageError

_ORDINAL = re.compile(r".*-(\d+)")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _one_more(text: str) -> int | None:
    index = _number(text)
    return None if index is None else index + 1


def _ordinal(text: str) -> int | None:
    match = _ORDINAL.fullmatch(text)
    return None if match is None else _one_more(match[1])


SOURCES: dict[str, tuple[str, Callable[[str], int | None]]] = {
    "DADC_AGENT_ID": ("the id, from 1", _number),
    "JOB_COMPLETION_INDEX": ("a Job's index, from 0", _one_more),
    "DADC_POD_NAME": ("the name of a StatefulSet's pod, whose ordinal counts from 0, like agent-0", _ordinal),
    "SLURM_PROCID": ("a task's rank, from 0", _one_more),
}
"""Variable -> what it holds, and the id that follows from it; None where it holds something else. Agents count from 1."""


def agent_id(option: int | None, variables: Mapping[str, str]) -> tuple[int, str]:
    """The agent's id, and where it comes from, in words.

    Args:
        option: what ``--id`` gave.
        variables: the environment.

    Raises:
        UsageError: if there is none, or two differ, or one is no id.
    """
    found = {} if option is None else {"--id": option}
    for name, (meaning, read) in SOURCES.items():
        text = variables.get(name, "")
        if text:
            value = read(text)
            if value is None:
                raise UsageError(
                    f"{name} is {text!r}, which is not {meaning}. No agent was started. Correct it, or unset it and give "
                    "--id N."
                )
            found[f"{name}={text}"] = value
    if not found:
        raise UsageError(
            "no agent id was given. Agents are numbered from 1, as in the paper. Give --id N, or set DADC_AGENT_ID; "
            f"{', '.join(name for name in SOURCES if name != 'DADC_AGENT_ID')} are read as well."
        )
    first, agent = next(iter(found.items()))
    others = {source: other for source, other in found.items() if other != agent}
    if others:
        source, other = next(iter(others.items()))
        raise UsageError(
            f"{first} says agent {agent}, but {source} says agent {other}. No agent was started, because two agents under "
            "one id would lock each other out. Leave one of them out."
        )
    if agent < 1:
        raise UsageError(
            f"the agent id is {agent} ({first}). Agents are numbered from 1, as in the paper. Give --id N, or set "
            "DADC_AGENT_ID."
        )
    return agent, first if len(found) == 1 else " and ".join(found)
