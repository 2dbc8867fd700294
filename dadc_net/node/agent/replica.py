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
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.errors import InvariantError, ProtocolError
from dadc_net.exact.digest import GENESIS, KeyedDigest, chain, derive_key, digest
from dadc_net.node.record import CommonLayout, Record
from dadc_net.node.rows import StepDigests, UpdateRow
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import space_from_plain


class StepAccount(NamedTuple):
    """What a replica did with one record."""

    record: Record
    digests: StepDigests
    prescriptions: Theta | None
    begin: NDArray[np.bool_]
    report: UpdateReport | None
    """Of the update that the record closed."""

    @property
    def update(self) -> UpdateRow | None:
        """What of that update is kept."""
        report = self.report
        return None if report is None else UpdateRow(self.record.step, report.update, report.learner_digest, report.tensors)


class Replica:
    """Coordinator, chain head and digest key of one agent."""

    compares_learners = True
    """Whether digests of the learner must be equal for all agents, besides the chain head."""

    def __init__(self, settings: CoordinatorSettings, shared_seed: bytes, start: Snapshot | None = None) -> None:
        """``start``: the learned rule that the settings name; None: they name none.

        Raises:
            MismatchError: if it was learned with other networks.
        """
        if (start is None) is bool(settings.start.rule):
            raise InvariantError(f"a run begins with the rule {settings.start.rule!r}, and its learner was begun otherwise")
        self.settings = settings
        self.coordinator = Coordinator(settings, shared_seed)
        if start is not None:
            self.coordinator.begin_with(start)
        self.head = GENESIS
        self._keyed = KeyedDigest(derive_key("step digest", shared_seed))
        space = space_from_plain(settings.common_space)
        self._layout = CommonLayout(space, settings.learner.num_envs)
        self._hashed: list[bytes] = []
        """The numbers of all parameters as they were hashed last, in this host's order of bytes."""
        self._parameters = b""

    def receive(self, record: Record) -> StepAccount:
        """Advance by ``record``.

        Raises:
            ProtocolError: if the chain does not continue or the bytes do not fit.
        """
        step, head, common = record
        expected = chain(self.head, common)
        if head != expected:
            raise ProtocolError(
                f"record {step} does not continue the common log: its chain hash is {head.hex()[:16]}, computed "
                f"{expected.hex()[:16]}. A record is missing, repeated or changed. Restart the run."
            )
        told = self._read(record)
        decision = self.coordinator.receive(told)
        self.head = head
        parameters, ais, chosen = self._digest_of_parameters(), digest(_bytes(decision.ais)), decision.prescriptions
        prescription = digest(b"" if chosen is None else _bytes(chosen))
        compared = (parameters, ais, prescription) if self.compares_learners else ()
        step_digest = self._keyed(_STEP.pack(step), head, *compared)
        return StepAccount(
            record, StepDigests(parameters, ais, prescription, step_digest), chosen, told.begin, decision.update
        )

    def _digest_of_parameters(self) -> bytes:
        """Of the present ones: comparing them takes a fraction of the time of hashing them, and copies nothing."""
        present = self.coordinator.parameters
        # Their lengths never change, so what begins with an array's bytes is equal to them.
        if not self._hashed or not all(map(_begins_with, self._hashed, present)):
            self._hashed = [values.tobytes() for values in present]
            self._parameters = digest(*map(_bytes, present))
        return self._parameters

    def _read(self, record: Record) -> CommonRecord:
        """What the coordinator is given."""
        return self._layout.unpack(record)

    def keyed_components(self, digests: Mapping[str, bytes]) -> dict[str, bytes]:
        """Digests by name as the server may see them: it can compare them and guess nothing."""
        return {name: self._keyed(b"component", name.encode("utf-8"), value) for name, value in digests.items()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]], head: bytes) -> None:
        """Take the coordinator's state and the chain head after the same record."""
        self.coordinator.restore(snapshot)
        self.head = head


def _begins_with(raw: bytes, array: NDArray[Any]) -> bool:
    return raw.startswith(array.data)


_STEP = struct.Struct("<Q")
_IS_LITTLE = np.dtype("<f8").isnative


def _bytes(array: NDArray[Any]) -> bytes:
    """Its numbers, little endian, in C order."""
    return array.tobytes() if _IS_LITTLE else array.byteswap().tobytes()
