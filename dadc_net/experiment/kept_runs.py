"""What can be said of kept runs without starting anything: their configuration, how far they came, what they are worth."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dadc_net.config import RunConfig, read_configuration, resolve, task_of
from dadc_net.errors import CorruptStateError, MismatchError, UsageError
from dadc_net.experiment.result_file import read_report
from dadc_net.runtime import status
from dadc_net.runtime.metrics import read_metrics
from dadc_net.schema import flat
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.kept_run import KeptRun, find_run, is_pruned
from dadc_net.storage.run_folder import PRUNED_FILE, SERVER
from dadc_net.structure_section import STRUCTURE, structure_name
from dadc_net.user_code import absolute

FINISHED, RUNNING, DIVERGED, STOPPED, CUT = "finished", "running", "diverged", "stopped", "finished, cut"
"""States of a run; a stopped one goes on with the command that began it."""
_LIVELY_SECONDS = 5.0
"""A party that runs writes its status every second."""
_VALUES = ("value", "value_stderr", "optimum", "gap", "best_constant", "random", "round_robin", "value_monte_carlo")


def configuration(
    run: KeptRun, task: str | None = None, options: Mapping[str, Any] | None = None, structure: str | None = None
) -> RunConfig:
    """The configuration of a kept run.

    Args:
        task: its name, where it is code of the user's; the folder alone makes nothing be imported.
        options: dotted key -> value that replaces the kept one; None values are left out.
        structure: the name of its information structure, as ``task``.

    Raises:
        UsageError: if the configuration is not there.
        MismatchError: if the run is of another task or structure.
    """
    file = run.require_config()
    named = None if task is None else absolute(task)
    if named is not None and named != (kept := task_of(file)):
        raise MismatchError(
            f"--task is {named!r}, and the run in {run.path} is of the task {kept!r}. Nothing was imported. Give the task "
            "of the run, or leave --task out where it is built in."
        )
    shared = None if structure is None else absolute(structure)
    if shared is not None and shared != (kept := str(structure_name(read_configuration(file)))):
        raise MismatchError(
            f"--structure is {shared!r}, and the run in {run.path} is under {kept!r}. Nothing was imported. Give the "
            "structure of the run, or leave --structure out where it is built in or the task's."
        )
    return resolve(str(file), (), {**(options or {}), "task": named, STRUCTURE: shared})


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One kept run in a few figures; None: not known here."""

    path: str
    state: str
    """``finished`` (``, cut``), ``running``, ``diverged`` or ``stopped``."""
    task: str
    structure: str | None
    algorithm: str | None
    seed: int | None
    agents: int | None
    copies: int | None
    update: int
    """The last that is known of."""
    updates: int | None
    env_steps: int
    reward_per_step: float | None
    """Of the last batch."""
    values: dict[str, float | None]
    """Of the last rule that was valued: value, value_stderr, optimum, gap, best_constant, random and others."""
    digests: dict[str, str]
    """Agent -> learner digest at the end."""
    hosts: dict[str, str]
    size: int
    """Bytes."""

    def to_plain(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def summarise(run: KeptRun) -> RunSummary:
    """What is known of ``run``. Nothing that its folder names is imported.

    Raises:
        ConfigError, CorruptStateError: if what there is cannot be read.
    """
    given = _given(run)
    report = read_report(run.path) or {}
    rewards, valued = _last_metrics(run)
    settings = flat(given)
    state, digests, hosts = _state(run, report)
    update = int(report.get("updates") or rewards.get("update") or 0)
    values = {name: report.get(name) if report.get("valued") else valued.get(name) for name in _VALUES}
    structure = given.get("structure")
    return RunSummary(
        path=str(run.path),
        state=state,
        task=str(given.get("task", "unknown")),
        structure=structure.get("name") if isinstance(structure, dict) else structure,
        algorithm=given.get("algorithm"),
        seed=report.get("seed"),
        agents=_number(report.get("num_agents")) or len(run.agents) or None,
        copies=_number(settings.get("learner.num_envs")),
        update=update,
        updates=_number(given.get("updates")),
        env_steps=int(report.get("env_steps") or rewards.get("env_steps") or 0),
        reward_per_step=rewards.get("reward_per_step"),
        values=values,
        digests=digests,
        hosts=hosts,
        size=run.size,
    )


def runs_in(folder: Path) -> list[KeptRun]:
    """Every run that lies in ``folder``, by name. Raises UsageError if it is no folder."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder. Runs lie in runs/ of the folder that they were started in, unless --out said "
            "otherwise. Give the folder that holds them."
        )
    found = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        with contextlib.suppress(UsageError, CorruptStateError):
            run = find_run([place])
            if run.config is not None:
                found.append(run)
    return found


def pruned_report(folder: Path) -> dict[str, Any] | None:
    """The result of a run that was cut: nothing of it can be taken up. None of any other."""
    run = find_run([folder])
    return read_report(folder) if any(map(is_pruned, run.parties.values())) else None


def facts_of(folder: Path) -> dict[str, Any]:
    """What a party's journal, or what is left of it, says of the run; empty where there is neither."""
    if is_pruned(folder):
        return _read_json(folder / PRUNED_FILE)
    try:
        reader = JournalReader(folder)
    except CorruptStateError:
        return {}
    reader.close()
    return dict(reader.facts)


def _given(run: KeptRun) -> dict[str, Any]:
    return {} if run.config is None else read_configuration(run.config)


def _last_metrics(run: KeptRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last lines of rewards and of values."""
    rewards: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for folder in run.folders[:2] if run.server is None else [run.path, run.server]:
        for line in read_metrics(folder):
            if line.get("kind") == "reward" and line["update"] >= rewards.get("update", 0):
                rewards = line
            elif line.get("kind") == "value" and line["update"] >= values.get("update", 0):
                values = line
    return rewards, values


def _state(run: KeptRun, report: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, str]]:
    """State, learner digests and hosts."""
    facts = {name: facts_of(folder) for name, folder in run.parties.items()}
    digests = dict(report.get("agent_digests") or {})
    told = facts.get(SERVER, {}).get("learner_digests") or []
    digests = digests or {str(agent): digest for agent, digest in enumerate(told, start=1)}
    hosts: dict[str, str] = {}
    team: status.TeamStatus | status.OwnStatus | None = None
    with contextlib.suppress(UsageError):
        team = status.read(run.server or run.path)
    if isinstance(team, status.TeamStatus):
        hosts = {str(agent.agent): agent.host for agent in team.agents if agent.host}
    for one in facts.values():
        host = one.get("host")
        if isinstance(host, dict) and "hostname" in host:
            hosts[str(one.get("agent"))] = str(host["hostname"])
    if any("stopped" in one for one in facts.values()):
        return DIVERGED, digests, hosts
    if any(map(is_pruned, run.parties.values())):
        return CUT, digests, hosts
    if report or any(one.get("state") == FINISHED for one in facts.values()):
        return FINISHED, digests, hosts
    if team is not None and not team.ended and 0 <= team.age <= _LIVELY_SECONDS:
        return RUNNING, digests, hosts
    return STOPPED, digests, hosts


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptStateError(f"{path} cannot be read: {error}. Restore it from a copy.") from error
    if not isinstance(found, dict):
        raise CorruptStateError(f"{path} holds no object. It was not written by dadc prune. Restore it from a copy.")
    return found
