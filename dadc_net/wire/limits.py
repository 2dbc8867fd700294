"""Every maximum of the protocol, with its unit and its reason.

Sizes are checked before sending, because the transport answers an oversized frame by dropping the connection together
with the next queued message, and tells the sender nothing. They are checked again on receipt, because the sender may be
somebody else's program.
"""

from __future__ import annotations

from dadc_net.errors import UsageError

KIB = 1024
MIB = 1024 * KIB

FRAMES_MAX = 3
"""Frames of one message, header included; a Step and an Act have three."""

COMMON_BYTES_MAX = 16 * MIB
"""Common bytes of one record; at 16 bytes per copy, a million copies."""

OBSERVATION_BYTES_MAX = 16 * MIB
"""Observation of one agent in one record."""

ACTIONS_BYTES_MAX = MIB
"""Actions of one agent; at 2 bytes per copy, half a million copies."""

JOIN_BYTES_MAX = 16 * KIB
"""Body of a Join: four digests and a few facts about the host."""

BEGIN_BYTES_MAX = 512 * KIB
"""Body of a Begin: all settings and the prescription family."""

ACCOUNT_BYTES_MAX = 64 * KIB
"""Body of an Account: a digest per tensor, twice at most."""

FAULT_BYTES_MAX = 64 * KIB
"""Body of a Fault. A longer text is cut, because a Fault must always be sendable."""

FAULT_TEXT_BYTES_MAX = 60 * KIB
"""Text of a Fault in UTF-8."""

UNFINISHED_STRANGER_BYTES_MAX = 256 * KIB
"""Bytes that may come over a connection which is not seated while no message of it is complete."""

HELD_BYTES_MAX, HELD_MESSAGES_MAX = 64 * MIB, 4096
"""What an agent holds of its server's messages while it computes: a few messages come meanwhile, so this is a flood. More
bytes are held where four of the largest messages have more."""

def server_frame_bytes(actions_bytes: int = ACTIONS_BYTES_MAX) -> int:
    """Largest frame that a server's socket accepts, from agents whose actions have at most ``actions_bytes``.

    The KiB covers encryption (33 bytes) and the transport's own flags.
    """
    return max(actions_bytes, JOIN_BYTES_MAX, ACCOUNT_BYTES_MAX, FAULT_BYTES_MAX) + KIB


def agent_frame_bytes(record_bytes: int = COMMON_BYTES_MAX) -> int:
    """Largest frame that an agent's socket accepts; ``record_bytes``: of what is common or of its observation."""
    return max(record_bytes, BEGIN_BYTES_MAX, FAULT_BYTES_MAX) + KIB


def unfinished_bytes(frame_bytes: int) -> int:
    """Bytes that may come over a connection while no message of it is complete: the largest, and the transport's own."""
    return FRAMES_MAX * frame_bytes + MIB


STRING_BYTES_MAX = FAULT_TEXT_BYTES_MAX
"""One string inside msgpack."""

BINARY_BYTES_MAX = KIB
"""One byte string inside msgpack: digests have 32."""

ARRAY_ITEMS_MAX = 4096
"""Items of one array inside msgpack. Decoders reserve memory by the declared count, once per level of nesting."""

MAP_ITEMS_MAX = 256
"""Items of one map inside msgpack."""

NESTING_MAX = 8
"""Depth of plain data inside a Begin; settings need three, a menu four."""


class SendTooLargeError(UsageError):
    """A message would be larger than the receiver accepts, so it was not sent."""


def check_send_size(what: str, size_bytes: int, limit_bytes: int, advice: str) -> None:
    """Refuse to send ``what`` if it has more than ``limit_bytes``; ``advice`` is an imperative sentence.

    Raises:
        SendTooLargeError: naming both sizes.
    """
    if size_bytes > limit_bytes:
        raise SendTooLargeError(
            f"{what} has {size_bytes} bytes, more than the {limit_bytes} bytes that the receiver accepts. It was not "
            f"sent. {advice}"
        )
