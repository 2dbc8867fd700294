"""What every process of a run has in common: its folder, its control pipe and how it is asked to stop.

A process stops for one of three reasons: its role is done, an error, or a request. A request is SIGINT or SIGTERM (when
it was started by hand) or the closing of its control pipe (when a launcher started it: the pipe also closes when the
launcher is killed, so no child outlives it).
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from dadc_net.errors import Interrupted, UsageError
from dadc_net.wire.secret_files import check_folder, make_folder

if TYPE_CHECKING:
    from dadc_net.exact.selftest import SelftestResult

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's mallopt(3)."""
_KEPT_BYTES = 64 * 2**20


class StopRequest:
    """Whether this process was asked to stop; also wakes it from waiting."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self.reason = ""

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

        signal.signal(signal.SIGINT, handle)
        signal.signal(signal.SIGTERM, handle)

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

    def report(self, kind: str, **details: Any) -> None:
        """Tell the launcher something; a launcher that has gone does not matter here."""
        if self.connection is None:
            return
        try:
            self.connection.send((kind, details))
        except OSError:
            self.stop.request("the end of the launcher")


def open_folder(path: Path) -> Path:
    """Make ``path`` with mode 0700 where it is missing.

    Raises:
        UsageError: if it cannot be made or written.
    """
    try:
        make_folder(path)
    except OSError as error:
        raise UsageError(
            f"the folder {path} cannot be made: {error.strerror}. A process needs one for its journal and state. "
            "Give another with --state-dir or --out."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {path} cannot be written. A process needs it. Give another, or change its mode.")
    return path


def open_state_folder(path: Path) -> Path:
    """The same for what only one party may see: its journal, its log, its seed.

    Raises:
        UsageError: if it cannot be made or written.
        AuthenticationError: if it is another user's, or others can read or write what is in it.
    """
    check_folder(open_folder(path), secret=True)
    return path


def log_to_file(folder: Path) -> None:
    """Send this process's log to ``log.txt`` in its folder."""
    handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("dadc_net")
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False


def kernels_allowed() -> bool:
    """Whether this process may use compiled kernels where numba is installed: the environment variable DADC_FAST.

    Raises:
        UsageError: if it is neither 0 nor 1.
    """
    switch = os.environ.get("DADC_FAST", "1")
    if switch not in {"0", "1"}:
        raise UsageError(
            f"DADC_FAST is {switch!r}, but must be 0 (NumPy alone) or 1 (compiled kernels where numba is installed). The "
            "bits are the same. Correct or unset it."
        )
    return switch == "1"


def selftest() -> SelftestResult:
    """Run the self-test: primitives, streams, kernels, and a few updates of every algorithm.

    It needs torch, which the commands that only look do not wait for.
    """
    from dadc_net.coordinator.known_answers import LEARNERS
    from dadc_net.exact.selftest import run_selftest

    return run_selftest(kernels_allowed(), LEARNERS)


def checked_selftest() -> SelftestResult:
    """Run the self-test and return it.

    Raises:
        SelftestError: if this host's arithmetic does not give the specified bits.
    """
    return selftest().require_ok()


def host_facts(selftest: SelftestResult) -> Mapping[str, str]:
    """Who and where this process is, for reports."""
    return {"hostname": platform.node(), "pid": str(os.getpid()), **selftest.fingerprint}


def pin_threads() -> None:
    """One thread for torch: more only slow small tensors down, and bits do not depend on it."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory instead of giving it back to the kernel, where it is glibc.

    A learner needs the same large blocks at every update; fetching them from the kernel page by page costs a third of an
    update of 4,800 rows. Other C libraries have no such switch and are left alone.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            library.mallopt(option, _KEPT_BYTES)
