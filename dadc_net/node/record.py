"""Records as bytes: what is common, equal for all agents, one agent's own observation, and one agent's actions.

Both sides know E and the spaces from ``Begin``, so the layout is decided once, when a run begins, and needs no names:

    common       rewards E x float64 | begin E x uint8 | ended E x uint8 | z_t
    observation  o_t^k
    actions      a_t^k

z_t, o_t^k and a_t^k are laid out by their spaces: neighbouring columns of one type form a block E x columns, row by row,
and the blocks follow one another. A finite factor travels in the smallest of 1, 2 or 4 bytes that tells its values apart, a
coordinate of a box as a float64. All little endian. The common bytes are what the chain hashes, so this layout is part of
the protocol's version.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ProtocolError
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import Space

_BYTES_BESIDE_Z = 10
"""Of one copy: reward, begin, ended."""


class Record(NamedTuple):
    """Record ``step`` of the common log, as it is sent, chained and kept; ``CommonRecord`` is the same, unpacked."""

    step: int
    head: bytes
    """Chain hash of the log up to and including this record."""
    common: bytes
    """What every agent is told."""


class ValueLayout:
    """Values of one space for E copies."""

    def __init__(self, space: Space, copies: int) -> None:
        self.space = space
        self._copies = copies
        self._blocks: list[tuple[np.dtype[Any], slice]] = []
        start = 0
        for kind, run in itertools.groupby(space.column_types):
            stop = start + len(list(run))
            self._blocks.append((np.dtype(kind), slice(start, stop)))
            start = stop
        self.size = copies * sum(kind.itemsize * (place.stop - place.start) for kind, place in self._blocks)
        """Bytes."""

    @property
    def only_type(self) -> np.dtype[Any] | None:
        """The type of all columns; None where they have several."""
        return self._blocks[0][0] if len(self._blocks) == 1 else None

    def pack(self, values: NDArray[Any]) -> bytes:
        """Values [E, C], which must lie in the space."""
        if len(self._blocks) == 1:
            return values.astype(self._blocks[0][0]).tobytes()
        return b"".join(values[:, place].astype(kind).tobytes() for kind, place in self._blocks)

    def unpack(self, raw: bytes, what: str, remedy: str) -> NDArray[Any]:
        """The inverse of ``pack``; ``what`` are these bytes, and ``remedy`` what to do where they are wrong.

        Raises:
            ProtocolError: if their length is not ``size``, or a value lies outside the space.
        """
        if len(raw) != self.size:
            raise ProtocolError(f"{what} has {len(raw)} bytes where {self.size} belong. It was not used. {remedy}")
        values = np.empty((self._copies, self.space.columns), dtype=self.space.dtype)
        at = 0
        for kind, place in self._blocks:
            width = place.stop - place.start
            block = np.frombuffer(raw, dtype=kind, count=self._copies * width, offset=at)
            values[:, place] = block.reshape(self._copies, width)
            at += block.nbytes
        if not self.space.contains(values):
            raise ProtocolError(f"{what} holds a value outside its space {self.space.to_plain()}. It was not used. {remedy}")
        return values


_SAME_VERSION = "Check that server and agent run the same version of dadc-net."


class CommonLayout:
    """What all agents are told at one record."""

    def __init__(self, space: Space, copies: int) -> None:
        """``space``: of z_t."""
        self._copies = copies
        self._values = ValueLayout(space, copies)
        self.size = _BYTES_BESIDE_Z * copies + self._values.size
        """Bytes."""

    def pack(self, record: CommonRecord) -> bytes:
        """Common bytes of a record."""
        return b"".join(
            (
                np.asarray(record.rewards, dtype="<f8").tobytes(),
                np.asarray(record.begin, dtype="u1").tobytes(),
                np.asarray(record.ended, dtype="u1").tobytes(),
                self._values.pack(record.common),
            )
        )

    def unpack(self, record: Record) -> CommonRecord:
        """The inverse of ``pack``.

        Raises:
            ProtocolError: if the length, a flag or a value of z is not what the spaces allow.
        """
        raw, copies, what = record.common, self._copies, f"the common part of record {record.step}"
        if len(raw) != self.size:
            raise ProtocolError(f"{what} has {len(raw)} bytes where {self.size} belong. It was not used. {_SAME_VERSION}")
        rewards = np.frombuffer(raw, dtype="<f8", count=copies)
        begin = np.frombuffer(raw, dtype="u1", count=copies, offset=8 * copies)
        ended = np.frombuffer(raw, dtype="u1", count=copies, offset=9 * copies)
        common = self._values.unpack(raw[_BYTES_BESIDE_Z * copies :], what, _SAME_VERSION)
        if begin.max() > 1 or ended.max() > 2 or not np.isfinite(rewards).all():
            raise ProtocolError(
                f"{what} holds begin {begin.max()}, ended {ended.max()} and rewards {rewards.tolist()}, of which one cannot "
                f"be. It was not used. {_SAME_VERSION}"
            )
        flags = begin.astype(np.bool_), ended.astype(np.uint8)
        return CommonRecord(record.step, common, rewards.astype(np.float64), *flags)


class ObservationLayout(ValueLayout):
    """What one agent alone is told at one record."""

    def read(self, raw: bytes, step: int) -> NDArray[Any]:
        """Observation [E, O]. Raises ProtocolError if it does not fit the space."""
        return self.unpack(raw, f"the observation of record {step}", _SAME_VERSION)


class ActionLayout(ValueLayout):
    """What one agent does at one record."""

    def read(self, raw: bytes, step: int, agent: int) -> NDArray[np.int64]:
        """Actions int64 [E] of ``agent``. Raises ProtocolError if they do not fit the space."""
        remedy = "The environment has not moved. Correct the agent's prescription."
        return self.unpack(raw, f"agent {agent}'s answer to record {step}", remedy)[:, 0]
