"""How a process of a run is asked to stop, and its line to the launcher.

A process stops for one of three reasons: its role is done, an error, or a request. A request is SIGINT or SIGTERM (when
it was started by hand) or the closing of its control pipe (when a launcher started it: the pipe also closes when the
launcher is killed, so no child outlives it).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import FrameType

from dadc_net.errors import Interrupted
from dadc_net.runtime.events import Event


class StopRequest:
    """Whether this process was asked to stop; also wakes it from waiting."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self.reason = ""
        self.reread = False
        self._interrupts = False

    @property
    def fileno(self) -> int:
        """Descriptor that becomes readable with a request."""
        return self._read

    def request(self, reason: str) -> None:
        """Ask for a stop; the first reason counts."""
        if not self.reason:
            self.reason = reason
            os.write(self._write, b"x")

    def install(self) -> None:
        """Turn SIGINT and SIGTERM into a request. A second signal ends the process at once."""

        def handle(number: int, _frame: FrameType | None) -> None:
            if self.reason:
                os._exit(Interrupted.exit_code)
            self.request(signal.Signals(number).name)
            if self._interrupts:
                raise KeyboardInterrupt

        signal.signal(signal.SIGINT, handle)
        signal.signal(signal.SIGTERM, handle)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within it, where nothing is written, a signal raises KeyboardInterrupt as well: nobody waits for the result."""
        self._interrupts = True
        try:
            if self.reason:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupts = False

    def reread_on_hangup(self) -> None:
        """Take SIGHUP as the wish that files are read again, as daemons do; where a terminal was closed, as a request."""
        terminal = os.isatty(2)

        def handle(_number: int, _frame: FrameType | None) -> None:
            if terminal and not os.isatty(2):
                self.request("the end of its terminal")
            else:
                self.reread = True

        signal.signal(signal.SIGHUP, handle)

    def take_reread(self) -> bool:
        """Whether somebody wished that files are read again, since this was asked last."""
        wished, self.reread = self.reread, False
        return wished

    def error(self) -> Interrupted:
        """The error of a process that was asked to stop."""
        return Interrupted(
            f"stopped by {self.reason}. The others were told, and everything up to here is kept in the state folder. Start "
            "it again with the same command, and it goes on."
        )


@dataclass
class Control:
    """The line to the launcher; without one, events go nowhere."""

    connection: Connection | None = None
    kept_back: tuple[type[Event], ...] = ()
    """Kinds of events that the launcher need not hear from this process, because it hears them from another."""
    stop: StopRequest = field(default_factory=StopRequest)

    @property
    def wake_fds(self) -> tuple[int, ...]:
        """Descriptors that must wake the process from waiting."""
        own = (self.stop.fileno,)
        return own if self.connection is None else (*own, self.connection.fileno())

    def poll(self) -> None:
        """Notice what the launcher wants. A closed pipe is a request to stop."""
        if self.connection is None:
            return
        try:
            while self.connection.poll():
                self.stop.request(str(self.connection.recv()))
        except (EOFError, OSError):
            self.stop.request("the end of the launcher")

    def on(self, event: Event) -> None:
        """Tell the launcher what happened; a launcher that has gone does not matter here."""
        if self.connection is None or isinstance(event, self.kept_back):
            return
        try:
            self.connection.send(event.to_plain())
        except OSError:
            self.stop.request("the end of the launcher")
