"""A user's own task: the multi-access broadcast problem under another name, with an information structure of its own.

There is no planner for it, and agents can know the structure only from this module, on their own host.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.structures.own_memory import ControlSharing
from dadc_net.team.tasks import TASKS, Task


class Overheard(ControlSharing):
    """Control sharing under a name that is not built in."""

    name = "overheard"


def make_task() -> Task:
    """What ``tests.user_task:make_task`` names."""
    return replace(TASKS["mabc"], name="two-radios", structure=Overheard(), presets={})


@dataclass(frozen=True)
class NumpyParameters(MultiAccessBroadcastParameters):
    """As people write them who work with NumPy."""

    success_reward: float = np.float64(1.0)
    samples: int = np.int64(300)  # type: ignore[assignment]
    traces: Path = Path("my traces/\"1\".csv")
    verbose: bool = np.bool_(False)  # type: ignore[assignment]
    note: str = "line\nnext \x7f ü"


def make_numpy_task() -> Task:
    """Parameters whose defaults TOML and JSON do not have."""
    return replace(TASKS["mabc"], name="numpy-radios", parameters_type=NumpyParameters, presets={})


class FewCopies(MultiAccessBroadcast):
    """As an environment that holds a licence or a device for each copy."""

    def __init__(self, parameters: Any, copies: int) -> None:
        if copies > 8:
            raise RuntimeError(f"only 8 simulators are there, not {copies}")
        super().__init__(parameters, copies)


def make_scarce_task() -> Task:
    """An environment that cannot make as many copies as an evaluation asks for."""
    return replace(TASKS["mabc"], name="scarce-radios", make=FewCopies, presets={})
