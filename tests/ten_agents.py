"""A user's own task: ten loads of demand response that see one another's actions instead of the mean field.

Ten agents with three actions make 59,049 common observations.
"""

from __future__ import annotations

from dataclasses import replace

from dadc_net.team.information import ControlSharing
from dadc_net.team.tasks import TASKS, Task


def make_task() -> Task:
    """What ``tests.ten_agents:make_task`` names; its agents are set by ``env.agents=10``."""
    return replace(TASKS["demand-response"], name="ten-loads", structure=ControlSharing(), presets={})
