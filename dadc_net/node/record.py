"""Records as bytes: what is common, equal for all agents, one agent's own observation, and one agent's actions.

Both sides know E and the spaces from ``Begin``, so the layout is decided once, when a run begins, and needs no names:

    common       rewards E x float64 | begin E x uint8 | ended E x uint8 | z_t
                 begin is 0, 1, or 2: the copy begins because its episode was cut at the record before
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
from dadc_net.team.spaces import FiniteSpace, Space, space_text

_BYTES_BESIDE_Z = 10
"""Of one copy: reward, begin, ended."""
_REWARD = np.dtype("<f8")
_CUT = 2
"""Of begin."""
_FLAGS = bytes(range(_CUT + 1))
"""All that begin and ended may be."""
_SHORT_BYTES, _REMEMBERED_MAX = 16, 1024
"""Finite values so short come again and again, and are remembered, up to so many."""


class Record(NamedTuple):
    """Record ``step`` of the common log, as it is sent, chained and kept; ``CommonRecord`` is the same, unpacked."""

    step: int
    head: bytes
    """Chain hash of the log up to and including this record."""
    common: bytes
    """What every agent is told."""


class _Block(NamedTuple):
    """Neighbouring columns of one type, for all copies."""

    kind: np.dtype[Any]
    place: slice
    """Columns of the values."""
    numbers: int
    """Of all copies."""
    least: NDArray[Any] | None
    """[numbers] of a box; finite columns begin at 0 and travel unsigned."""
    most: NDArray[Any]
    """[numbers]"""


def _blocks(space: Space, copies: int) -> list[_Block]:
    ranges: list[tuple[float, float]] = []
    for part in space.parts:
        if isinstance(part, FiniteSpace):
            ranges += [(0, size - 1) for size in part.sizes]
        else:
            ranges += zip(part.low, part.high, strict=True)
    found, start = [], 0
    for kind, run in itertools.groupby(space.column_types):
        stop = start + len(list(run))
        least, most = (np.tile(np.array(ends, dtype=kind), copies) for ends in zip(*ranges[start:stop], strict=True))
        place, is_box = slice(start, stop), np.dtype(kind).kind == "f"
        found.append(_Block(np.dtype(kind), place, most.size, least if is_box else None, most))
        start = stop
    return found


def _alike_bytes(blocks: list[_Block]) -> bytes:
    """All values that a column may have, where each is a byte and may have the same; otherwise none."""
    kind, _, _, least, most = blocks[0]
    alike = len(blocks) == 1 and least is None and kind == np.uint8 and bool((most == most[0]).all())
    return bytes(range(int(most[0]) + 1)) if alike else b""


class ValueLayout:
    """Values of one space for E copies."""

    def __init__(self, space: Space, copies: int) -> None:
        self.space, self.copies = space, copies
        self._blocks = _blocks(space, copies)
        self._shape = (copies, space.columns)
        self._dtype = space.dtype
        self.size = sum(block.kind.itemsize * block.numbers for block in self._blocks)
        """Bytes."""
        self.only_type = self._blocks[0].kind if len(self._blocks) == 1 else None
        """The type of all columns; None where they have several."""
        self._is_short = self.size <= _SHORT_BYTES and all(block.least is None for block in self._blocks)
        self._remembered: dict[bytes, NDArray[Any]] = {}
        self._bytes = _alike_bytes(self._blocks)

    def pack(self, values: NDArray[Any]) -> bytes:
        """Values [E, C], which must lie in the space."""
        if self.only_type is not None:
            return values.astype(self.only_type).tobytes()
        return b"".join([values[:, block.place].astype(block.kind).tobytes() for block in self._blocks])

    def find(self, raw: bytes, at: int = 0) -> NDArray[Any] | None:
        """The inverse of ``pack``, from byte ``at`` on; None if a value lies outside the space. ``size`` bytes are there."""
        if not self._is_short:
            return self._parsed(raw, at)
        own = raw[at : at + self.size]
        known = self._remembered.get(own)
        if known is None:
            known = self._parsed(own, 0)
            if known is None:
                return None
            if len(self._remembered) < _REMEMBERED_MAX:
                self._remembered[own] = known
        return known.copy()

    def _parsed(self, raw: bytes, at: int) -> NDArray[Any] | None:
        if self._bytes:
            own = raw[at : at + self.size]
            if own.translate(None, self._bytes):
                return None
            return np.frombuffer(own, np.uint8).reshape(self._shape).astype(np.int64)
        pieces = []
        for kind, _, numbers, least, most in self._blocks:
            found = np.frombuffer(raw, kind, numbers, at)
            inside = found <= most if least is None else (found >= least) & (found <= most)  # NaN is in no box.
            if b"\0" in inside.tobytes():  # As ``all``, which takes ten times as long for a few numbers.
                return None
            pieces.append(found.reshape(self._shape[0], -1))
            at += found.nbytes
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
        return whole.astype(self._dtype)

    def refusal(self, raw: bytes, what: str, remedy: str) -> ProtocolError:
        """Why these bytes are no values of the space; ``what`` they are, and ``remedy`` what to do."""
        if len(raw) != self.size:
            return ProtocolError(f"{what} has {len(raw)} bytes where {self.size} belong. It was not used. {remedy}")
        return ProtocolError(f"{what} holds a value outside its space {space_text(self.space)}. It was not used. {remedy}")


_SAME_VERSION = "Check that server and agent run the same version of dadc-net."


class CommonLayout:
    """What all agents are told at one record."""

    def __init__(self, space: Space, copies: int) -> None:
        """``space``: of z_t."""
        self._copies = copies
        self._values = ValueLayout(space, copies)
        self._values_at = _BYTES_BESIDE_Z * copies
        self.size = self._values_at + self._values.size
        """Bytes."""

    def pack(self, record: CommonRecord) -> bytes:
        """Common bytes of a record."""
        _, common, rewards, begin, ended, cut = record
        return b"".join(
            (
                np.asarray(rewards, _REWARD).tobytes(),
                (np.asarray(begin, np.bool_) if cut is None else begin + cut.astype(np.uint8)).tobytes(),
                np.asarray(ended, np.uint8).tobytes(),
                self._values.pack(common),
            )
        )

    def parts(self, raw: bytearray) -> tuple[NDArray[Any], ...]:
        """Rewards [E], begin [E], ended [E] and bytes of z [E, bytes] in ``raw``, to be written to; of a z of one type."""
        copies = self._copies
        begin, ended = (np.frombuffer(raw, np.uint8, copies, at * copies) for at in (8, 9))
        values = np.frombuffer(raw, np.uint8, self._values.size, self._values_at).reshape(copies, -1)
        return np.frombuffer(raw, _REWARD, copies), begin, ended, values

    def unpack(self, record: Record) -> CommonRecord:
        """The inverse of ``pack``.

        Raises:
            ProtocolError: if the length, a flag or a value of z is not what the spaces allow.
        """
        step, _, raw = record
        copies = self._copies
        if len(raw) != self.size:
            raise self._refusal(record)
        owned = bytearray(raw)
        rewards, ended = np.frombuffer(owned, _REWARD, copies), np.frombuffer(owned, np.uint8, copies, 9 * copies)
        fits = not raw[8 * copies : 10 * copies].strip(_FLAGS) and b"\0" not in np.isfinite(rewards).tobytes()
        common = self._values.find(raw, self._values_at) if fits else None
        if common is None:
            raise self._refusal(record)
        if raw.find(_CUT, 8 * copies, 9 * copies) < 0:
            return CommonRecord(step, common, rewards, np.frombuffer(owned, np.bool_, copies, 8 * copies), ended)
        begin = np.frombuffer(raw, np.uint8, copies, 8 * copies)
        return CommonRecord(step, common, rewards, begin > 0, ended, begin == _CUT)

    def _refusal(self, record: Record) -> ProtocolError:
        raw, copies, what = record.common, self._copies, f"the common part of record {record.step}"
        if len(raw) != self.size:
            return ProtocolError(f"{what} has {len(raw)} bytes where {self.size} belong. It was not used. {_SAME_VERSION}")
        if self._values.find(raw, self._values_at) is None:
            return self._values.refusal(raw[self._values_at :], what, _SAME_VERSION)
        rewards = np.frombuffer(raw, _REWARD, copies)
        begin, ended = (np.frombuffer(raw, np.uint8, copies, at * copies).max() for at in (8, 9))
        return ProtocolError(
            f"{what} holds begin {begin}, ended {ended} and rewards {rewards.tolist()}, of which one cannot be. It was not "
            f"used. {_SAME_VERSION}"
        )


class ObservationLayout(ValueLayout):
    """What one agent alone is told at one record."""

    def read(self, raw: bytes, step: int) -> NDArray[Any]:
        """Observation [E, O]. Raises ProtocolError if it does not fit the space."""
        values = self.find(raw) if len(raw) == self.size else None
        if values is None:
            raise self.refusal(raw, f"the observation of record {step}", _SAME_VERSION)
        return values


class ActionLayout(ValueLayout):
    """What one agent does at one record."""

    def read(self, raw: bytes, step: int, agent: int) -> NDArray[np.int64]:
        """Actions int64 [E] of ``agent``. Raises ProtocolError if they do not fit the space."""
        values = self.find(raw) if len(raw) == self.size else None
        if values is None:
            remedy = "The environment has not moved. Correct the agent's prescription."
            raise self.refusal(raw, f"agent {agent}'s answer to record {step}", remedy)
        return values[:, 0]
