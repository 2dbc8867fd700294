"""The TCP connections below a socket: which one carries whom, and how to end it.

The transport has no call that disconnects one peer of a ROUTER. It does say over which descriptor a message came
(SRCFD), and shutting that down ends the connection in an orderly way: the transport sees the end, drops what is half
received, and closes the descriptor itself. By then the number may belong to a newer connection. Routing ids that the
ROUTER gives out rise, so a descriptor belongs to the newest peer that was heard over it, and an older one that is to be
cut has gone already. Whoever is cut by mistake all the same connects again at once.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import zmq

from dadc_net.descriptors import open_descriptors

_UINT32 = 2**32
_DESCRIPTORS_REMEMBERED = 4096
_INFO_BYTES, _RECEIVED_AT = 232, 128
"""Of Linux's struct tcp_info: enough of it, and where tcpi_bytes_received is."""


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

    def of(self, peer: bytes) -> int | None:
        """The descriptor over which ``peer`` is heard, as far as known."""
        return self._descriptors.get(peer)

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
        with _borrowed(descriptor) as connection:
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """The socket of ``descriptor``, which stays open. No copy: there may be no descriptor for it. Raises OSError."""
    borrowed = socket.socket(fileno=descriptor)
    try:
        yield borrowed
    finally:
        borrowed.detach()


def _newer(peer: bytes, other: bytes | None) -> bool:
    """Whether ``peer`` connected after ``other``, or is the same; ids are five bytes, a zero and a counter that wraps."""
    if other is None:
        return True
    ahead = (int.from_bytes(peer[1:]) - int.from_bytes(other[1:])) % _UINT32
    return ahead < _UINT32 // 2


class Unfinished:
    """Finds messages that never end.

    The transport collects all frames of a message before it delivers the first, and limits the size of a frame only. The
    kernel knows how many bytes have come over a connection: more than a message may have since the last one was
    delivered means that this one breaks the limits, whatever is still to come.
    """

    def __init__(self, ours: Callable[[socket.socket], bool]) -> None:
        """``ours`` tells which TCP sockets of this process belong to the transport."""
        self._ours = ours
        self._silent: set[int] = set()
        """Descriptors over which nothing had come at the last look."""
        self._base: dict[tuple[int, object], int] = {}
        """(descriptor, peer's address) -> bytes that had come when a message was last known to be finished."""

    def look(self, limits: Mapping[int, int | None], otherwise: int) -> list[int]:
        """Descriptors to be shut. ``limits``: descriptor -> bytes; None: it delivered a message since the last look."""
        found = {(descriptor, address): received for descriptor, address, received in self._received()}
        # Those that were there before come first, in their order.
        order = [*(key for key in self._base if key in found), *(key for key in found if key not in self._base)]
        base: dict[tuple[int, object], int] = {}
        guilty = []
        for descriptor, address in order:
            received = found[descriptor, address]
            limit = limits.get(descriptor, otherwise)
            known = self._base.get((descriptor, address), received)
            base[descriptor, address] = received if limit is None else known
            if limit is not None and received - known > limit:
                guilty.append(descriptor)
        self._base, self._silent = base, {descriptor for (descriptor, _), received in found.items() if not received}
        return guilty

    def forget(self) -> None:
        """Every message was finished a moment ago: the next look begins to count anew."""
        self._base = {}

    @property
    def open(self) -> int:
        """Connections at the last look."""
        return len(self._base)

    def surplus(self, most: int, spared: Collection[int | None]) -> list[int]:
        """Descriptors to be shut so that ``most`` stay open, as of the last look: first those that have
        said nothing at all, the oldest first; none of ``spared``.

        Who is honest says something at once, and has joined a moment later; who only holds a descriptor grows old.
        """
        strangers = [descriptor for descriptor, _ in self._base if descriptor not in spared]
        strangers.sort(key=lambda descriptor: descriptor not in self._silent)
        return strangers[: max(0, len(self._base) - most)]

    def _received(self) -> Iterator[tuple[int, object, int]]:
        """(descriptor, peer's address, bytes received) of each connection; nothing where the system does not tell."""
        for descriptor in open_descriptors():
            try:
                with _borrowed(descriptor) as connection:
                    internet = connection.family in (socket.AF_INET, socket.AF_INET6)  # A launcher's pipe has no port.
                    if not internet or connection.type != socket.SOCK_STREAM or not self._ours(connection):
                        continue
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
                    address = connection.getpeername()
            except (OSError, ValueError):
                continue  # No socket, or gone in the meantime.
            if len(info) >= _RECEIVED_AT + 8:
                yield descriptor, address, int.from_bytes(info[_RECEIVED_AT : _RECEIVED_AT + 8], sys.byteorder)
