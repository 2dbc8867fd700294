"""A TCP proxy that breaks connections on purpose, byte by byte, between agents and their server.

It knows nothing of what it forwards, so it can hit a frame anywhere. What it does is drawn from its own seed and counted.
It runs on one thread of the test's process; every public method may be called from the test's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any

_CHUNK = 16384
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that turns a close into a reset: what is under way is lost on both sides."""


class Way(Enum):
    """A direction of travel."""

    TO_SERVER = "to the server"
    TO_AGENT = "to the agent"


@dataclass
class _Lane:
    """What is to happen to bytes of one direction."""

    open: asyncio.Event
    pending: list[tuple[int, Callable[[bytes], bytes]]] = field(default_factory=list)
    """(how many bytes to let pass first, what to do to the rest of that chunk)"""
    passed: int = 0


def frame_starts(chunk: bytes) -> list[int]:
    """Where the frames of ``chunk`` begin, if it consists of whole ones (ZMTP: flags, a length, the body); else none."""
    starts, at = list[int](), 0
    while at < len(chunk):
        starts.append(at)
        size = 8 if chunk[at] & 2 else 1
        if chunk[at] & ~7 or at + 1 + size > len(chunk):
            return []
        at += 1 + size + int.from_bytes(chunk[at + 1 : at + 1 + size], "big")
    return starts if at == len(chunk) else []


