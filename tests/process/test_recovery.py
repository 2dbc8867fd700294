"""Real processes are killed in the middle of a run; the run ends with the digest of an undisturbed one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dadc_net.runtime.metrics import read_metrics
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.server_journal import ServerJournalFile
from tests.process.commands import ENVIRONMENT_SEED, Ended, descendants, finish, free_port, run, start, wait_for

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]
LENGTH = ["--updates", "40", "--num-envs", "2", "--set", "learner.batch_steps=100"]
"""2,000 lock-steps: some seconds, and an update every 50 of them."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The learner digest that everything here must end in."""
    ended = run(tmp_path_factory.mktemp("simulated"), "dadc", "simulate", "mabc", "--seed", "7", *LENGTH, "--json")
    digest: str = ended.last["learner_digest"]
    return digest


def holder(folder: Path, pids: set[int]) -> int | None:
    """The process that has a file of ``folder`` open."""
    for pid in sorted(pids):
        try:
            links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        if any(link.startswith(f"{folder}/") for link in links):
            return pid
    return None


def progress(folder: Path) -> int:
    """Updates that the server has reported so far, from its metrics."""
    path = folder / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return int(json.loads(lines[-1])["update"]) if lines else 0


def facts(folder: Path) -> dict[str, Any]:
    reader = JournalReader(folder)
    try:
        return dict(reader.facts)
    finally:
        reader.close()


def wait_for_update(folder: Path, update: int, process: subprocess.Popen[str]) -> None:
    wait_for(lambda: progress(folder) >= update or process.poll() is not None, f"update {update}")
    assert process.poll() is None, process.communicate()


def assert_every_update_is_logged_once(folder: Path) -> None:
    """Of rewards and losses, in the run's folder and in those of its parties."""
    updates = list(range(1, int(LENGTH[LENGTH.index("--updates") + 1]) + 1))
    agents = {"agent-1": {"losses"}, "agent-2": {"losses"}}
    for name, kinds in {"": {"reward", "losses"}, "server": {"reward"}, **agents}.items():
        lines = [line for line in read_metrics(folder / name) if line["kind"] != "value"]
        for kind in kinds:
            assert [line["update"] for line in lines if line["kind"] == kind] == updates, (name, kind)
        assert {line["kind"] for line in lines} == kinds


def test_a_run_whose_children_are_killed_ends_in_the_undisturbed_digest(undisturbed: str, tmp_path: Path) -> None:
    process = start(tmp_path, "dadc", "run", "mabc", "--seed", "7", *LENGTH, "--out", "r", "--json")
    for update, party in ((3, "agent-2"), (8, "server"), (14, "agent-1"), (20, "server")):
        wait_for_update(tmp_path / "r/server", update, process)
        victim = holder(tmp_path / "r" / party, descendants(process.pid))
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
    ended = finish(process, 120)
    assert ended.code == 0, ended.err
    assert set(ended.last["agent_digests"].values()) == {undisturbed}
    assert "server was killed by signal 9 and is started again" in ended.err
    assert_every_update_is_logged_once(tmp_path / "r")
    checked = run(tmp_path, "dadc", "check", "r", "--json")
    assert (checked.last["consistent"], checked.last["complete"]) == (True, True)


