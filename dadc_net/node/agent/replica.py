"""One replica: a coordinator driven by the common log, with the digests that make replicas comparable.

Per record it checks the chain, so that no record can be missing, changed or swapped; advances the coordinator; and
hashes what came out. The step digest that leaves the agent is keyed with the shared seed, because the environment
server must not learn the AIS or the prescriptions, not even by guessing them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.coordinator import Coordinator, UpdateReport
from dadc_net.coordinator.prescription import Theta
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import ProtocolError
from dadc_net.exact.array import Array
from dadc_net.exact.digest import GENESIS, chain, derive_key, digest, keyed
from dadc_net.node.record import unpack_common
from dadc_net.team.common_record import CommonRecord


class StepAccount(NamedTuple):
    """What a replica did with one record; kept in the agent's own folder and compared by ``dadc check``."""

    step: int
    head: bytes
    """Chain hash of the common log after this record."""
    parameters: bytes
    """Digest of all parameters: a bit that flips in memory shows at the next record, not at the next update."""
    ais: bytes
    """Digest of x_t."""
    prescription: bytes
    """Digest of theta_t; of nothing at the last record."""
    step_digest: bytes
    """Keyed digest of the four above: what is sent."""
    prescriptions: Theta | None
    begin: NDArray[np.bool_]
    update: UpdateReport | None


class Replica:
    """Coordinator, chain head and digest key of one agent."""

    def __init__(self, settings: CoordinatorSettings, shared_seed: bytes) -> None:
        self.settings = settings
        self.coordinator = Coordinator(settings, shared_seed)
        self.head = GENESIS
        self._key = derive_key("step digest", shared_seed)

    def receive(self, step: int, common: bytes, head: bytes) -> StepAccount:
        """Advance by record ``step``.

        Raises:
            ProtocolError: if the chain does not continue or the bytes do not fit.
        """
        expected = chain(self.head, common)
        if head != expected:
            raise ProtocolError(
                f"record {step} does not continue the common log: its chain hash is {head.hex()[:16]}, computed "
                f"{expected.hex()[:16]}. A record is missing, repeated or changed. Restart the run."
            )
        record = self._read(step, common)
        decision = self.coordinator.receive(record)
        self.head = head
        parameters = digest(*map(_bytes, self.coordinator.parameters()))
        ais = digest(_bytes(decision.ais))
        chosen = decision.prescriptions
        prescription = digest(b"" if chosen is None else chosen.astype(chosen.dtype.newbyteorder("<")).tobytes())
        compared = self._compared(parameters, ais, prescription)
        step_digest = keyed(self._key, struct.pack("<Q", step), head, *compared)
        return StepAccount(
            step, head, parameters, ais, prescription, step_digest, chosen, record.begin, decision.update
        )

    def _read(self, step: int, common: bytes) -> CommonRecord:
        """What the coordinator is given."""
        return unpack_common(common, step, self.settings.learner.num_envs, self.coordinator.space)

    def _compared(self, *digests: bytes) -> tuple[bytes, ...]:
        """Which digests must be equal for all agents, besides the chain head."""
        return digests

    def keyed_components(self, digests: Mapping[str, bytes]) -> dict[str, bytes]:
        """Digests by name as the server may see them: it can compare them and guess nothing."""
        return {name: keyed(self._key, b"component", name.encode("utf-8"), value) for name, value in digests.items()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]], head: bytes) -> None:
        """Take the coordinator's state and the chain head after the same record."""
        self.coordinator.restore(snapshot)
        self.head = head


def _bytes(array: Array) -> bytes:
    return array.astype("<f8").tobytes()
