"""When a copy begins and when the clock cuts it off: the same rule for every environment.

A copy that began at record t0 is truncated at record t0 + restart_steps and begins again at the record after. A copy
that the environment terminated begins again at the record after, too. Actions answered to an ended record are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.environment import Ended


class EpisodeClock:
    """Ages of E copies."""

    def __init__(self, num_envs: int, restart_steps: int) -> None:
        """``restart_steps`` 0: never cut off."""
        self._restart_steps = restart_steps
        self._ages = np.full(num_envs, -1, dtype=np.int64)
        """Steps since the copy's first record; -1: begins at the next record."""

    @property
    def step_in_episode(self) -> NDArray[np.int64]:
        """How many steps ago each copy began, at the record that is about to be made: [E]; 0: it begins there."""
        return self._ages + 1

    def observe(self, ended: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Count this record; the environment's ``ended`` [E] with the clock's truncations added: [E]."""
        self._ages += 1
        codes = ended.astype(np.uint8)
        if self._restart_steps > 0:
            codes[(self._ages >= self._restart_steps) & (codes == Ended.NO)] = Ended.TRUNCATED
        self._ages[codes != Ended.NO] = -1
        return codes

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of the ages."""
        return {"ages": self._ages.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the ages from ``state``."""
        self._ages = state["ages"].copy()
