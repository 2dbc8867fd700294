"""The metrics of a kept run as event files that TensorBoard reads (extra ``tensorboard``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.runtime.metrics import read_metrics
from dadc_net.storage.kept_run import KeptRun

_FIGURES = {
    "reward": ("reward_per_step",),
    "value": ("value", "gap", "round_robin_share", "best_constant_share"),
}
"""Kind of a line -> its figures; those of losses have names of their own."""


def export_tensorboard(run: KeptRun, folder: Path) -> int:
    """Write every figure of ``run`` over environment steps into ``folder``; how many points.

    Raises:
        UsageError: without tensorboardX, where there are no metrics, or where ``folder`` cannot be written.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UsageError(
            f"--tensorboard needs the package tensorboardX: {error}. Nothing was written. Install the extra tensorboard: "
            "pip install 'dadc-net[tensorboard]'."
        ) from error
    points = dict(_points(run))
    if not points:
        raise UsageError(
            f"{run.path} holds no metrics. A run has some from its first update on. Give the folder of a run that got "
            "so far."
        )
    try:
        with SummaryWriter(str(folder)) as writer:
            for (name, steps), value in sorted(points.items()):
                writer.add_scalar(name, value, steps)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}. Give another folder.") from error
    return len(points)


def _points(run: KeptRun) -> Iterator[tuple[tuple[str, int], float]]:
    """((name, environment steps), value); what two files hold is the same."""
    for folder in run.folders + list(run.parties.values()):
        for line in read_metrics(folder):
            for name, value in _figures(line):
                if isinstance(value, int | float):
                    yield (name, int(line["env_steps"])), float(value)


def _figures(line: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    kind = line.get("kind")
    if kind == "losses":
        losses = line.get("losses")
        for name, value in losses.items() if isinstance(losses, dict) else ():
            yield f"losses/agent-{line.get('agent', 0)}/{name}", value
    for name in _FIGURES.get(str(kind), ()):
        yield f"{kind}/{name}", line.get(name)
