"""The rule that a run has learned, taken from checkpoints; and what an agent keeps of the rule that it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.errors import CorruptStateError, MismatchError, TemporaryError, UsageError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.independent_replica import own_settings
from dadc_net.node.agent.starting_rule import SHOWN, StartingRule
from dadc_net.runtime.learned import load_snapshot, newest_meta
from dadc_net.storage.agent_journal import checkpoint_steps
from dadc_net.storage.kept_run import find_run
from dadc_net.storage.rule_file import kept_rule, load_rule_file, rule_of_meta, save_rule
from dadc_net.storage.run_folder import START_FILE
from dadc_net.team.spaces import space_from_plain

_NEEDED = ("settings", "structure", "family", "agents", "update")


def find_rule(*places: Path) -> StartingRule:
    """The learned rule in ``places``: a file of ``dadc export``, the folder of a run, or folders of its agents.

    Raises:
        UsageError: if there is none.
        CorruptStateError: if the file, or every checkpoint, is damaged.
        MismatchError: if agents' folders hold rules of different updates.

    Of a shared learner one checkpoint is taken into memory, whatever the number of agents.
    """
    where = ", ".join(map(str, places))
    if len(places) == 1 and places[0].is_file():
        return load_rule_file(places[0])
    found = {folder: newest_meta(folder) for folder in find_run(places).agents.values() if checkpoint_steps(folder)}
    if not found:
        raise UsageError(
            f"{where} holds no learned rule: no checkpoint is in it or in a folder agent-N of it. Nothing was started. Give "
            "the folder of a run that has made an update, or a file of dadc export."
        )
    for meta in found.values():
        if missing := [name for name in _NEEDED if name not in meta]:
            raise UsageError(
                f"the checkpoint in {where} does not say {', '.join(missing)}: an older version of dadc-net made it. "
                "Nothing was read from it. Let this version go on with the run, or run it again."
            )
        rule_of_meta(_told(meta), {}, where)
        if str(meta.get("agent")) not in meta["agents"]:
            raise CorruptStateError(
                f"a checkpoint in {where} is damaged: it does not tell whose it is. Nothing was read from it. Restore the "
                "folder from a copy."
            )
    folder, newest = max(found.items(), key=lambda one: int(one[1]["update"]))
    settings = CoordinatorSettings.from_plain(newest["settings"])
    if settings.mode.one_learner:
        arrays, newest = load_snapshot(folder)
        learned = _rule(settings, arrays, where)
    else:
        learned = _joined(settings, found, where)
    agents = {agent: own for meta in found.values() for agent, own in meta["agents"].items()}
    return rule_of_meta({**_told(newest), "agents": agents}, learned, where)


def _told(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {name: meta[name] for name in _NEEDED}


def _joined(settings: CoordinatorSettings, found: Mapping[Path, Mapping[str, Any]], where: str) -> Snapshot:
    """The rules of independent learners; ``found``: folder -> meta of the newest checkpoint in it."""
    folders = {int(meta["agent"]): folder for folder, meta in found.items()}
    updates = sorted({int(meta["update"]) for meta in found.values()})
    if set(folders) != set(range(1, settings.num_agents + 1)):
        raise UsageError(
            f"{where} holds the learner of {len(folders)} of {settings.num_agents} agents, and they are independent. A "
            "rule of the team needs all of them. Give the folder of the whole run, or a file exported from it."
        )
    if len(updates) > 1:
        raise MismatchError(
            f"the newest checkpoints in {where} are of the updates {updates}. Independent learners are taken at one "
            "update. Let the run come to its end first."
        )
    parts = []
    for agent, folder in sorted(folders.items()):
        arrays, meta = load_snapshot(folder)
        space = space_from_plain(meta["agents"][str(agent)]["observation_space"])
        parts.append(_rule(own_settings(settings, space), arrays, where))
    return settings.mode.joined(parts)


def _rule(settings: CoordinatorSettings, arrays: Snapshot, where: str) -> Snapshot:
    """What of a learner's whole state is its rule. Raises CorruptStateError if a tensor is missing."""
    names = Coordinator(settings, seed_bytes(0)).rule()
    if missing := [name for name in names if name not in arrays]:
        raise CorruptStateError(
            f"the checkpoint in {where} is damaged: it has no tensor {missing[0]}, and {len(missing)} are missing. Nothing "
            "was read from it. Restore the folder from a copy, or run again with the same seeds."
        )
    return {name: arrays[name] for name in names}


def settle_rule(folder: Path, given: StartingRule | None, has_run: bool) -> StartingRule | None:
    """The rule that the agent in ``folder`` begins with: the given one, which is kept there, or the one kept before.

    Raises:
        MismatchError: if the folder's run began with another one.
        CorruptStateError: if the kept one is damaged.
        TemporaryError: if it cannot be written.
    """
    if given is None or has_run:
        kept = kept_rule(folder)
        if given is not None and (kept is None or kept.digest != given.digest):
            held = "no learned rule" if kept is None else f"the learned rule {kept.digest.hex()[:SHOWN]}"
            raise MismatchError(
                f"the state folder {folder} holds a run that began with {held}, and {given.digest.hex()[:SHOWN]} was given. "
                "Nothing was changed. Start it as before, or give another folder."
            )
        return kept
    try:
        save_rule(folder / START_FILE, given)
    except OSError as error:
        raise TemporaryError(
            f"the folder {folder} cannot be written: {error.strerror}. No step was taken. Make room on its volume, then "
            "start the same command again."
        ) from error
    return given
