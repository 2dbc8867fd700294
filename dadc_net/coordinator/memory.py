"""A replay memory: the learner's own past, as far back as its capacity, read in windows.

Windows are stretches of consecutive lock-steps of one copy. Their AIS is made anew by the present encoder, from zero: the
first steps of a window only warm it up, unless an episode begins there, and do not count in any loss. No state of an old
encoder is kept.

The memory is a function of the common log and the shared seed like everything else. It only ever grows by whole batches,
so its digest is a hash chain over them, which costs the same however much is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.prescription import ThetaSpace
from dadc_net.coordinator.real_outcomes import outcomes_of
from dadc_net.exact import canonical
from dadc_net.exact.digest import GENESIS, chain, digest
from dadc_net.exact.streams import Stream
from dadc_net.team.spaces import Space


def pick_below(words: NDArray[np.uint64], limit: int) -> NDArray[np.int64]:
    """Integers 0 .. limit-1, one of each word: floor(u limit / 2^32) with u its top 32 bits; limit <= 2^32."""
    chosen: NDArray[np.int64] = (((words >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)
    return chosen


class ReplayMemory:
    """The last ``capacity`` lock-steps of E copies; a ring, filled a batch at a time."""

    def __init__(self, capacity: int, copies: int, space: Space, theta: ThetaSpace, state_size: int) -> None:
        """``capacity`` at least a batch and below 2^32; ``theta``: the space of prescriptions; ``state_size``: X."""
        self.capacity = capacity
        self.copies = copies
        self._space, self._outcomes = space, outcomes_of(space)
        self._state_size = state_size
        self._rows: dict[str, NDArray[Any]] = {
            "common-index": self._outcomes.zeros(capacity, copies),
            "previous": np.zeros((capacity, copies, theta.code_size)),
            "begin": np.zeros((capacity, copies), dtype=np.uint8),
            "prescriptions": theta.zeros(capacity, copies),
            "rewards": np.zeros((capacity, copies)),
            "ended": np.zeros((capacity, copies), dtype=np.uint8),
        }
        self._count = 0
        self._head = GENESIS

    @property
    def count(self) -> int:
        """Lock-steps that were ever added."""
        return self._count

    @property
    def head(self) -> bytes:
        """Digest of everything that was ever added."""
        return self._head

    def add(self, batch: Batch) -> None:
        """Remember a batch: its records 0 .. T-1; record T comes again as record 0 of the next one."""
        steps = batch.steps
        values: dict[str, NDArray[Any]] = {
            "common-index": batch.common_index[:steps],
            "previous": batch.inputs[:steps, :, self._space.feature_size :],
            "begin": (batch.keep[:steps, :, 0] == 0.0).astype(np.uint8),
            "prescriptions": batch.prescriptions,
            "rewards": batch.rewards,
            "ended": batch.ended[:steps],
        }
        places = (self._count + np.arange(steps)) % self.capacity
        for name, value in values.items():
            self._rows[name][places] = value
        self._head = chain(self._head, digest(*(canonical.encode(value) for value in values.values())))
        self._count += steps

    def holds(self, length: int) -> bool:
        """Whether windows of ``length`` lock-steps can be drawn."""
        return min(self._count, self.capacity) > length

    def windows(
        self, stream: Stream, address: int, number: int, length: int, warm_up: int, reward_scale: float = 1.0
    ) -> Batch:
        """``number`` windows of ``length`` lock-steps, drawn uniformly with replacement, as one batch of that many copies.

        Args:
            address: lock-step of ``stream`` whose words decide; use each only once.
            warm_up: steps at a window's start that are not counted, until an episode begins.
            reward_scale: the present one; rewards are remembered as they were.
        """
        oldest = max(0, self._count - self.capacity)
        words = stream.words(address, 1, 2 * number)[0]
        first = oldest + pick_below(words[0::2], self._count - length - oldest)
        copy = pick_below(words[1::2], self.copies)
        places = (first[None, :] + np.arange(length + 1)[:, None]) % self.capacity
        taken = {name: rows[places, copy[None, :]] for name, rows in self._rows.items()}
        features = self._space.features(self._outcomes.values(taken["common-index"]))
        begun = np.cumsum(taken["begin"][:-1], axis=0) > 0
        counted = begun | (np.arange(length)[:, None] >= warm_up)
        return Batch(
            inputs=np.concatenate((features, taken["previous"]), axis=2),
            keep=1.0 - taken["begin"][:, :, None],
            start=np.zeros((number, self._state_size)),
            common_index=taken["common-index"],
            prescriptions=taken["prescriptions"][:-1],
            rewards=taken["rewards"][:-1],
            ended=taken["ended"],
            counted=counted.astype(np.float64),
            reward_scale=reward_scale,
        )

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of what is remembered."""
        filled = min(self._count, self.capacity)
        rows: dict[str, NDArray[Any]] = {f"memory/{name}": array[:filled].copy() for name, array in self._rows.items()}
        counters: dict[str, NDArray[Any]] = {
            "memory/count": np.array([self._count], dtype=np.int64),
            "memory/head": np.frombuffer(self._head, dtype=np.uint8).copy(),
        }
        return {**rows, **counters}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take everything from ``snapshot``."""
        self._count = int(snapshot["memory/count"][0])
        self._head = snapshot["memory/head"].astype(np.uint8).tobytes()
        filled = min(self._count, self.capacity)
        for name, array in self._rows.items():
            array[:filled] = snapshot[f"memory/{name}"]
