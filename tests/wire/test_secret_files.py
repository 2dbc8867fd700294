"""Secrets that others can read or write are refused as ssh does, whatever kind of file or folder holds them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dadc_net import secret_files
from dadc_net.errors import AuthenticationError, DadcError, UsageError
from dadc_net.exact.streams import seed_bytes
from dadc_net.runtime.seed_files import ENVIRONMENT_SEED, SEED_BYTES_MIN, draw_seed, drawn_seed, read_seed
from dadc_net.storage.folder import locked, open_state_folder
from dadc_net.wire.keys import load_agent_keys, load_server_keys

STRANGER = 54_321
Use = Callable[[Path], object]


def seed_file(folder: Path, content: bytes = b"s" * SEED_BYTES_MIN) -> Path:
    path = folder / "team.seed"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def refusal(use: Callable[[], object]) -> str:
    with pytest.raises(AuthenticationError) as caught:
        use()
    assert caught.value.exit_code == 12
    return str(caught.value)


PARTS: dict[str, tuple[str, Use, tuple[int, ...], tuple[int, ...]]] = {
    "seed file": ("team.seed", lambda k: read_seed(k / "team.seed", "-"), (0o400, 0o600), (0o640, 0o604, 0o620, 0o602)),
    "server key": ("server.key", load_server_keys, (0o400, 0o600), (0o640, 0o604, 0o620, 0o602)),
    "agent key": ("agent-1.key", lambda k: load_agent_keys(k, 1), (0o400, 0o600), (0o640, 0o604)),
    "key list": ("authorised.toml", load_server_keys, (0o600, 0o644), (0o620, 0o602, 0o666)),
    "public key": ("server.pub", lambda k: load_agent_keys(k, 1), (0o600, 0o644), (0o620, 0o602)),
    "key folder, server": (".", load_server_keys, (0o700, 0o755), (0o770, 0o777, 0o702)),
    "key folder, agent": (".", lambda k: load_agent_keys(k, 1), (0o700, 0o755), (0o770, 0o777)),
    "state folder": (".", open_state_folder, (0o700,), (0o750, 0o755, 0o701, 0o777)),
}
"""what -> its name in the folder of keys, who uses it, modes that are right, modes that are not"""


@pytest.mark.parametrize("what", PARTS)
def test_only_what_belongs_to_its_owner_alone_is_used(what: str, folder: Path) -> None:
    name, use, right, wrong = PARTS[what]
    seed_file(folder)
    for mode in right:
        (folder / name).chmod(mode)
        use(folder)
    for mode in wrong:
        (folder / name).chmod(mode)
        text = refusal(lambda: use(folder))
        assert f"{mode:04o}" in text
        assert str(folder / name) in text
        assert "Run: chmod" in text


@pytest.mark.parametrize("what", PARTS)
def test_what_belongs_to_another_user_is_refused(what: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, use, right, _ = PARTS[what]
    seed_file(folder)
    (folder / name).chmod(right[0])
    owner, reader = STRANGER, os.geteuid()
    if reader == 0:
        os.chown(folder / name, STRANGER, STRANGER)
    else:  # Only root can give a file away; others can be somebody else to the code.
        owner, reader = reader, STRANGER
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    text = refusal(lambda: use(folder))
    assert f"belongs to user {owner}" in text
    assert f"Run: chown {reader}" in text


@pytest.mark.parametrize("what", PARTS)
def test_the_remedy_that_is_printed_works(what: str, folder: Path) -> None:
    name, use, _, wrong = PARTS[what]
    seed_file(folder)
    (folder / name).chmod(wrong[-1])
    command = refusal(lambda: use(folder)).partition("Run: ")[2]
    assert os.system(command) == 0
    use(folder)


def test_a_mounted_secret_may_be_read_by_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owned by root, read through the group: how orchestrators mount them."""
    path = seed_file(tmp_path)
    path.chmod(0o440)
    status = os.stat_result([stat.S_IFREG | 0o440, *path.stat()[1:4], 0, *path.stat()[5:]])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    secret_files.check_file(path, status, secret=True)
    for mode in (0o444, 0o460):
        open_one = os.stat_result([stat.S_IFREG | mode, *path.stat()[1:4], 0, *path.stat()[5:]])
        refusal(lambda one=open_one: secret_files.check_file(path, one, secret=True))  # type: ignore[misc]


