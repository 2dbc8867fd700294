"""A user's code that fails is told as theirs; children that end in any way are told truly; streams that take nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.commands import PATIENCE_SECONDS, SMALL, command, environment

_HOLDER = "import fcntl, time; f = open('out/lock'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(99)"
pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def user(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command as a user gives it in the folder of their own module, which is nowhere on the path."""
    shutil.copy(Path(__file__).with_name("failing_task.py"), tmp_path / "my_team.py")
    return subprocess.run(
        command(*arguments), cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        env={**environment(), "PYTHONSAFEPATH": "1", **variables},
    )


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("raise", 17, "the environment failed: ValueError in my_team.py, line 28, of the module my_team"),
        ("exit", 17, "the environment failed: SystemExit in my_team.py, line 30"),
        ("nan", 16, "the reward is"),
        ("_exit5", 17, "the process of server ended by itself with exit code 5"),
        ("_exit0", 17, "the process of server ended by itself with exit code 0"),
    ],
)
def test_a_failing_environment_is_told_as_theirs(how: str, code: int, said: str, tmp_path: Path) -> None:
    done = user(tmp_path, "dadc", "run", "my_team:make_task", "--out", "run", *SMALL, FAIL=how)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "signal 9" not in done.stderr
    log = (tmp_path / "run" / "server" / "log.txt").read_text(encoding="utf-8")
    if how == "raise":
        assert "It says: \"ValueError: the simulator is gone\"" in done.stderr
        assert "ended with exit code 17" in log
        assert "Traceback" in log
        told = [(tmp_path / "run" / f"agent-{agent}" / "log.txt").read_text(encoding="utf-8") for agent in (1, 2)]
        ends = [text[text.index("the environment server says") :].splitlines()[0] for text in told]
        assert ends[0] == ends[1]
        assert "simulator" not in ends[0], "an error's text may hold what no agent may know"


def test_a_simulation_fails_with_the_same_sentence(tmp_path: Path) -> None:
    done = user(tmp_path, "dadc", "simulate", "my_team:make_task", "--out", "run", *SMALL, FAIL="raise")
    assert done.returncode == 17, done.stderr
    assert "the environment failed: ValueError in my_team.py, line 28" in done.stderr
    missing = user(tmp_path, "dadc", "simulate", "no_team:make_task")
    assert missing.returncode == 2
    assert "PYTHONPATH" in missing.stderr


def test_streams_that_are_closed_full_or_unread_lose_no_result(tmp_path: Path) -> None:
    line = " ".join(f"'{word}'" if word else word for word in command("dadc", "run", *SMALL))
    for number, (redirection, code) in enumerate([("2>&1 | head -1", 0), ("2>&-", 0), (">/dev/full 2>&1", 75)]):
        script = f"set -o pipefail; {line} --out out-{number} {redirection}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=environment()
        )
        assert done.returncode == code, (redirection, done.stderr)
        assert (tmp_path / f"out-{number}" / "result.json").exists(), redirection


def test_a_long_name_of_the_temporary_folder_and_a_second_command_at_a_folder(tmp_path: Path) -> None:
    long = tmp_path / ("t" * 100)
    long.mkdir()
    run = ["dadc", "run", *SMALL, "--quiet", "--out", "out"]
    done = subprocess.run(
        command(*run), cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        env={**environment(), "TMPDIR": str(long)},
    )
    assert done.returncode == 0, done.stderr
    before = (tmp_path / "out" / "config.toml").read_bytes()
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        cwd=tmp_path, stdout=subprocess.PIPE, env=dict(os.environ),
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    second = subprocess.run(
        command(*run, "--set", "runtime.lockstep_timeout_s=7"), cwd=tmp_path, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, env=environment(),
    )
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert second.returncode == 14, second.stderr
    assert (tmp_path / "out" / "config.toml").read_bytes() == before
