"""A user's task that fails in a way that the variable FAIL names, at the step that FAIL_AT names."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from dadc_net.team.environment import Outcome
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast
from dadc_net.team.tasks import TASKS, Task


class Failing(MultiAccessBroadcast):
    """The broadcast problem, until it is told to fail."""

    steps = 0

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        self.steps += 1
        if self.steps <= int(os.environ.get("FAIL_AT", "7")):
            return outcome
        how = os.environ["FAIL"]
        if how == "raise":
            raise ValueError("the simulator\nis gone")
        if how == "exit":
            raise SystemExit(5)
        if how.startswith("_exit"):
            os._exit(int(how[5:]))
        return outcome._replace(rewards=np.full_like(outcome.rewards, np.nan))


def make_task() -> Task:
    """What ``failing_task:make_task`` names."""
    return replace(TASKS["mabc"], name="failing-radios", make=Failing, presets={})