def test_a_file_system_without_modes_is_named_and_can_be_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a shared folder of another system: every file is 0777, chmod or not."""
    real = os.fstat

    def everything_is_open(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        return os.stat_result([found.st_mode | 0o777, *found[1:]])

    monkeypatch.setattr(os, "fstat", everything_is_open)
    monkeypatch.setattr(secret_files, "_type_of", lambda _: "vfat")
    path = seed_file(folder)
    for use in (lambda: load_server_keys(folder), lambda: read_seed(path, "--seed-file")):
        text = refusal(use)
        assert "a file system of type vfat, which keeps no modes" in text
        assert "DADC_FILE_MODES=ignore" in text
        assert "chmod" not in text
    monkeypatch.setenv("DADC_FILE_MODES", "ignore")
    assert load_server_keys(folder).authorised
    assert read_seed(path, "--seed-file")
    monkeypatch.setenv("DADC_FILE_MODES", "perhaps")
    with pytest.raises(UsageError, match="must be check or ignore"):
        load_server_keys(folder)
    assert not list(folder.glob(".dadc-*"))


def test_the_type_of_a_file_system_is_read_from_the_kernel(tmp_path: Path) -> None:
    assert secret_files._type_of(Path("/proc")) == "proc"
    assert secret_files.modeless_file_system(tmp_path) == ""


def test_folders_are_closed_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_state_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / part).stat().st_mode) for part in ("a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o755, 0o700]


def test_a_planted_link_is_not_followed_by_the_lock(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    state = open_state_folder(tmp_path / "state")
    (state / "lock").symlink_to(precious)
    with pytest.raises((DadcError, OSError)), locked(state, "agent 1"):
        pass
    assert precious.read_text() == "kept"


@pytest.mark.parametrize("content", [b"", b"7", b"s" * (SEED_BYTES_MIN - 1)])
def test_a_short_seed_file_is_refused_and_the_remedy_makes_one(content: bytes, tmp_path: Path) -> None:
    path = seed_file(tmp_path, content)
    with pytest.raises(UsageError, match=f"holds {len(content)} bytes") as caught:
        read_seed(path, "--seed-file")
    remedy = str(caught.value).partition("or with: ")[2]
    assert os.system(f"cd {tmp_path} && {remedy}") == 0
    assert len(read_seed(path, "--seed-file")) > 32


def test_a_seed_files_bytes_are_the_seed(tmp_path: Path) -> None:
    assert read_seed(seed_file(tmp_path, b"0123456789abcdef"), "--seed-file") == seed_bytes(b"0123456789abcdef")
    assert read_seed(seed_file(tmp_path, b"0123456789abcdef\n"), "--seed-file") == seed_bytes(b"0123456789abcdef\n")
    with pytest.raises(UsageError, match="cannot be read"):
        read_seed(tmp_path / "missing", "--seed-file")


def test_a_seed_is_drawn_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first = drawn_seed(tmp_path, begun=False)
    finally:
        os.umask(before)
    path = tmp_path / ENVIRONMENT_SEED
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(bytes.fromhex(path.read_text())) == 32
    assert drawn_seed(tmp_path, begun=True) == first
    assert not draw_seed(path)
    path.unlink()
    with pytest.raises(UsageError, match="--env-seed or --env-seed-file that it was begun with"):
        drawn_seed(tmp_path, begun=True)
    assert drawn_seed(tmp_path, begun=False) != first
