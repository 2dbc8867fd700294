"""The TCP connections below a socket: which one carries whom, and how to end it.

The transport has no call that disconnects one peer of a ROUTER. It does say over which descriptor a message came
(SRCFD), and shutting that down ends the connection in an orderly way: the transport sees the end, drops what is half
received, and closes the descriptor itself. By then the number may belong to a newer connection. Routing ids that the
ROUTER gives out rise, so a descriptor belongs to the newest peer that was heard over it, and an older one that is to be
cut has gone already. Whoever is cut by mistake all the same connects again at once.
"""

from __future__ import annotations

import os
import socket
from contextlib import closing

import zmq

_UINT32 = 2**32
_DESCRIPTORS_REMEMBERED = 4096


class Connections:
    """Descriptors by peer, of one ROUTER that gives out the routing ids."""

    def __init__(self) -> None:
        self._descriptors: dict[bytes, int] = {}
        self._owners: dict[int, bytes] = {}

    def note(self, peer: bytes, frame: zmq.Frame) -> None:
        """``frame`` came from ``peer``."""
        descriptor = descriptor_of(frame)
        if descriptor is None or not _newer(peer, self._owners.get(descriptor)):
            return
        former = self._owners.get(descriptor)
        if former is not None:
            self._descriptors.pop(former, None)
        if len(self._descriptors) >= _DESCRIPTORS_REMEMBERED:
            self._descriptors, self._owners = {}, {}
        self._descriptors[peer], self._owners[descriptor] = descriptor, peer

    def cut(self, peer: bytes) -> bool:
        """End the connection of ``peer``; False if it is not known any more."""
        descriptor = self._descriptors.pop(peer, None)
        if descriptor is None:
            return False
        self._owners.pop(descriptor, None)
        return shut(descriptor)


def descriptor_of(frame: zmq.Frame) -> int | None:
    """Over which descriptor ``frame`` came; None where the transport does not say."""
    try:
        return int(frame.get(zmq.SRCFD))
    except (zmq.ZMQError, ValueError, TypeError):
        return None


def shut(descriptor: int) -> bool:
    """End the TCP connection of ``descriptor``, which stays open for its owner to close; False if it is none."""
    try:
        with closing(socket.socket(fileno=os.dup(descriptor))) as connection:
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def _newer(peer: bytes, other: bytes | None) -> bool:
    """Whether ``peer`` connected after ``other``, or is the same; ids are five bytes, a zero and a counter that wraps."""
    if other is None:
        return True
    ahead = (int.from_bytes(peer[1:]) - int.from_bytes(other[1:])) % _UINT32
    return ahead < _UINT32 // 2
