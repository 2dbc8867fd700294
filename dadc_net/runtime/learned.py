"""What a run has learned, as its agents' newest checkpoints hold it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dadc_net.config import RunConfig
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.errors import CorruptStateError
from dadc_net.storage import arrays_file
from dadc_net.storage.agent_journal import checkpoint_path, checkpoint_steps
from dadc_net.storage.kept_run import KeptRun

_Found = TypeVar("_Found")


def load_snapshot(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """An agent's newest checkpoint that is whole: arrays and meta.

    Raises:
        CorruptStateError: if there is none.
    """
    return _newest(folder, arrays_file.load)


def newest_meta(folder: Path) -> dict[str, Any]:
    """The meta of the same checkpoint, without its arrays in memory; as whole, because all of it is in the digest.

    Raises:
        CorruptStateError: if there is none.
    """
    return _newest(folder, arrays_file.load_meta)


def _newest(folder: Path, load: Callable[[Path], _Found]) -> _Found:
    damage: CorruptStateError | None = None
    for step in checkpoint_steps(folder):
        try:
            return load(checkpoint_path(folder, step))
        except CorruptStateError as error:
            damage = damage or error
    raise damage or CorruptStateError(
        f"{folder} holds no checkpoint. An agent makes its first one some seconds after its first update. Give the folder "
        "of a run that got so far."
    )


def load_learner(run: KeptRun, config: RunConfig, agent: int = 1) -> tuple[Snapshot, dict[str, Any]]:
    """What a run has learned, from the checkpoint of ``agent``; of independent learners from all agents' checkpoints.

    Raises:
        UsageError: if an agent's folder that is needed is not there.
        CorruptStateError: if it holds no checkpoint.
    """
    settings = config.settings
    snapshot, meta = load_snapshot(run.require_agent(agent))
    if settings.mode.one_learner:
        return snapshot, meta
    parts = [load_snapshot(run.require_agent(first))[0] for first, *_ in settings.learners]
    return settings.mode.joined(parts), meta
