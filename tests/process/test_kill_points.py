"""kill -9 at every phase of the protocol, at an exact call, in the production commands: faults 1 and 2 of the table."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process.commands import SMALL, wait_for
from tests.process.conftest import LONGER, MakeTeam, assert_undisturbed
from tests.process.kill_point import VARIABLE, arm
from tests.process.process_team import SERVER, ProcessTeam

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]
AGENT = "agent-2"

_COMMIT = "dadc_net.storage.server_journal:ServerJournalFile.commit"
_GROUP = "dadc_net.storage.journal_file:JournalFile.transact"
_CUT = "dadc_net.storage.tail_file:TailFile.cut"
_SERVER_SEND = "dadc_net.wire.server_socket:ServerSocket._send"
_AGENT_SEND = "dadc_net.wire.agent_socket:AgentSocket.send"
_RECEIVE = "dadc_net.node.agent.agent_node:AgentNode.receive"
_REPLACE = "dadc_net.atomic_file:os.replace"
_FSYNC = "dadc_net.atomic_file:os.fsync"
_WRITE = "dadc_net.storage.agent_journal:AgentJournalFile.write"
_ADVANCE = "dadc_net.node.server.world:World.advance"

POINTS = {
    "agent before it asks to join": (AGENT, f"{_AGENT_SEND}:before:1"),
    "agent after it asked to join": (AGENT, f"{_AGENT_SEND}:after:1"),
    "agent with a record received and nothing done": (AGENT, f"{_RECEIVE}:before:17"),
    "agent with the answer computed and not sent": (AGENT, f"{_RECEIVE}:after:17"),
    "agent with the answer sent": (AGENT, f"{_AGENT_SEND}:after:15"),
    "agent before it writes a group of rows": (AGENT, f"{_WRITE}:before:1"),
    "agent after it wrote a group of rows": (AGENT, f"{_WRITE}:after:1"),
    "agent while it writes a file, before the sync": (AGENT, f"{_FSYNC}:before:1"),
    "agent before a file takes its place": (AGENT, f"{_REPLACE}:before:1"),
    "agent after a file took its place": (AGENT, f"{_REPLACE}:after:1"),
    "agent at the last record": (AGENT, f"{_RECEIVE}:after:32"),
    "server before it writes down the first record": (SERVER, f"{_COMMIT}:before:1"),
    "server before it writes down a record": (SERVER, f"{_COMMIT}:before:18"),
    "server between journal and publication": (SERVER, f"{_COMMIT}:after:18"),
    "server in the middle of a publication": (SERVER, f"{_SERVER_SEND}:after:31"),
    "server after a publication": (SERVER, f"{_SERVER_SEND}:after:32"),
    "server with all actions, before the environment moves": (SERVER, f"{_ADVANCE}:before:12"),
    "server with the environment moved, before it is written down": (SERVER, f"{_ADVANCE}:after:12"),
    "server at the last answers": (SERVER, f"{_COMMIT}:before:32"),
    "server with the last answers written down": (SERVER, f"{_COMMIT}:after:32"),
    "server before it puts the last group into the database": (SERVER, f"{_GROUP}:before:2"),
    "server between the last group and the cutting of the tail": (SERVER, f"{_CUT}:before:1"),
    "server with the last group written and the tail cut": (SERVER, f"{_CUT}:after:1"),
    "server before it puts a group into the database": (SERVER, f"{_GROUP}:before:6"),
    "server between a group and the cutting of the tail": (SERVER, f"{_CUT}:before:5"),
    "server with a group written and the tail cut": (SERVER, f"{_CUT}:after:5"),
}
IN_A_LONGER_RUN = {name for name in POINTS if " a group " in name and name.startswith("server")}
"""Points that thirty-one records do not come to."""
IN_CI = {
    "agent with the answer computed and not sent",
    "server in the middle of a publication",
    "server between the last group and the cutting of the tail",
}


def with_kill_point(party: str, point: str, team: ProcessTeam) -> None:
    """Start all parties; one of them dies at ``point``."""
    script = "dadc-env" if party == SERVER else "dadc-agent"
    prefix = [sys.executable, "-m", "tests.process.kill_point", script]
    team.wrap = lambda name, line: [*prefix, *line[3:]] if name == party else line
    team.variables = {party: {VARIABLE: point}}
    team.start()
    team.wrap, team.variables = lambda _, line: line, {}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in IN_CI else pytest.mark.faults) for name in POINTS])
def test_a_party_killed_at_this_point_is_not_missed(name: str, team: MakeTeam, undisturbed: Callable[..., str]) -> None:
    party, point = POINTS[name]
    options = LONGER if name in IN_A_LONGER_RUN else SMALL
    running = team(options)
    with_kill_point(party, point, running)
    wait_for(lambda: party in running.reap(party), f"the kill {name}", 60)
    assert running.codes[party] == [-signal.SIGKILL], running.errors()
    assert all(name in running.running for name in running.parties if name != party), running.errors()
    running.start(party)
    running.supervise(90)
    assert_undisturbed(running, undisturbed(options))


@pytest.mark.parametrize("name", POINTS)
def test_the_point_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renamed function would turn the test above into one that waits; here it says so at once."""
    module, path, _, _ = POINTS[name][1].rsplit(":", 3)
    owner = __import__(module, fromlist=["_"])
    *parents, last = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    monkeypatch.setattr(owner, last, getattr(owner, last))  # Put back after the test, whatever ``arm`` does.
    arm(POINTS[name][1])


def test_a_point_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(AttributeError):
        arm("dadc_net.node.agent.agent_node:AgentNode.no_such_function:before:1")


def test_small_has_thirty_one_records(tmp_path: Path) -> None:
    """The counts above are made for it."""
    assert SMALL == ["--updates", "3", "--num-envs", "4", "--set", "learner.batch_steps=40"]
