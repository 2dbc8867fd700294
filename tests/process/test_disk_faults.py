"""Disks that fill, forget, rot and fail, and folders that were rolled back: go on, or stop and say which file it was."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dadc_net.runtime.agent_store import checkpoint_path, checkpoint_steps
from dadc_net.runtime.journal_file import JOURNAL_NAME
from tests.process.commands import environment, wait_for
from tests.process.conftest import LONGER, MakeTeam, assert_undisturbed
from tests.process.hosts import small_disk
from tests.process.preload import build
from tests.process.process_team import SERVER, ProcessTeam
from tests.process.test_restarts import LONG, under_way

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
long_lane = pytest.mark.faults
Digest = Callable[..., str]


def killed(team: MakeTeam, options: list[str]) -> ProcessTeam:
    """A team of which everybody was killed on the way; journals still have their -wal files."""
    running = team(options).start()
    under_way(running, 2)
    for party in running.parties:
        running.kill(party, wait=False)
    running.wait_codes(20)
    return running


def tip(folder: Path) -> int:
    """Number of the last record in a journal, without changing the file."""
    copy = folder.with_name(folder.name + "-looked-at")
    shutil.copytree(folder, copy)
    database = sqlite3.connect(copy / JOURNAL_NAME)
    try:
        return int(database.execute("SELECT MAX(step) FROM common").fetchone()[0])
    finally:
        database.close()
        shutil.rmtree(copy)


@pytest.mark.parametrize("party", [SERVER, pytest.param("agent-1", marks=long_lane)])
def test_a_torn_tail_is_mended_by_the_others(party: str, team: MakeTeam, undisturbed: Digest) -> None:
    running = killed(team, LONGER)
    before = tip(running.state(party))
    log = running.state(party) / f"{JOURNAL_NAME}-wal"
    whole = log.read_bytes()
    log.write_bytes(whole[: -len(whole) // 3])
    assert tip(running.state(party)) < before
    running.start()
    running.supervise(120)
    assert_undisturbed(running, undisturbed(LONGER))


@long_lane
def test_a_journal_lost_whole_is_made_again(team: MakeTeam, undisturbed: Digest) -> None:
    running = killed(team, LONG)
    shutil.rmtree(running.state("agent-1"))
    running.start()
    running.supervise(120)
    assert_undisturbed(running, undisturbed(LONG))


@long_lane
def test_damaged_checkpoints_are_passed_over(team: MakeTeam, undisturbed: Digest) -> None:
    running = killed(team, LONG)
    folder = running.state("agent-2")
    steps = checkpoint_steps(folder)
    for step in steps:
        path = checkpoint_path(folder, step)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    running.start()
    running.supervise(120)
    assert_undisturbed(running, undisturbed(LONG))


@long_lane
@pytest.mark.parametrize("party", [SERVER, "agent-1"])
def test_an_older_copy_of_a_folder_is_brought_up_to_date(party: str, team: MakeTeam, undisturbed: Digest) -> None:
    running = team(LONG).start()
    under_way(running, 2)
    running.kill(party)
    old = running.folder / "old"
    shutil.copytree(running.state(party), old)
    running.start(party)
    under_way(running, 10)
    for name in running.parties:
        running.kill(name, wait=False)
    running.wait_codes(20)
    shutil.rmtree(running.state(party))
    shutil.copytree(old, running.state(party))
    running.start()
    running.supervise(120)
    assert_undisturbed(running, undisturbed(LONG))


@long_lane
def test_a_second_server_on_one_journal_is_refused(team: MakeTeam, undisturbed: Digest) -> None:
    running = team(LONG).start()
    under_way(running)
    line = running.line(SERVER)
    bind = line.index("--bind") + 1
    line[bind] = "tcp://127.0.0.1:*"
    second = subprocess.run(line, cwd=running.folder, capture_output=True, text=True, timeout=60, env=environment())
    assert second.returncode in (14, 75), second.stderr
    assert "lock" in second.stderr or "another" in second.stderr
    running.supervise(120)
    assert_undisturbed(running, undisturbed(LONG))


@long_lane
def test_a_full_disk_stops_the_server_before_it_publishes(team: MakeTeam, undisturbed: Digest, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "1200k") as disk:
        running = team(LONG, arguments={SERVER: ["--state-dir", str(disk / "server")]})
        running.start()
        wait_for(lambda: SERVER in running.reap(), f"the full disk\n{running.errors()}", 90)
        assert running.codes[SERVER] == [75], running.errors()
        said = running.stderr(SERVER)
        assert str(disk) in said
        assert "full" in said
        assert "Traceback" not in said
        roomy = tmp_path / "roomy"
        shutil.copytree(disk / "server", roomy)
    running.arguments = {SERVER: ["--state-dir", str(roomy)]}
    running.start(SERVER)
    running.supervise(120)
    assert set(running.digests().values()) == {undisturbed(LONG)}


@long_lane
def test_a_full_disk_at_an_agent_is_put_up_with(team: MakeTeam, undisturbed: Digest, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "1200k") as disk:
        running = team(LONG, arguments={"agent-1": ["--state-dir", str(disk / "agent")]})
        running.start()
        wait_for(lambda: "agent-1" in running.reap(), f"the end of the run\n{running.errors()}", 90)
        assert running.codes["agent-1"] == [75], running.errors()  # It has the result, and nowhere to keep it.
        roomy = tmp_path / "roomy"
        shutil.copytree(disk / "agent", roomy)
    running.arguments = {"agent-1": ["--state-dir", str(roomy)]}
    running.start("agent-1")
    running.supervise(120)
    assert set(running.digests().values()) == {undisturbed(LONG)}


@long_lane
@pytest.mark.parametrize("after", [3, 40])
def test_a_sync_that_fails_stops_the_server(after: int, team: MakeTeam, undisturbed: Digest, tmp_path: Path) -> None:
    options = [*LONGER, "--set", "runtime.journal=host"]
    faulty = {"LD_PRELOAD": str(build(tmp_path)), "DADC_TEST_FSYNC": JOURNAL_NAME, "DADC_TEST_FSYNC_AFTER": str(after)}
    running = team(options, variables={SERVER: faulty}).start()
    wait_for(lambda: SERVER in running.reap(), f"the failing sync\n{running.errors()}", 90)
    assert running.codes[SERVER][0] in (15, 75), running.errors()
    assert JOURNAL_NAME in running.stderr(SERVER)
    running.variables = {}
    running.start(SERVER)
    running.supervise(200)
    assert_undisturbed(running, undisturbed(options))


@long_lane
def test_a_wall_clock_that_jumps_by_hours_does_not_matter(team: MakeTeam, undisturbed: Digest, tmp_path: Path) -> None:
    jumping = {"LD_PRELOAD": str(build(tmp_path)), "DADC_TEST_CLOCK": "1"}
    running = team(LONG, variables=dict.fromkeys((SERVER, "agent-1", "agent-2"), jumping)).start()
    under_way(running)
    running.kill("agent-2")
    running.start("agent-2")
    running.supervise(120)
    assert running.codes == {SERVER: [0], "agent-1": [0], "agent-2": [-signal.SIGKILL, 0]}
    assert_undisturbed(running, undisturbed(LONG))
