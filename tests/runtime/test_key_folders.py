"""One folder per party: nothing that is another's, nothing overwritten, one seed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dadc_net.errors import AuthenticationError, UsageError
from dadc_net.runtime.key_folders import write_folders
from dadc_net.runtime.seed_files import read_seed
from dadc_net.wire.keys import load_agent_keys, load_server_keys


def listed(root: Path) -> dict[str, set[str]]:
    return {folder.name: {file.name for file in folder.iterdir()} for folder in root.iterdir()}


def test_each_party_has_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "keys"
    made = write_folders(root, 3)
    agents = {f"agent-{k}": {f"agent-{k}.key", "server.pub", "team.seed"} for k in (1, 2, 3)}
    assert listed(root) == {"server": {"server.key", "server.pub", "authorised.toml"}, **agents}
    assert set(made) == {f"{folder}/{name}" for folder, names in listed(root).items() for name in names}
    for path in root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    server = load_server_keys(root / "server")
    for k in (1, 2, 3):
        keys = load_agent_keys(root / f"agent-{k}", k)
        assert server.authorised[keys.pair.public] == k
        assert keys.server_public == server.pair.public
    assert len({read_seed(root / f"agent-{k}" / "team.seed", "--seed-file") for k in (1, 2, 3)}) == 1


def test_again_changes_nothing_and_more_agents_get_the_same_seed(tmp_path: Path) -> None:
    write_folders(tmp_path, 2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert write_folders(tmp_path, 2) == []
    made = write_folders(tmp_path, 3)
    assert set(made) == {"server/authorised.toml", "agent-3/agent-3.key", "agent-3/server.pub", "agent-3/team.seed"}
    kept = {path: path.read_bytes() for path in before if path.name != "authorised.toml"}
    assert kept == {path: content for path, content in before.items() if path.name != "authorised.toml"}
    assert (tmp_path / "agent-3" / "team.seed").read_bytes() == (tmp_path / "agent-1" / "team.seed").read_bytes()


def test_a_given_seed_is_kept_byte_for_byte_and_never_exchanged(tmp_path: Path) -> None:
    seed = bytes(range(32))
    write_folders(tmp_path, 2, seed)
    assert (tmp_path / "agent-2" / "team.seed").read_bytes() == seed
    assert write_folders(tmp_path, 2, seed) == []
    with pytest.raises(UsageError, match="another shared seed than the given file"):
        write_folders(tmp_path, 2, bytes(32))
    (tmp_path / "agent-2" / "team.seed").write_bytes(bytes(32))
    with pytest.raises(UsageError, match="A team has one"):
        write_folders(tmp_path, 2)


def test_a_call_that_was_cut_short_is_ended_by_the_next(tmp_path: Path) -> None:
    write_folders(tmp_path, 2)
    key = tmp_path / "agent-2" / "agent-2.key"
    (tmp_path / "server" / key.name).write_bytes(key.read_bytes())
    (tmp_path / "server" / key.name).chmod(0o600)
    key.unlink()
    assert write_folders(tmp_path, 2) == ["agent-2/agent-2.key"]
    assert not (tmp_path / "server" / key.name).exists()
    load_agent_keys(tmp_path / "agent-2", 2)


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agent-1").mkdir()
    (tmp_path / "agent-1").chmod(0o777)
    with pytest.raises(AuthenticationError, match="0777"):
        write_folders(tmp_path, 1)
