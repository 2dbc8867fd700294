"""Finite models in files: .dpomdp, plain or compressed with gzip, and the tasks that they are."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from dadc_net.errors import UsageError
from dadc_net.team.finite.dpomdp.reader import DpomdpFile, read_dpomdp
from dadc_net.team.finite.dpomdp.rewards import ADDED
from dadc_net.team.finite.dpomdp.writer import write_dpomdp
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.tasks import USUAL_DISCOUNT, Task, model_task

_ENDINGS = (".dpomdp", ".dpomdp.gz")


def is_model_file(name: str) -> bool:
    """Whether a TASK names a file of a finite model."""
    return name.endswith(_ENDINGS)


def load_dpomdp(path: Path, rewards: str = ADDED) -> DpomdpFile:
    """Read a file; ``rewards`` says in which reading.

    Raises:
        UsageError: if it cannot be read, or with line and token where it is wrong.
    """
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.name.endswith(".gz") else raw
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the model file {path} cannot be read: {reason}. A TASK that ends in .dpomdp or .dpomdp.gz is a file. "
            "Check the path."
        ) from error
    # Comments may be in any encoding; what matters is ASCII.
    return read_dpomdp(raw.decode("utf-8", errors="replace"), path.name, rewards)


def save_dpomdp(path: Path, model: FiniteModel) -> None:
    """Write a model; compressed where the name ends in .gz."""
    raw = write_dpomdp(model).encode("ascii")
    path.write_bytes(gzip.compress(raw, mtime=0) if path.name.endswith(".gz") else raw)


def load_model_task(name: str) -> Task:
    """The task of a file, with what a reader should know as its notes.

    Raises:
        UsageError: as ``load_dpomdp``.
    """
    path = Path(name)
    # A file that changed is another problem.
    stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else (0, 0)
    return _task(path.absolute(), stamp)


@lru_cache(maxsize=4)
def _task(path: Path, stamp: tuple[int, int]) -> Task:
    found = load_dpomdp(path)
    model = found.model
    notes = [f"{path.name}: {'; '.join(found.notes)}", *found.warnings]
    if model.discount == 1.0:
        notes.append(
            f"the file's discount 1 needs a horizon, so {USUAL_DISCOUNT} is the default; with --set env.horizon=H, "
            "--set discount=1.0 counts every decision alike"
        )
    return replace(model_task(model, path.name), notes=tuple(notes))
