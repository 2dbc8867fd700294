"""A user's own task: the multi-access broadcast problem under another name, for which there is no planner."""

from __future__ import annotations

from dataclasses import replace

from dadc_net.team.tasks import TASKS, Task


def make_task() -> Task:
    """What ``tests.user_task:make_task`` names."""
    return replace(TASKS["mabc"], name="two-radios")
