"""Which folder a command works in: a fresh one, or that of a run which it takes up."""

from __future__ import annotations

import time
from pathlib import Path

from dadc_net.config import RunConfig, read_configuration, resolve, task_of
from dadc_net.errors import CorruptStateError, MismatchError, UsageError
from dadc_net.node.agent.identity import commitment
from dadc_net.schema import differences
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.run_folder import RunFolder
from dadc_net.structure_section import STRUCTURE, structure_name


def holds_run(path: Path | None, config: RunConfig, shared_seed: bytes) -> bool:
    """Whether ``path`` holds a run of this configuration and seed, finished or not.

    Raises:
        MismatchError: if it holds a run of another one.
    """
    if path is None or not RunFolder(path).config.is_file():
        return False
    folder = RunFolder(path)
    if folder.agent(1).is_dir() and not folder.keys.is_dir():
        return False  # A simulation, which has no journals.
    task = task_of(folder.config)
    if task != config.task_argument:  # Before anything that the folder names is imported.
        raise MismatchError(
            f"--out {path} holds a run of the task {task!r}, and {config.task_argument!r} was given. Nothing was changed, "
            "and nothing that the folder names was imported. Give the task of that run to resume it, or another folder."
        )
    given = config.to_plain()
    structure = str(structure_name(read_configuration(folder.config)))
    if ":" in structure and structure != given[STRUCTURE]["name"]:
        raise MismatchError(
            f"--out {path} holds a run under the structure {structure!r}, and {given[STRUCTURE]['name']!r} was given. "
            "Nothing was changed, and nothing that the folder names was imported. Give the structure of that run to resume "
            "it, or another folder."
        )
    held = resolve(str(folder.config), (), {"task": config.task_argument, STRUCTURE: structure or None}).to_plain()
    for section in ("runtime", "evaluation"):
        del held[section], given[section]
    if held != given:
        raise MismatchError(
            f"--out {path} holds a run with {differences(held, given)}. Nothing was changed. Give the options of that run "
            "to resume it, or another folder."
        )
    _refuse_another_seed(folder, shared_seed)
    return True


def _refuse_another_seed(folder: RunFolder, shared_seed: bytes) -> None:
    """The agents would refuse it too, but only after the server has begun to serve."""
    try:
        reader = JournalReader(folder.server)
    except CorruptStateError:
        return  # There is none yet, or the server will say what is wrong with it.
    team = reader.facts.get("team")
    reader.close()
    given = commitment(shared_seed).hex()
    if team is not None and team["commitment"] != given:
        raise MismatchError(
            f"--out {folder.path} holds a run with another shared seed: its commitment is {team['commitment'][:16]}, that "
            f"of the given seed {given[:16]}. Nothing was changed. Give the --seed or --seed-file of that run to resume it, "
            "or another folder."
        )


def new_folder(task: str, seed: int | None, path: Path | None) -> Path:
    """The given folder, which must be new or empty, or a fresh one under ``runs``; ``seed`` None: it came from a file.

    Raises:
        UsageError: if the given one is in use.
    """
    if path is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        base = Path("runs") / f"{Path(task).stem.replace(':', '-')}-seed{'file' if seed is None else seed}-{stamp}"
        path, number = base, 1
        while path.exists():
            number += 1
            path = base.with_name(f"{base.name}-{number}")
        return path
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(
            f"--out {path} already exists and is not empty. A run never overwrites another. Give a new folder, or remove "
            "this one first."
        )
    return path
