"""Keys are made once, protected, and refused with a sentence that says what to do."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from dadc_net.errors import AuthenticationError, UsageError
from dadc_net.wire import key_files
from dadc_net.wire.keys import load_agent_keys, load_server_keys, write_keys


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_of_keys(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "keys"
    before = os.umask(0)
    try:
        made = write_keys(folder, 2)
    finally:
        os.umask(before)
    assert made == ["server.key", "server.pub", "agent-1.key", "agent-2.key", "authorised.toml"]
    assert sorted(contents(folder)) == sorted(made)
    assert mode_of(folder) == 0o700
    assert {mode_of(path) for path in folder.iterdir()} == {0o600}
    server, one, two = load_server_keys(folder), load_agent_keys(folder, 1), load_agent_keys(folder, 2)
    assert server.authorised == {one.pair.public: 1, two.pair.public: 2}
    assert one.server_public == two.server_public == server.pair.public
    assert len({server.pair.secret, one.pair.secret, two.pair.secret}) == 3


def test_printing_keys_does_not_show_the_secret(folder: Path) -> None:
    keys = load_agent_keys(folder, 1)
    assert keys.pair.secret.decode() not in repr(keys)
    assert keys.pair.secret.decode() not in repr(load_server_keys(folder))


def test_keys_are_never_overwritten(folder: Path) -> None:
    before = contents(folder)
    assert write_keys(folder, 2) == []
    assert write_keys(folder, 1) == []
    assert contents(folder) == before


def test_more_agents_keep_the_keys_there_are(folder: Path) -> None:
    before = contents(folder)
    assert write_keys(folder, 4) == ["agent-3.key", "agent-4.key", "authorised.toml"]
    after = contents(folder)
    assert {name: after[name] for name in before if name.endswith((".key", ".pub"))} == {
        name: text for name, text in before.items() if name != "authorised.toml"
    }
    assert sorted(load_server_keys(folder).authorised.values()) == [1, 2, 3, 4]


def test_a_key_that_moved_to_its_own_host_is_not_replaced(folder: Path) -> None:
    public = load_agent_keys(folder, 1).pair.public
    (folder / "agent-1.key").unlink()
    assert write_keys(folder, 3) == ["agent-3.key", "authorised.toml"]
    assert load_server_keys(folder).authorised[public] == 1
    assert not (folder / "agent-1.key").exists()


def test_a_key_is_replaced_by_deleting_its_file_and_its_line(folder: Path) -> None:
    old = load_agent_keys(folder, 1).pair.public
    (folder / "agent-1.key").unlink()
    listing = folder / "authorised.toml"
    listing.write_text("".join(line for line in listing.read_text().splitlines(True) if not line.endswith("= 1\n")))
    assert write_keys(folder, 2) == ["agent-1.key", "authorised.toml"]
    authorised = load_server_keys(folder).authorised
    assert old not in authorised
    assert sorted(authorised.values()) == [1, 2]


def test_an_interrupted_making_is_completed_by_the_next(folder: Path) -> None:
    (folder / "authorised.toml").unlink()
    (folder / "server.pub").unlink()
    assert write_keys(folder, 2) == ["server.pub", "authorised.toml"]
    assert load_agent_keys(folder, 2).server_public == load_server_keys(folder).pair.public
    assert sorted(load_server_keys(folder).authorised.values()) == [1, 2]


def test_an_agents_folder_needs_two_files(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("agent-2.key", "server.pub"):
        shutil.copy2(folder / name, mine / name)
    assert load_agent_keys(mine, 2).pair == load_agent_keys(folder, 2).pair
    with pytest.raises(AuthenticationError, match="folder of an agent"):
        write_keys(mine, 2)


def test_a_writer_that_loses_the_race_does_not_overwrite(folder: Path) -> None:
    path = folder / "agent-1.key"
    before = path.read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        key_files.write_new(path, "x")
    assert path.read_bytes() == before
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620])
def test_a_secret_that_others_can_use_is_refused(folder: Path, mode: int) -> None:
    for name in ("agent-1.key", "server.key"):
        path = folder / name
        path.chmod(mode)
        with pytest.raises(AuthenticationError, match=rf"{path} has mode {mode:04o}.*chmod 600 {path}") as caught:
            load_agent_keys(folder, 1) if name == "agent-1.key" else load_server_keys(folder)
        assert caught.value.exit_code == 12
        path.chmod(0o400)
    load_agent_keys(folder, 1)
    load_server_keys(folder)


def test_group_access_is_tolerated_for_a_mounted_secret_of_another_user(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "agent-1.key").chmod(0o440)
    monkeypatch.setattr(os, "geteuid", lambda: (folder / "agent-1.key").stat().st_uid + 1)
    load_agent_keys(folder, 1)
    (folder / "agent-1.key").chmod(0o444)
    with pytest.raises(AuthenticationError, match="0444"):
        load_agent_keys(folder, 1)


def test_public_files_may_be_read_but_not_written_by_others(folder: Path) -> None:
    for name in ("server.pub", "authorised.toml"):
        (folder / name).chmod(0o644)
    load_agent_keys(folder, 1)
    load_server_keys(folder)
    (folder / "server.pub").chmod(0o664)
    with pytest.raises(AuthenticationError, match=r"chmod go-w .*server\.pub"):
        load_agent_keys(folder, 1)
    (folder / "authorised.toml").chmod(0o666)
    with pytest.raises(AuthenticationError, match=r"chmod go-w .*authorised\.toml"):
        load_server_keys(folder)


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(AuthenticationError, match="chmod go-w"):
        write_keys(tmp_path, 2)


def test_missing_keys(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no key for agent 3, only for agent 1, agent 2") as caught:
        load_agent_keys(folder, 3)
    assert caught.value.exit_code == 2
    (tmp_path / "file").touch()
    for load in (lambda: load_agent_keys(tmp_path / "file", 1), lambda: load_server_keys(tmp_path / "file")):
        with pytest.raises(AuthenticationError, match="cannot be read"):
            load()
    with pytest.raises(AuthenticationError, match=r"server\.key is missing.*Make keys with 'dadc keys \S+ -K N'"):
        load_server_keys(tmp_path / "nowhere")


def test_an_agent_without_a_key_is_not_told_to_make_one(folder: Path, tmp_path: Path) -> None:
    """Keys that it made itself would belong to a team of its own."""
    with pytest.raises(AuthenticationError, match=r"agent-1\.key is missing.*another team's: copy .* start dadc-env"):
        load_agent_keys(tmp_path / "nowhere", 1)
    (folder / "server.pub").unlink()
    with pytest.raises(AuthenticationError, match=r"server\.pub is missing.*another team's: copy it from"):
        load_agent_keys(folder, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "public_key"),
        ("not toml at all", "cannot be used"),
        ('public_key = "short"\nsecret_key = "short"\n', "public_key"),
        (f'public_key = "{"~" * 40}"\n', "public_key"),
        (f'public_key = "{"%" * 40}"\n', "public_key"),
        ("public_key = 5\n", "public_key"),
        ("\xff\xfe", "cannot be used"),
    ],
)
def test_a_malformed_key_file_is_named(folder: Path, text: str, problem: str) -> None:
    path = folder / "agent-1.key"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(AuthenticationError, match=problem) as caught:
        load_agent_keys(folder, 1)
    assert str(path) in str(caught.value)


def test_halves_must_belong_together_and_to_the_agent(folder: Path) -> None:
    one, two = (folder / "agent-1.key").read_text(), (folder / "agent-2.key").read_text()
    (folder / "agent-1.key").write_text(two)
    with pytest.raises(AuthenticationError, match="belongs to agent 2"):
        load_agent_keys(folder, 1)
    mixed = [*one.splitlines()[:-1], two.splitlines()[-1]]
    (folder / "agent-1.key").write_text("\n".join(mixed))
    with pytest.raises(AuthenticationError, match="does not belong to its public key"):
        load_agent_keys(folder, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no table"),
        ("[agents]\n", "lists no key"),
        ('[agents]\n"short" = 1\n', "40 characters"),
        (f'[agents]\n"{"0" * 40}" = 0\n', "numbered from 1"),
        (f'[agents]\n"{"0" * 40}" = "1"\n', "numbered from 1"),
        (f'[agents]\n"{"0" * 40}" = true\n', "numbered from 1"),
    ],
)
def test_a_malformed_list_is_named(folder: Path, text: str, problem: str) -> None:
    (folder / "authorised.toml").write_text(text)
    with pytest.raises(AuthenticationError, match=problem):
        load_server_keys(folder)


def test_a_number_of_agents_and_a_folder_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keys for 0 agents"):
        write_keys(tmp_path / "keys", 0)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write_keys(tmp_path / "file" / "keys", 2)
