"""A user's task whose world cannot be wound back: it never answers twice alike, and its state cannot be had."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.environment import EnvironmentSpec, Outcome
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast
from dadc_net.team.tasks import TASKS, Task


class Plant(MultiAccessBroadcast):
    """Radios in the real world, whose packets come when they come."""

    _has_begun = False

    @property
    def spec(self) -> EnvironmentSpec:
        """Of the problem, and that it cannot be wound back."""
        return replace(super().spec, replayable=False)

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        """Numbers of nobody's; a world that has not begun cannot go on."""
        if not self._has_begun and not begin.all():
            raise AssertionError("the first lock-step of a new world is no begin of all copies")
        self._has_begun = True
        drawn = np.frombuffer(os.urandom(4 * draws.size), dtype=np.uint32).reshape(draws.shape)
        return super().advance(joint_action, begin, drawn / 2.0**32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Nobody may ask."""
        raise AssertionError("the state of a world that cannot be wound back was asked for")

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Nobody may try."""
        raise AssertionError("a world that cannot be wound back was to be wound back")


def make_task() -> Task:
    """What ``tests.moving_world:make_task`` names."""
    return replace(TASKS["mabc"], name="plant", make=Plant)
