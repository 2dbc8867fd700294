"""The folder of a sweep's results: ``CURVE/seed-0003.json``, one file per finished run, written in one step.

A file is either whole or not there, so a sweep that was killed goes on where it was, and folders that were filled on
several machines are merged by copying. Nothing else is kept: no index, no lock, no state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dadc_net import atomic_file
from dadc_net.coordinator.settings.coordinator import OWN_SECTIONS, CoordinatorSettings
from dadc_net.coordinator.settings.learning import SHARED
from dadc_net.errors import CorruptStateError, DadcError
from dadc_net.experiment.sweep.trial import FORMAT, Trial
from dadc_net.named_code import load_task
from dadc_net.run_sections import EvaluationSettings
from dadc_net.schema import Checked, flat, sections_of, to_plain
from dadc_net.storage.folder import open_folder
from dadc_net.team.prescriptions import ThetaSettings

Record = dict[str, Any]
_ABSENT = object()
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("curve", "panel", "label", "task", "algorithm", "digest"), str),
    **dict.fromkeys(("seed", "updates", "env_steps"), int),
    "configuration": dict,
}
"""What a result holds before the run's end, by type."""


class ResultFolder:
    """Results of one sweep."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, trial: Trial) -> Path:
        """Where the result of ``trial`` belongs."""
        return self.path / trial.folder / f"seed-{trial.seed:04d}.json"

    def load(self, trial: Trial) -> Record | None:
        """The result of ``trial``, None if it has none yet."""
        path = self.file(trial)
        return read_result(path) if path.is_file() else None

    def save(self, trial: Trial, record: Mapping[str, Any]) -> None:
        """Write the result of ``trial``, or replace it."""
        path = self.file(trial)
        open_folder(path.parent)
        atomic_file.replace(path, (json.dumps(dict(record)) + "\n").encode("utf-8"))

    def records(self) -> Iterator[Record]:
        """All results in the order of curves' folders and seeds."""
        for path in sorted(self.path.glob("*/seed-*.json")):
            yield read_result(path)


def read_result(path: Path) -> Record:
    """One result.

    Raises:
        CorruptStateError: if the file is not a whole result.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptStateError(
            f"the result {path} cannot be read: {error}. A sweep writes such a file whole or not at all. Restore it, or "
            "remove it and start the sweep again."
        ) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CorruptStateError(
            f"{path} is not a result of a sweep: its format is not {FORMAT!r}. Results lie in a folder of their own. Move "
            "the file elsewhere."
        )
    misshapen = [name for name, kind in _TYPES.items() if not isinstance(record.get(name), kind)]
    if misshapen:
        raise CorruptStateError(
            f"{path} is no whole result: {', '.join(misshapen)} are missing or of another type. Nothing was read from it. "
            "Restore it, or remove it and start the sweep again."
        )
    return record


def changes(record: Mapping[str, Any], trial: Trial) -> list[str]:
    """In which keys a finished run's configuration differs from ``trial``: ``key: then -> now``; empty if in none.

    A key that did not exist when the run was made, and has its default now, is no difference.
    """
    if record.get("digest") == trial.digest():
        return []
    before, now = _flat(record["configuration"]), _flat(trial.configuration)
    before |= {"seed": record["seed"], "environment_seed": record["environment_seed"]}
    now |= {"seed": trial.seed, "environment_seed": trial.environment_seed}
    defaults = _defaults(trial)
    found = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, _ABSENT), now.get(key, _ABSENT)
        if old is _ABSENT and key in defaults and defaults[key] == new:
            continue
        if old is _ABSENT or new is _ABSENT or old != new:
            found.append(f"{key}: {_shown(old)} -> {_shown(new)}")
    return found


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)


def _flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return flat({key: value for key, value in mapping.items() if key != "runtime"})


def _defaults(trial: Trial) -> dict[str, Any]:
    """Defaults of single keys and of the sections' own classes, without any preset."""
    kinds: tuple[type[Checked], ...] = (EvaluationSettings, ThetaSettings, *sections_of(CoordinatorSettings).values())
    found: dict[str, Any] = {kind.section: to_plain(kind()) for kind in kinds}
    found |= {"learning": SHARED.name, **{name: to_plain(own) for name, own in OWN_SECTIONS.items()}}
    try:
        task = load_task(trial.configuration["task"])
        found |= {"prescriptions": task.default_prescriptions, "env": to_plain(task.parameters_type())}
    except (DadcError, TypeError):
        pass  # A task that cannot be loaded here, or without defaults: then every difference counts.
    return _flat(found)
