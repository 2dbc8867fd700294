"""Disks that fill, forget, rot and fail, and folders that were rolled back: go on, or stop and say which file it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dadc_net.audit.consistency import check, find_journals
from dadc_net.errors import CorruptStateError
from dadc_net.storage.agent_journal import checkpoint_path, checkpoint_steps
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.server_journal import GROUP_ENTRIES
from dadc_net.storage.tail_file import TAIL_SUFFIX
from tests.process.commands import environment, wait_for
from tests.process.conftest import LONGER, MakeTeam, assert_mended, assert_undisturbed
from tests.process.hosts import small_disk
from tests.process.preload import build
from tests.process.process_team import SERVER, ProcessTeam
from tests.process.test_restarts import LONG, under_way

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
long_lane = pytest.mark.faults
Digest = Callable[..., str]


_ENTRIES = 4


def killed(team: MakeTeam, options: list[str]) -> ProcessTeam:
    """A team of which everybody was killed on the way, with rows in -wal files, and some entries in the server's tail."""
    running = team(options)
    while True:
        running.start()
        under_way(running, 2)
        for party in running.parties:
            running.kill(party, wait=False)
        running.wait_codes(20)
        if len(entries(running)) >= _ENTRIES and records(running.state(SERVER)) > GROUP_ENTRIES:
            return running


def entries(running: ProcessTeam) -> list[bytes]:
    """What the server's tail holds."""
    reader = JournalReader(running.state(SERVER))
    try:
        return reader.tail.bodies
    finally:
        reader.close()


def records(folder: Path) -> int:
    """Number of records in a journal, without changing the file."""
    copy = folder.with_name(folder.name + "-looked-at")
    shutil.copytree(folder, copy)
    reader = JournalReader(copy)
    try:
        return len(list(reader.records()))
    finally:
        reader.close()
        shutil.rmtree(copy)


@pytest.mark.parametrize(
    ("party", "suffix"),
    [
        (SERVER, TAIL_SUFFIX),
        pytest.param(SERVER, "-wal", marks=long_lane),
        pytest.param("agent-1", "-wal", marks=long_lane),
    ],
)
def test_a_torn_tail_is_mended_by_the_others(party: str, suffix: str, team: MakeTeam, undisturbed: Digest) -> None:
    running = killed(team, LONGER)
    before = records(running.state(party))
    log = running.state(party) / f"{JOURNAL_NAME}{suffix}"
    whole = log.read_bytes()
    log.write_bytes(whole[: -len(whole) // 3])
    assert records(running.state(party)) < before
    assert_mended(running, undisturbed(LONGER))


@long_lane
def test_a_rotten_entry_is_named_and_mended_by_the_others(team: MakeTeam, undisturbed: Digest) -> None:
    running = killed(team, LONGER)
    path = running.state(SERVER) / f"{JOURNAL_NAME}{TAIL_SUFFIX}"
    second = entries(running)[1]
    raw = bytearray(path.read_bytes())
    raw[raw.index(second) + len(second) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CorruptStateError, match=f"{path} is damaged at byte .* before that of record"):
        check(find_journals([running.folder]))
    assert_mended(running, undisturbed(LONGER))
    assert "is rotten" in running.log(SERVER)
    assert "the agents are asked for" in running.stderr(SERVER)


@long_lane
def test_a_server_without_its_tail_is_mended_by_the_others(team: MakeTeam, undisturbed: Digest) -> None:
    running = killed(team, LONGER)
    (running.state(SERVER) / f"{JOURNAL_NAME}{TAIL_SUFFIX}").unlink()
    with pytest.raises(CorruptStateError, match="was copied while its party was running, without the file"):
        check(find_journals([running.folder]))
    assert_mended(running, undisturbed(LONGER))


@long_lane
def test_a_journal_lost_whole_is_made_again(team: MakeTeam, undisturbed: Digest) -> None:
    running = killed(team, LONG)
    shutil.rmtree(running.state("agent-1"))
    assert_mended(running, undisturbed(LONG))


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
    assert_mended(running, undisturbed(LONG))


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
    assert_mended(running, undisturbed(LONG))


@long_lane
def test_a_second_server_on_one_journal_is_refused(team: MakeTeam, undisturbed: Digest) -> None:
    running = team(LONG).start()
    under_way(running)
    line = running.line(SERVER)
    bind = line.index("--bind") + 1
    line[bind] = "tcp://127.0.0.1:*"
    second = subprocess.run(line, cwd=running.folder, capture_output=True, text=True, timeout=60, env=environment())
    assert second.returncode == 14, second.stderr
    assert "is in use by another process" in second.stderr
    running.supervise(120)
    assert_undisturbed(running, undisturbed(LONG))


@long_lane
def test_a_full_disk_stops_the_server_before_it_publishes(team: MakeTeam, undisturbed: Digest, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "1200k") as disk:
        running = team(LONG, arguments={SERVER: ["--state-dir", str(disk / "server")]})
        running.start()
        wait_for(lambda: SERVER in running.reap(SERVER), f"the full disk\n{running.errors()}", 90)
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
        wait_for(lambda: "agent-1" in running.reap("agent-1"), f"the end of the run\n{running.errors()}", 90)
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
    wait_for(lambda: SERVER in running.reap(SERVER), f"the failing sync\n{running.errors()}", 90)
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


_CREATE = """
import sys
from pathlib import Path
from dadc_net.errors import UsageError
from dadc_net.storage.agent_journal import AgentJournalFile
store = AgentJournalFile(Path(sys.argv[1]), "process")
try:
    store.create({"agent": 1, "run_id": "ab", "settings": {}, "last_step": 3})
    store.close()
except UsageError as error:
    sys.exit(str(error))
"""


@long_lane
@pytest.mark.parametrize("has_maps", [True, False])
def test_a_file_system_without_shared_maps_is_named(has_maps: bool, tmp_path: Path) -> None:
    """Within a real SQLite; with them the same program makes its journal."""
    variables = {"LD_PRELOAD": str(build(tmp_path)), **({} if has_maps else {"DADC_TEST_MMAP": "-shm"})}
    done = subprocess.run(
        [sys.executable, "-c", _CREATE, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == (0 if has_maps else 1), done.stderr
    assert ("without shared memory maps" in done.stderr) is not has_maps
