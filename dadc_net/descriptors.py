"""How many descriptors this process may have, and that strangers' connections never leave none for its files.

The transport takes a descriptor for whoever connects. A run that has been learned must still be able to write down its end,
so a server sets itself a lower limit than it may have: connections end there, and the rest belongs to whoever says
``for_files``. It stands beside the rooms, for those that open files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dadc_net.errors import UsageError

SPARE_DESCRIPTORS = 512
"""Of the process that connections may not have: half of them are for files alone, half for what comes between two looks."""
_FOR_FILES = 256
_NONE_LEFT = -2
_PATIENCE_SECONDS, _PAUSE_SECONDS = 20.0, 0.02
_ENOUGH_DESCRIPTORS = 65_536
"""A larger limit only makes it slower to look through them."""


class _Kept:
    """What lies between the limit that this process set itself and the one that it may set; for all its threads."""

    def __init__(self) -> None:
        self.limits: tuple[int, int] | None = None
        """(for all, with what is kept for files); None: nothing is kept."""
        self._lock = threading.Lock()
        self._users = 0
        self._any = -1

    def keep(self, limits: tuple[int, int]) -> None:
        """``limits`` hold from now on, and have been set."""
        if self.limits is None:
            self._any = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
        self.limits = limits

    def plenty(self) -> bool:
        """Whether connections have not taken half of what they may: what is opened now needs nothing that is kept.

        Numbers are given from the lowest on. A low one may have been cut a moment ago; that one in the middle and the last
        are free says more.
        """
        return self.limits is None or all(self._is_free(number) for number in (self.limits[0] // 2, self.limits[0] - 1))

    def _is_free(self, number: int) -> bool:
        try:
            given = fcntl.fcntl(self._any, fcntl.F_DUPFD_CLOEXEC, number)
        except OSError:
            return False
        os.close(given)
        return given == number

    def change(self, users: int) -> None:
        """One user more, or one less; the first one raises the limit, and the last one lowers it."""
        if self.limits is None:
            return
        with self._lock:
            before, self._users = self._users, self._users + users
            if (before == 0) != (self._users == 0):
                with suppress(OSError, ValueError):
                    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                    resource.setrlimit(resource.RLIMIT_NOFILE, (self.limits[bool(self._users)], hard))

    def has_room(self) -> bool:
        """Whether most of what is kept for files is free; new descriptors are the lowest free numbers."""
        if self.limits is None:
            return True
        lowest = self._lowest()
        return lowest != _NONE_LEFT and lowest < self.limits[0] + _FOR_FILES // 4

    def _lowest(self) -> int:
        """The number that the next descriptor would have; -1 where there is none for another reason than their number."""
        try:
            lowest = os.dup(self._any)
        except OSError as error:
            return _NONE_LEFT if error.errno == errno.EMFILE else -1
        os.close(lowest)
        return lowest


_kept = _Kept()


def require_descriptors(num_agents: int) -> int:
    """Take as many descriptors as this process may have, and return how many connections may be open at once.

    Raises:
        UsageError: if not even ``num_agents`` connections may.
    """
    need = num_agents + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_DESCRIPTORS)
    if most >= need:
        with suppress(OSError, ValueError):  # What there is may be enough.
            resource.setrlimit(resource.RLIMIT_NOFILE, (most - _FOR_FILES, hard))
            _kept.keep((most - _FOR_FILES, most))
            return most - SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < need:
        raise UsageError(
            f"this process may open {soft} descriptors, {num_agents} agents need {need}. The server did not start. "
            f"Run: ulimit -n {need}"
        )
    return (_ENOUGH_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft) - SPARE_DESCRIPTORS


class for_files:
    """In here files may be opened also when connections have taken all that they may. Any thread, also nested.

    Short: meanwhile connections may have more, too. Where they have taken too much of what is kept for files, it is waited
    until some of them have been cut; after ``_PATIENCE_SECONDS`` the caller meets what there is. Where they have hardly
    taken any, there is nothing to do.
    """

    def __enter__(self) -> None:
        self._raised = not _kept.plenty()
        if not self._raised:
            return
        _kept.change(1)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _kept.has_room() and time.monotonic() < deadline:
            _kept.change(-1)
            time.sleep(_PAUSE_SECONDS)
            _kept.change(1)

    def __exit__(self, *_: object) -> None:
        if self._raised:
            _kept.change(-1)


def opened(path: Path, flags: int, mode: int = 0o600) -> int:
    """As ``os.open``, also when connections have taken all that they may."""
    with for_files():
        return os.open(path, flags, mode)


def open_descriptors() -> Sequence[int]:
    """What this process has open; nothing where the system does not tell, and all that may be where none is left to ask."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError as error:
        return range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]) if error.errno == errno.EMFILE else ()
