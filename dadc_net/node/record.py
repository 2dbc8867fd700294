"""Records as bytes: the common part, equal for all agents, and one agent's own observation.

Both sides know E, the spaces and the number of agents from ``Begin``, so the layout is fixed and needs no names:

    common       rewards E x float64 | begin E x uint8 | ended E x uint8 | z_t E x Z x int16
    observation  E x O x int16
    actions      E x int16

All little endian. The common bytes are what the chain hashes, so this layout is part of the protocol's version.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError, ProtocolError
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import FiniteSpace

_INT16_MAX = 2**15 - 1


class Record(NamedTuple):
    """Record ``step`` of the common log, as it is sent, chained and kept; ``CommonRecord`` is the same, unpacked."""

    step: int
    head: bytes
    """Chain hash of the log up to and including this record."""
    common: bytes
    """What every agent is told."""


def pack_common(record: CommonRecord) -> bytes:
    """Common bytes of a record."""
    return b"".join(
        (
            np.asarray(record.rewards, dtype="<f8").tobytes(),
            np.asarray(record.begin, dtype="u1").tobytes(),
            np.asarray(record.ended, dtype="u1").tobytes(),
            _pack_int16(record.common),
        )
    )


def unpack_common(raw: bytes, step: int, copies: int, space: FiniteSpace) -> CommonRecord:
    """The inverse of ``pack_common``.

    Raises:
        ProtocolError: if the length, a flag or a value of z is not what the spaces allow.
    """
    columns = len(space.sizes)
    _check_length("common", raw, step, copies * (10 + 2 * columns))
    rewards = np.frombuffer(raw, dtype="<f8", count=copies)
    begin = np.frombuffer(raw, dtype="u1", count=copies, offset=8 * copies)
    ended = np.frombuffer(raw, dtype="u1", count=copies, offset=9 * copies)
    common = np.frombuffer(raw, dtype="<i2", offset=10 * copies).reshape(copies, columns).astype(np.int64)
    if begin.max() > 1 or ended.max() > 2 or not space.contains(common):
        raise ProtocolError(
            f"the common part of record {step} holds a value outside its space {space.sizes}. It came from the "
            "environment server. Check that server and agent run the same version of dadc-net."
        )
    return CommonRecord(step, common, rewards.astype(np.float64), begin.astype(np.bool_), ended.astype(np.uint8))


class RewardMean:
    """The mean reward of the steps that were taken, from common bytes that were checked before."""

    def __init__(self, copies: int) -> None:
        self._copies = copies
        self._sum, self._count = 0.0, 0

    def add(self, common: bytes) -> None:
        """Count what a record brought: R_{t-1} of the copies that do not begin there."""
        rewards = np.frombuffer(common, dtype="<f8", count=self._copies)
        begin = np.frombuffer(common, dtype="u1", count=self._copies, offset=8 * self._copies)
        self._sum += float(rewards.sum())
        self._count += int((begin == 0).sum())

    def clear(self) -> None:
        """Begin anew."""
        self._sum, self._count = 0.0, 0

    @property
    def value(self) -> float:
        """Mean over copies and records; 0 where there was none."""
        return self._sum / max(1, self._count)


def pack_observations(observations: NDArray[np.int64]) -> tuple[bytes, ...]:
    """Own bytes of each agent: observations int64 [E, K, O]."""
    raw = _pack_int16(observations.transpose(1, 0, 2))
    length = 2 * observations.shape[0] * observations.shape[2]
    return tuple(raw[first : first + length] for first in range(0, len(raw), length))


def unpack_observation(raw: bytes, step: int, copies: int, space: FiniteSpace) -> NDArray[np.int64]:
    """Observation int64 [E, O]. Raises ProtocolError if it does not fit the space."""
    columns = len(space.sizes)
    _check_length("own", raw, step, 2 * copies * columns)
    observation = np.frombuffer(raw, dtype="<i2").reshape(copies, columns).astype(np.int64)
    if not space.contains(observation):
        raise ProtocolError(
            f"the own part of record {step} holds a value outside its space {space.sizes}. It came from the "
            "environment server. Check that server and agent run the same version of dadc-net."
        )
    return observation


def pack_actions(actions: NDArray[np.int64]) -> bytes:
    """Action bytes: int64 [E]."""
    return _pack_int16(actions)


def unpack_actions(raw: bytes, step: int, copies: int, agent: int, space: FiniteSpace) -> NDArray[np.int64]:
    """Actions int64 [E] of one agent. Raises ProtocolError if they do not fit the action space."""
    _check_length(f"agent {agent}'s action", raw, step, 2 * copies)
    actions = np.frombuffer(raw, dtype="<i2").astype(np.int64)
    if not space.contains(actions[:, None]):
        raise ProtocolError(
            f"agent {agent} answered record {step} with {_outside(actions, space)} of {copies} actions outside the space "
            f"0..{space.sizes[0] - 1}. The run stops before the environment moves. Correct the agent's prescription."
        )
    return actions


def _pack_int16(values: NDArray[Any]) -> bytes:
    if values.size and (values.max() > _INT16_MAX or values.min() < 0):
        # Without the value: the server tells every agent why it stopped, and the value may be for one of them only.
        raise InvariantError(f"a value in a record does not fit 0..{_INT16_MAX}")
    return values.astype("<i2").tobytes()


def _outside(actions: NDArray[np.int64], space: FiniteSpace) -> int:
    """How many there are, and not which: an error is read by every agent, and actions are private."""
    return int(((actions < 0) | (actions >= space.sizes[0])).sum())


def _check_length(what: str, raw: bytes, step: int, expected: int) -> None:
    if len(raw) != expected:
        raise ProtocolError(
            f"the {what} part of record {step} has {len(raw)} bytes where {expected} belong. The peer is configured "
            "differently. Check that server and agent run the same version of dadc-net."
        )
