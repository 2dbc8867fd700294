"""A user's own task: the multi-access broadcast problem under another name, with an information structure of its own.

There is no planner for it, and agents can know the structure only from this module, on their own host.
"""

from __future__ import annotations

from dataclasses import replace

from dadc_net.team.structures.own_memory import ControlSharing
from dadc_net.team.tasks import TASKS, Task


class Overheard(ControlSharing):
    """Control sharing under a name that is not built in."""

    name = "overheard"


def make_task() -> Task:
    """What ``tests.user_task:make_task`` names."""
    return replace(TASKS["mabc"], name="two-radios", structure=Overheard())
