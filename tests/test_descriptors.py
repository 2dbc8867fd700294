"""Files can be opened when connections have taken all the descriptors that they may."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dadc_net import descriptors


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Descriptors that leave none below the limit that this process set itself; 256 are kept for files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(descriptors, "_kept", descriptors._Kept())
    limit = max(map(int, os.listdir("/proc/self/fd"))) + 40
    held: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
        descriptors._kept.keep((limit, limit + 256))
        with suppress(OSError):
            while True:
                held.append(os.open("/", os.O_RDONLY))
        yield held
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in held:
            os.close(descriptor)


def test_what_is_kept_is_for_files_alone(taken: list[int], tmp_path: Path) -> None:
    with descriptors.for_files(), descriptors.for_files():
        (tmp_path / "one").write_text("written")
    assert (tmp_path / "one").exists()
    os.close(descriptors.opened(tmp_path / "one", os.O_RDONLY))
    with pytest.raises(OSError, match="Too many open files"):
        os.open(tmp_path / "one", os.O_RDONLY)
    assert len(descriptors.open_descriptors()) >= len(taken), "it says all that may be where none is left to ask with"


def test_where_connections_have_that_as_well_it_is_waited_until_they_are_cut(taken: list[int], tmp_path: Path) -> None:
    with descriptors.for_files():
        more = [os.open("/", os.O_RDONLY) for _ in range(100)]
    cut = threading.Timer(0.3, lambda: [os.close(descriptor) for descriptor in more])
    assert not descriptors._kept.has_room()
    cut.start()
    os.close(descriptors.opened(tmp_path / "one", os.O_CREAT | os.O_WRONLY))
    assert cut.finished.is_set(), "it waited"
    cut.join()


def test_a_low_number_that_was_cut_a_moment_ago_is_not_plenty(taken: list[int], tmp_path: Path) -> None:
    os.close(taken.pop(len(taken) // 4))
    with descriptors.for_files():
        files = [os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY) for name in ("one", "two")]
    for descriptor in files:
        os.close(descriptor)


def test_the_limit_stays_where_connections_have_taken_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_kept", descriptors._Kept())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/", os.O_RDONLY)
    try:
        descriptors._kept.keep((2 * lowest + 100, 2 * lowest + 101))  # Not set: it is seen whether it is.
        with descriptors.for_files():
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
        descriptors._kept.keep((2 * lowest, 2 * lowest + 100))
        with descriptors.for_files():
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2 * lowest + 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2 * lowest
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        os.close(lowest)


def test_an_agent_keeps_nothing_and_waits_for_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(descriptors, "_kept", descriptors._Kept())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with descriptors.for_files():
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
