"""A replica that computes each record once per test process and remembers what came out, by chain head.

What a replica answers is a function of settings, shared seed and common log, and the chain head stands for the log. A
thousand simulated runs therefore need not train a thousand learners: the protocol, the journal and the recovery are the
production's, the arithmetic is looked up. Some seeds run with the real replica all the same, which is a test of this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.exact.digest import GENESIS, chain, digest
from dadc_net.node.agent.replica import Replica, StepAccount
from dadc_net.node.record import Record

_Account = tuple[StepAccount, bytes]


class _Remembered:
    """Stands for the coordinator where its whole state is asked for."""

    def __init__(self, replica: RecalledReplica) -> None:
        self._replica = replica

    def snapshot(self) -> dict[str, NDArray[Any]]:
        return {"head": np.frombuffer(self._replica.head, dtype=np.uint8)}

    def digest(self) -> bytes:
        return digest(b"state after", self._replica.head)

    def tensor_digests(self) -> dict[str, bytes]:
        return {"remembered/head": self.digest()}


class RecalledReplica:
    """Has the interface of ``Replica``."""

    _log: dict[bytes, tuple[bytes, Record]] = {}  # noqa: RUF012 - shared on purpose
    """head -> head before, and the record that it is the head of"""
    _accounts: dict[tuple[bytes, bytes, bytes], StepAccount] = {}  # noqa: RUF012 - shared on purpose

    def __init__(self, settings: CoordinatorSettings, shared_seed: bytes, start: Snapshot | None = None) -> None:
        self.settings = settings
        self.head = GENESIS
        self.coordinator = _Remembered(self)
        self._seed, self._start = shared_seed, start
        self._real: Replica | None = None

    def receive(self, record: Record) -> StepAccount:
        key = (self.settings.digest(), self._seed, record.head)
        known = self._accounts.get(key)
        after = chain(self.head, record.common)
        if known is None or after != record.head or known.record.step != record.step:
            self._log.setdefault(after, (self.head, record._replace(head=after)))
            known = self._catch_up().receive(record)
            self._accounts[key] = known
        self.head = record.head
        return known

    def restore(self, snapshot: Mapping[str, NDArray[Any]], head: bytes) -> None:
        assert snapshot["head"].tobytes() == head
        self.head = head
        self._real = None

    def _catch_up(self) -> Replica:
        """A real replica that stands where this one stands."""
        real = self._real
        if real is None or real.head != self.head:
            real = self._real = Replica(self.settings, self._seed, self._start)
            past, head = [], self.head
            while head != GENESIS:
                head, record = self._log[head]
                past.append(record)
            for record in reversed(past):
                real.receive(record)
        return real
