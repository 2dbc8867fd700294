"""Agents that are started in the same moment as their server, before it has made keys."""

from __future__ import annotations

from pathlib import Path

from tests.process.commands import SMALL, finish, free_port, run, start

PATIENCE = ["--connect-timeout", "1"]


def test_agents_wait_for_the_keys_that_a_server_on_their_host_makes(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    agents = [start(tmp_path, "dadc-agent", "--id", str(agent), "--server", address) for agent in (1, 2)]
    for agent in agents:
        assert agent.stderr is not None
        assert agent.stderr.readline() == "no keys in dadc-keys yet; waiting for the server to make them\n"
    assert not (tmp_path / "dadc-keys").exists()
    server = start(tmp_path, "dadc-env", "--task", "mabc", *SMALL, "--bind", address)
    ended = [finish(process) for process in (server, *agents)]
    assert [party.code for party in ended] == [0, 0, 0], [party.err for party in ended]
    assert len({party.out for party in ended}) == 1


def test_keys_that_never_come_are_missing_after_a_while(tmp_path: Path) -> None:
    ended = run(tmp_path, "dadc-agent", "--id", "1", "--server", "tcp://127.0.0.1:1", "--keys", "nowhere", *PATIENCE)
    assert ended.code == 12
    assert "waiting for the server" in ended.err
    assert "the key file nowhere/agent-1.key is missing" in ended.err


def test_keys_of_a_server_elsewhere_are_not_waited_for(tmp_path: Path) -> None:
    """They come by hand; the same for a folder that is there and lacks some."""
    (tmp_path / "some").mkdir(mode=0o700)
    for server, keys in (("tcp://203.0.113.1:1", "nowhere"), ("tcp://127.0.0.1:1", "some")):
        ended = run(tmp_path, "dadc-agent", "--id", "1", "--server", server, "--keys", keys)
        assert (ended.code, "is missing" in ended.err) == (12, True), ended.err
        assert "waiting" not in ended.err