class _Link:
    """One accepted connection and the one to the server that belongs to it."""

    def __init__(self, agent: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.writers = {Way.TO_AGENT: agent, Way.TO_SERVER: server}

    def reset(self) -> None:
        for writer in self.writers.values():
            raw = writer.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class FaultProxy:
    """Forwards to ``host:port``; a context manager that listens at a port of its own."""

    def __init__(self, port: int, host: str = "127.0.0.1", seed: int = 0) -> None:
        self.seed = seed
        self.counts = dict.fromkeys(("connections", "cuts", "flips", "lost", "vanished", "doubled", "half-closed"), 0)
        self.refusing = False
        """Reset every new connection."""
        self.delay = (0.0, 0.0)
        """Seconds that each chunk waits: uniform between the two; order is kept."""
        self.bytes_per_second = 0.0
        """0: unlimited."""
        self._upstream = (host, port)
        self._random = random.Random(seed)
        self._links: set[_Link] = set()
        self._cuts_left = 0
        self._cut_range = (1, 1)
        self._until_cut = 0
        self._loop = asyncio.new_event_loop()
        self._lanes: dict[Way, _Lane] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def address(self) -> str:
        """Where agents connect, instead of at the server."""
        assert self._server is not None
        return f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def passed(self) -> int:
        """Bytes that came from either side so far."""
        return sum(lane.passed for lane in self._lanes.values())

    def cut(self) -> None:
        """Reset every connection now."""
        self._do(self._reset_all)

    def cut_at_random_bytes(self, times: int, low: int, high: int) -> None:
        """From now on reset a connection ``times`` times, each after ``low``..``high`` forwarded bytes, mid-chunk."""

        def arm() -> None:
            self._cuts_left, self._cut_range = times, (low, high)
            self._until_cut = self._random.randint(low, high)

        self._do(arm)

    def hold(self, *ways: Way) -> None:
        """Let nothing pass: a partition. Connections stay open and nothing is lost yet."""
        self._do(lambda: [self._lanes[way].open.clear() for way in ways])

    def release(self, *ways: Way) -> None:
        """Heal the partition; what was held travels on."""
        self._do(lambda: [self._lanes[way].open.set() for way in ways])

    def flip_bit(self, way: Way, after: int = 0) -> None:
        """Flip one random bit in the chunk that follows ``after`` more bytes."""

        def flip(chunk: bytes) -> bytes:
            if not chunk:
                return chunk
            self.counts["flips"] += 1
            index = self._random.randrange(len(chunk))
            return chunk[:index] + bytes([chunk[index] ^ (1 << self._random.randrange(8))]) + chunk[index + 1 :]

        self._arm(way, after, flip)

    def lose(self, way: Way, count: int, after: int = 0) -> None:
        """Lose ``count`` bytes from the middle of the stream."""
        left = count

        def lose(chunk: bytes) -> bytes:
            nonlocal left
            lost = min(left, len(chunk))
            self.counts["lost"] += lost
            left -= lost
            if left:  # They came in pieces.
                self._lanes[way].pending.append((self._lanes[way].passed, lose))
            return chunk[lost:]

        self._arm(way, after, lose)

    def lose_frame(self, way: Way) -> None:
        """Lose the last frame of a message whole, as a flipped bit can do: the rest stays in step."""

        def lose(chunk: bytes) -> bytes:
            starts = frame_starts(chunk)
            if len(starts) < 3:  # Of a part of a message, or of one with a single frame.
                self._lanes[way].pending.append((self._lanes[way].passed, lose))
                return chunk
            self.counts["vanished"] += 1
            return chunk[: starts[-1]]

        self._arm(way, 0, lose)

    def double(self, way: Way, after: int = 0) -> None:
        """Send one chunk twice: a replay."""

        def double(chunk: bytes) -> bytes:
            self.counts["doubled"] += 1
            return chunk + chunk

        self._arm(way, after, double)

    def half_close(self, way: Way) -> None:
        """End one direction of every connection regularly, with a FIN; the other stays open."""

        def close() -> None:
            for link in self._links:
                self.counts["half-closed"] += 1
                with contextlib.suppress(OSError):
                    link.writers[way].write_eof()

        self._do(close)

    async def _listen(self) -> None:
        for way in Way:
            event = asyncio.Event()
            event.set()
            self._lanes[way] = _Lane(event)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        try:
            if self.refusing:
                raise ConnectionRefusedError
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, upstream_writer)
        self._links.add(link)
        pumps = [
            asyncio.ensure_future(self._pump(link, Way.TO_SERVER, reader)),
            asyncio.ensure_future(self._pump(link, Way.TO_AGENT, upstream_reader)),
        ]
        try:
            await asyncio.gather(*pumps)
        except (OSError, asyncio.CancelledError):
            link.reset()
        finally:
            for pump in pumps:
                pump.cancel()
            self._links.discard(link)
            for end in link.writers.values():
                end.close()

    async def _pump(self, link: _Link, way: Way, reader: asyncio.StreamReader) -> None:
        writer, lane = link.writers[way], self._lanes[way]
        while True:
            await lane.open.wait()
            chunk = await reader.read(_CHUNK)
            await lane.open.wait()
            if not chunk:
                with contextlib.suppress(OSError, RuntimeError):
                    writer.write_eof()
                return
            if self.delay[1]:
                await asyncio.sleep(self._random.uniform(*self.delay))
            if self.bytes_per_second:
                await asyncio.sleep(len(chunk) / self.bytes_per_second)
            for piece in self._damage(lane, chunk):
                writer.write(piece[: self._allowance(len(piece))])
                if self._count(len(piece)):
                    await writer.drain()  # The part of a frame before the cut does arrive.
                    raise ConnectionResetError
            await writer.drain()

    def _damage(self, lane: _Lane, chunk: bytes) -> Iterator[bytes]:
        """The chunk, changed by whatever is armed for it."""
        start = lane.passed
        lane.passed += len(chunk)
        while lane.pending and lane.pending[0][0] < lane.passed:
            at, change = lane.pending.pop(0)
            keep = max(0, at - start)
            yield chunk[:keep]
            chunk, start = change(chunk[keep:]), start + keep
        yield chunk

    def _allowance(self, count: int) -> int:
        return min(count, self._until_cut) if self._cuts_left else count

    def _count(self, count: int) -> bool:
        """Count forwarded bytes; True: this is where to cut."""
        if not self._cuts_left:
            return False
        self._until_cut -= count
        if self._until_cut > 0:
            return False
        self._cuts_left -= 1
        self.counts["cuts"] += 1
        self._until_cut = self._random.randint(*self._cut_range)
        return True

    def _arm(self, way: Way, after: int, change: Callable[[bytes], bytes]) -> None:
        def arm() -> None:
            lane = self._lanes[way]
            lane.pending.append((lane.passed + after, change))
            lane.pending.sort(key=lambda item: item[0])

        self._do(arm)

    def _reset_all(self) -> None:
        for link in list(self._links):
            self.counts["cuts"] += 1
            link.reset()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _do(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()

        self._call(act())

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)