def test_the_same_command_resumes_a_run_that_was_killed_whole(undisturbed: str, tmp_path: Path) -> None:
    command = ("dadc", "run", "mabc", "--seed", "7", *LENGTH, "--out", "r", "--json")
    process = start(tmp_path, *command)
    wait_for_update(tmp_path / "r/server", 10, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = facts(tmp_path / "r/server")
    other = run(tmp_path, "dadc", "run", "mabc", "--seed", "8", *LENGTH, "--out", "r")
    assert other.code == 11, other.err
    assert "another shared seed" in other.err
    assert facts(tmp_path / "r/server") == before
    smaller = run(tmp_path, "dadc", "run", "mabc", "--seed", "7", *LENGTH, "--set", "ais.size=7", "--out", "r")
    assert smaller.code == 11, smaller.err
    resumed = run(tmp_path, *command)
    assert resumed.code == 0, resumed.err
    assert resumed.last["learner_digest"] == undisturbed
    assert "resumes at record" in resumed.err
    assert_every_update_is_logged_once(tmp_path / "r")
    again = run(tmp_path, *command)
    assert (again.code, again.last["learner_digest"]) == (0, undisturbed), again.err
    assert "finished before" in again.err


def test_a_journal_with_an_epoch_nobody_counted_goes_on(undisturbed: str, tmp_path: Path) -> None:
    """A version that wrote down what a refused Join said has left such journals: ``dadc run`` takes it back itself."""
    command = ("dadc", "run", "mabc", "--seed", "7", *LENGTH, "--out", "r", "--json")
    process = start(tmp_path, *command)
    wait_for_update(tmp_path / "r/server", 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    journal = ServerJournalFile(tmp_path / "r/server", 2, "process")
    assert journal.open_or_create({})
    journal.note("epoch", 2**32 - 1)
    journal.close()
    where = ("--bind", f"tcp://127.0.0.1:{free_port()}", "--state-dir", "r/server", "--keys", "r/keys")
    alone = ("dadc-env", *where, *LENGTH, "--env-seed", ENVIRONMENT_SEED)
    refused = run(tmp_path, *alone)
    assert refused.code == 15, refused.err
    assert "its last start was epoch 4294967295" in refused.err
    assert "Start dadc-env with --epoch N" in refused.err
    assert facts(tmp_path / "r/server")["epoch"] == 2**32 - 1
    resumed = run(tmp_path, *command)
    assert (resumed.code, resumed.last["learner_digest"]) == (0, undisturbed), resumed.err
    assert facts(tmp_path / "r/server")["epoch"] == 2
    again = run(tmp_path, *alone, "--epoch", "7")
    assert (again.code, last_line(again)) == (0, undisturbed), again.err
    assert facts(tmp_path / "r/server")["epoch"] == 7


def three_parties(cwd: Path, address: str) -> dict[str, list[str]]:
    """The command lines of a server and two agents."""
    agent = ["dadc-agent", "--seed", "7", "--server", address, "--id"]
    return {
        "server": ["dadc-env", "--bind", address, "--env-seed", ENVIRONMENT_SEED, *LENGTH],
        "agent-1": [*agent, "1"],
        "agent-2": [*agent, "2"],
    }


def test_each_party_alone_is_killed_and_started_with_the_same_command(undisturbed: str, tmp_path: Path) -> None:
    commands = three_parties(tmp_path, f"tcp://127.0.0.1:{free_port()}")
    state = tmp_path / "dadc-state"
    assert run(tmp_path, "dadc", "keys").code == 0
    processes = {name: start(tmp_path, *command) for name, command in commands.items()}
    for update, party, empty in ((3, "agent-2", False), (8, "server", False), (14, "agent-1", True)):
        wait_for_update(state / "server", update, processes["server"])
        processes[party].kill()
        processes[party].communicate()
        if empty:
            shutil.rmtree(state / party)
        processes[party] = start(tmp_path, *commands[party])
    ended = {name: finish(process, 120) for name, process in processes.items()}
    assert {one.code for one in ended.values()} == {0}, {name: one.err for name, one in ended.items()}
    assert {last_line(one) for one in ended.values()} == {undisturbed}
    again = {name: run(tmp_path, *command) for name, command in commands.items()}
    assert {(one.code, last_line(one)) for one in again.values()} == {(0, undisturbed)}
    assert run(tmp_path, *commands["agent-1"], "--seed", "8").code == 11


def last_line(ended: Ended) -> str:
    return ended.out.strip().splitlines()[-1]


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    commands = three_parties(tmp_path, f"tcp://127.0.0.1:{free_port()}")
    assert run(tmp_path, "dadc", "keys").code == 0
    server = start(tmp_path, *commands["server"])
    wait_for(lambda: (tmp_path / "dadc-state/server/journal.sqlite").exists(), "the journal")
    second = run(tmp_path, "dadc-env", "--bind", f"tcp://127.0.0.1:{free_port()}", *LENGTH)
    assert second.code == 14
    assert "in use by another process" in second.err
    server.send_signal(signal.SIGTERM)
    assert finish(server).code == 130
