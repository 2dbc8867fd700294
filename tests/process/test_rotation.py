"""A key is taken out of the list and another put in while real processes run."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.process.commands import run, wait_for
from tests.process.process_team import SERVER, ProcessTeam
from tests.wire.test_key_list import exchange, revoke

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]
OPTIONS = ["--updates", "300", "--num-envs", "4", "--set", "learner.batch_steps=40"]


def updated(team: ProcessTeam) -> bool:
    metrics = team.state(SERVER) / "metrics.jsonl"
    return metrics.exists() and metrics.stat().st_size > 0


@pytest.fixture
def team(tmp_path: Path) -> ProcessTeam:
    return ProcessTeam(tmp_path, OPTIONS)


def end(team: ProcessTeam) -> None:
    for party in list(team.running):
        team.kill(party)


@pytest.mark.parametrize("hangup", [False, True])
def test_a_revoked_agent_ends_with_12_and_a_new_key_takes_its_place(hangup: bool, team: ProcessTeam) -> None:
    folder = team.folder / "keys"
    try:
        team.start()
        server = team.running[SERVER]
        wait_for(lambda: updated(team), "the first update")
        revoke(folder, 2)
        if hangup:
            server.send_signal(signal.SIGHUP)
        wait_for(lambda: "agent-2" in team.reap("agent-2"), "the end of agent 2")
        assert team.codes["agent-2"] == [12], team.errors()
        assert "not in the server's list any more" in (team.folder / "agent-2.err").read_text()
        again = run(team.folder, *("dadc-agent", *team.line("agent-2")[3:]))
        assert again.code == 12, again.err
        assert "refused the key" in again.err
        exchange(folder, 2)
        wait_for(lambda: "admitted keys of agents [2]" in (team.state(SERVER) / "log.txt").read_text(), "the new list")
        team.start("agent-2")
        codes = team.wait_codes(120)
        assert set(codes.values()) == {0}, team.errors()
        assert team.codes[SERVER] == [0], "the server was never started again"
        simulated = run(team.folder, "dadc", "simulate", "mabc", "--seed", "7", *OPTIONS, "--json")
        assert {(team.folder / f"{party}.out").read_text().split()[-1] for party in team.parties} == {
            simulated.last["learner_digest"]
        }
    finally:
        end(team)


def test_an_agent_whose_key_was_revoked_while_the_server_was_down_ends_with_12(team: ProcessTeam) -> None:
    """It finds nobody, then refusals and nothing else: no reason to go on trying for five minutes."""
    try:
        team.start()
        wait_for(lambda: updated(team), "the first update")
        team.kill(SERVER)
        revoke(team.folder / "keys", 2)
        team.start(SERVER)
        wait_for(lambda: "agent-2" in team.reap("agent-2"), "the end of agent 2", 90)
        assert team.codes["agent-2"] == [12], team.errors()
        team.reap()
        assert "agent-1" in team.running
    finally:
        end(team)
