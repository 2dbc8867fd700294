"""A connection with a listed key that does not follow the protocol.

    python -m tests.process.rogue KIND ENDPOINT KEYS_FOLDER AGENT SECONDS

Kinds: every type of message by name; ``reset`` (220 tiny messages, then the connection is thrown away, again and again);
``deaf`` (never reads what it provokes).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from dadc_net.node.messages import (
    Account,
    Act,
    Alive,
    Begin,
    Bye,
    End,
    Fault,
    Join,
    Message,
    Probe,
    Query,
    Step,
    Who,
)
from dadc_net.node.record import Record
from dadc_net.wire import options
from dadc_net.wire.framing import encode
from dadc_net.wire.keys import load_agent_keys

RUN, HEAD = bytes(16), bytes(32)
PER_SECOND = 10_000


def messages(agent: int) -> dict[str, Message]:
    """One of each type, by name."""
    samples = [
        Join(agent=agent, commitment=HEAD, selftest=HEAD, settings_digest=b"", host={"hostname": "x" * 8000}),
        Begin(run_id=RUN, epoch=1, settings={}, structure={}, family={}, observation_space={}, action_space={}),
        Step(RUN, 1, Record(1, HEAD, b""), b""),
        Act(run_id=RUN, epoch=1, agent=agent, step=1, actions=b"", step_digest=HEAD, learner_digest=b""),
        End(RUN, 1, 1, HEAD),
        Bye(run_id=RUN, epoch=1, agent=agent, step=1),
        Probe(agent, 1),
        Alive(agent, 1),
        Who(),
        Query(RUN, 1, 1),
        Account(run_id=RUN, epoch=1, agent=agent, step=1, digests={}),
        Fault(13, "line\n" * 1000),
    ]
    return {type(sample).__name__: sample for sample in samples}


KINDS = (*messages(1), "garbage", "reset", "deaf")


class Rogue:
    """Makes connections with one key."""

    def __init__(self, endpoint: str, folder: Path, agent: int) -> None:
        self._context = zmq.Context()
        self._endpoint = endpoint
        self._keys = load_agent_keys(folder, agent)

    def connect(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        options.configure_agent(socket, self._keys.pair, self._keys.server_public, options.Heartbeat.of_agent())
        socket.set(zmq.SNDTIMEO, 200)
        socket.connect(self._endpoint)
        return socket

    def close(self) -> None:
        """Throw everything away."""
        self._context.destroy(0)

    def flood(self, frames: list[bytes], until: float) -> int:
        """At most PER_SECOND messages a second; reads what comes."""
        socket, sent, begun = self.connect(), 0, time.monotonic()
        while (now := time.monotonic()) < until:
            if sent > (now - begun) * PER_SECOND:
                time.sleep(0.001)
            sent += _attempt(lambda: socket.send_multipart(frames))
            while _attempt(lambda: socket.recv_multipart(zmq.DONTWAIT)):
                pass
        socket.close(0)
        return sent

    def reset(self, until: float) -> int:
        sent = 0
        while time.monotonic() < until:
            sockets = [self.connect() for _ in range(4)]
            for socket in sockets:
                for _ in range(220):
                    # A connection that is refused takes nothing: each further attempt would wait in vain.
                    if not _attempt(lambda socket=socket: socket.send(b"x")):  # type: ignore[misc]
                        break
                    sent += 1
            time.sleep(0.05)
            for socket in sockets:
                socket.close(0)
        return sent

    def deaf(self, frames: list[bytes], until: float) -> int:
        """Many connections whose receive queue is full at once: what is sent to them gets stuck on the way."""
        sockets, sent = [self.connect() for _ in range(4)], 0
        while time.monotonic() < until:
            for socket in sockets:
                sent += _attempt(lambda socket=socket: socket.send_multipart(frames, zmq.DONTWAIT))  # type: ignore[misc]
            time.sleep(4 / PER_SECOND)
        return sent


def _attempt(action: Callable[[], object]) -> bool:
    try:
        action()
    except zmq.ZMQError:
        return False
    return True


def main() -> None:
    """Be rogue for a while; prints how many messages could be sent."""
    kind, endpoint, folder, agent, seconds = sys.argv[1:]
    rogue, until = Rogue(endpoint, Path(folder), int(agent)), time.monotonic() + float(seconds)
    join = encode(messages(int(agent))["Join"])
    special: dict[str, Callable[[], int]] = {
        "garbage": lambda: rogue.flood([b"x"], until),
        "reset": lambda: rogue.reset(until),
        "deaf": lambda: rogue.deaf(join, until),
    }
    if kind in special:
        sent = special[kind]()
    else:
        frames = encode(messages(int(agent))[kind])
        sent = rogue.flood(frames, until)
    print(sent, flush=True)


if __name__ == "__main__":
    main()
