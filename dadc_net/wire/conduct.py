"""How much a connection may say before it is cut, and a key before it is slowed.

Two things are kept apart. A connection is *admitted* when its key is on the list: its owner may ask to join. It is
*seated* when the server has given it the place of an agent: it takes part. A seated member may say one thing for each
that it is told, and some more; an admitted stranger may say a few small things, which is what it takes to join or to be
told why not. Nobody is trusted beyond that: a listed key may have been stolen.

Which connection is seated is the server's to say; time is an input. One object serves two threads, the one that reads and
the one that authenticates; what they share is one number per key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from dadc_net.wire.limits import JOIN_BYTES_MAX, KIB

SEATED_BURST, SEATED_RATE = 32.0, 10.0
"""What a seated member may say unasked: at once, and per second."""
STRANGER_BURST, STRANGER_RATE = 10.0, 2.0
"""The same for a connection that is not seated."""
KEY_BURST, KEY_RATE = 200.0, 20.0
"""The same for all connections of one key that are not seated; a new connection counts as one message."""
STRANGER_BYTES_MAX = JOIN_BYTES_MAX + KIB
"""Bytes of one message before a seat is given: a Join is the largest."""
COMPLAINTS_MAX = 3
"""Messages that break the protocol before the connection is cut."""
CUTS_MAX = 3
"""Cut connections of one key before it is slowed."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
_FORGOTTEN_AFTER_SECONDS = 300.0
_CONNECTIONS_REMEMBERED = 4096


class Verdict(Enum):
    """What becomes of a message."""

    KEEP = "keep"
    DROP = "drop"
    CUT = "cut"
    """Drop it, cut the connection, and drop whatever else still comes over it."""


@dataclass
class Allowance:
    """Messages that may come now, and more with time."""

    credit: float
    stamp: float

    def spend(self, burst: float, rate: float, now: float) -> bool:
        """Whether one more is allowed; what has been earned since the last shortage is counted only when needed."""
        self.credit -= 1.0
        if self.credit >= 0.0:
            return True
        self.credit = min(burst - 1.0, self.credit + (now - self.stamp) * rate)
        self.stamp = now
        return self.credit >= 0.0


@dataclass
class _Connection:
    allowance: Allowance
    seated: bool = False
    complaints: int = 0
    cut: bool = False


@dataclass(kw_only=True)
class _Key:
    allowance: Allowance
    cuts: int = 0
    pause: float = FIRST_PAUSE_SECONDS
    until: float = 0.0
    """It is slowed until then."""
    last: float = field(default=float("-inf"))
    """When a connection of it was cut last."""


class Conduct:
    """Of all connections and keys of one server."""

    def __init__(self, seated: Callable[[bytes], bool]) -> None:
        """``seated`` tells whether a connection has an agent's place."""
        self._seated = seated
        self._connections: dict[bytes, _Connection] = {}
        self._keys: dict[int, _Key] = {}
        self.cuts = 0
        """Connections cut so far."""

    def admits(self, agent: int, now: float) -> bool:
        """Whether the key of ``agent`` may open one more connection now."""
        key = self._key(agent, now)
        if now < key.until:
            return False
        if not key.allowance.spend(KEY_BURST, KEY_RATE, now):
            self._slow(key, now)
            return False
        return True

    def heard(self, peer: bytes, agent: int | None, size: int, now: float) -> Verdict:
        """``peer``, with the key of ``agent`` (None: without keys), sent a message of ``size`` bytes."""
        connection = self._connections.get(peer) or self._meet(peer, now)
        if connection.cut:
            return Verdict.DROP
        if self._seated(peer):
            if not connection.seated:
                connection.seated, connection.allowance.credit = True, SEATED_BURST
            if connection.allowance.spend(SEATED_BURST, SEATED_RATE, now):
                return Verdict.KEEP
            return self._cut(connection, agent, now)
        if connection.seated:
            connection.seated, connection.allowance.credit = False, STRANGER_BURST
        if size > STRANGER_BYTES_MAX or not connection.allowance.spend(STRANGER_BURST, STRANGER_RATE, now):
            return self._cut(connection, agent, now)
        if agent is not None:
            key = self._key(agent, now)
            if not key.allowance.spend(KEY_BURST, KEY_RATE, now):
                self._slow(key, now)
                return self._cut(connection, agent, now)
        return Verdict.KEEP

    def told(self, peer: bytes) -> None:
        """``peer`` was sent a message, and a seated one may answer it."""
        connection = self._connections.get(peer)
        if connection is not None and connection.seated and connection.allowance.credit < SEATED_BURST:
            connection.allowance.credit += 1.0

    def complain(self, peer: bytes, agent: int | None, now: float) -> Verdict:
        """A message of ``peer`` broke the protocol; the verdict on the connection."""
        connection = self._connections.get(peer) or self._meet(peer, now)
        connection.complaints += 1
        if connection.complaints < COMPLAINTS_MAX or connection.cut:
            return Verdict.DROP
        return self._cut(connection, agent, now)

    def is_seated(self, peer: bytes) -> bool:
        """Whether ``peer`` has an agent's place."""
        return self._seated(peer)

    def is_cut(self, peer: bytes) -> bool:
        """Whether nothing is to be sent to ``peer`` any more."""
        connection = self._connections.get(peer)
        return connection is not None and connection.cut

    def _meet(self, peer: bytes, now: float) -> _Connection:
        if len(self._connections) >= _CONNECTIONS_REMEMBERED:
            # Most have gone, which nobody says; whoever still speaks is met again.
            kept = {peer: one for peer, one in self._connections.items() if self._seated(peer)}
            newest = list(self._connections.items())[-_CONNECTIONS_REMEMBERED // 2 :]
            self._connections = {**dict(newest), **kept}
        connection = _Connection(Allowance(STRANGER_BURST, now))
        self._connections[peer] = connection
        return connection

    def _key(self, agent: int, now: float) -> _Key:
        key = self._keys.get(agent)
        if key is None:
            key = self._keys[agent] = _Key(allowance=Allowance(KEY_BURST, now))
        return key

    def _cut(self, connection: _Connection, agent: int | None, now: float) -> Verdict:
        connection.cut = True
        self.cuts += 1
        if agent is not None:
            key = self._key(agent, now)
            if now - key.last > _FORGOTTEN_AFTER_SECONDS:
                key.cuts, key.pause = 0, FIRST_PAUSE_SECONDS
            key.cuts, key.last = key.cuts + 1, now
            if key.cuts >= CUTS_MAX:
                self._slow(key, now)
        return Verdict.CUT

    def _slow(self, key: _Key, now: float) -> None:
        """No new connection of this key for a while, longer each time; those that are open may go on."""
        if now >= key.until:
            key.until = now + key.pause
            key.pause = min(2 * key.pause, LONGEST_PAUSE_SECONDS)
            key.last = now
