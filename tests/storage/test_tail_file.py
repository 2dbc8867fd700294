"""The tail as a file: a torn entry never was, a rotten one in the middle is named, and a full disk leaves no half of one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dadc_net.storage import tail_file
from dadc_net.storage.tail_file import TailDamage, TailFile, key_of, read_tail, tail_path

KEY = key_of("run")
BODIES = [b"first", b"", b"dadT in a body", b"\xff" * 40, b"last but one", b"the last entry"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed tail with ``BODIES``."""
    found = tail_path(tmp_path / "d.sqlite")
    written(found).close(remove=False)
    return found


def written(path: Path, synced: bool = False) -> TailFile:
    """An open tail with ``BODIES``."""
    tail = TailFile(path, synced)
    tail.key = KEY
    tail.open()
    tail.cut()
    for body in BODIES:
        tail.append(body)
    return tail


def ends(path: Path) -> list[int]:
    """Where each entry ends."""
    size = len(path.read_bytes()) - sum(map(len, BODIES))
    header = size // len(BODIES)
    return [sum(header + len(body) for body in BODIES[: count + 1]) for count in range(len(BODIES))]


def silent_flips(path: Path) -> int:
    """Flips every bit in turn; counts those that neither drop the last entry nor are named."""
    raw, limits = path.read_bytes(), ends(path)
    silent = 0
    for at in range(len(raw)):
        hit = next(index for index, end in enumerate(limits) if at < end)
        for bit in range(8):
            path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :])
            found = read_tail(path, KEY)
            others = BODIES[:hit] + BODIES[hit + 1 :]
            last = hit == len(BODIES) - 1
            damage = None if last else TailDamage(limits[hit - 1] if hit else 0, hit)
            silent += (found.bodies, found.damage) != (others, damage)
    path.write_bytes(raw)
    return silent


@pytest.mark.parametrize("synced", [False, True])
def test_what_is_appended_comes_back(synced: bool, tmp_path: Path) -> None:
    path = tmp_path / "tail"
    tail = written(path, synced)
    assert read_tail(path, KEY) == (BODIES, None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert tail.size == path.stat().st_size
    tail.cut()
    assert (read_tail(path, KEY), tail.size, path.stat().st_size) == (([], None), 0, 0)
    tail.append(b"again")
    assert read_tail(path, KEY).bodies == [b"again"]
    tail.close(remove=True)
    tail.close(remove=True)
    assert not path.exists()
    assert read_tail(path, KEY) == ([], None)


def test_the_tail_of_another_run_is_not_ours(path: Path) -> None:
    assert read_tail(path, key_of("another run")) == ([], None)


def test_torn_at_any_byte_it_ends_with_the_last_whole_entry(path: Path) -> None:
    raw, limits = path.read_bytes(), ends(path)
    for length in range(len(raw) + 1):
        for rest in (b"", bytes(30), b"dadT" + bytes(9)):  # A torn end can hold anything, zeros above all.
            path.write_bytes(raw[:length] + rest)
            whole = sum(end <= length for end in limits)
            assert read_tail(path, KEY) == (BODIES[:whole], None), (length, rest)


def test_no_flipped_bit_is_silent(path: Path) -> None:
    assert silent_flips(path) == 0


def test_without_the_check_most_of_them_would_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_file, "_check", lambda *_: int.from_bytes(b"same", "big"))
    written(path).close(remove=False)
    assert silent_flips(path) > 8 * sum(map(len, BODIES)) / 2


@pytest.mark.parametrize("done", range(0, 26, 5))
@pytest.mark.parametrize("kept", [True, False])
def test_a_full_disk_leaves_no_half(done: int, kept: bool, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tail = written(path)
    real, cut = os.pwrite, os.ftruncate
    left = done

    def full(descriptor: int, raw: bytes, offset: int) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = real(descriptor, raw[:left], offset)
        left -= count
        return count

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", full)
    if kept:  # What was written of the entry stays in the file.
        monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(OSError, match="No space"):
        tail.append(b"an entry for which there is no room")
    assert path.stat().st_size == tail.size + (done if kept else 0)
    assert read_tail(path, KEY) == (BODIES, None)
    monkeypatch.setattr(os, "pwrite", real)
    monkeypatch.setattr(os, "ftruncate", cut)
    tail.append(b"short")
    assert read_tail(path, KEY) == ([*BODIES, b"short"], None)
    tail.close(remove=False)


def test_a_sync_that_fails_takes_the_entry_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    tail = TailFile(tmp_path / "tail", synced=True)
    tail.open()
    with pytest.raises(OSError, match="Input/output"):
        tail.append(b"not on the disk")
    assert read_tail(tmp_path / "tail", KEY) == ([], None)
    tail.close(remove=False)
