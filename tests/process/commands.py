"""Starting the commands as a user would, and ending what was started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = {"dadc": "main", "dadc-env": "environment_main", "dadc-agent": "agent_main"}
PATIENCE_SECONDS = 90
ENVIRONMENT_SEED = "20260101"
"""What ``run`` and ``simulate`` use when nothing is said; ``dadc-env`` must be told, or it draws its own."""
SMALL = ["--updates", "3", "--num-envs", "4", "--set", "learner.batch_steps=40"]


def command(*arguments: str) -> list[str]:
    """The command line of an installed script, run by this interpreter whether or not scripts are on the path."""
    script, *rest = arguments
    return [sys.executable, "-c", f"from dadc_net.cli.main import {SCRIPTS[script]} as main; main()", *rest]


@dataclass
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> dict[str, Any]:
        """The JSON object on the last line of standard output."""
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


def run(cwd: Path, *arguments: str) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=environment()
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def start(cwd: Path, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a command in a session of its own, so that a test can send Ctrl-C to its whole group.

    ``prefix``: a program that is given the command's name and arguments, and becomes it.
    """
    process = subprocess.Popen(
        [*prefix, *arguments] if prefix else command(*arguments),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    _started.append(process)
    return process


_started: list[subprocess.Popen[str]] = []


def end_started() -> None:
    """End what ``start`` has started and a test that failed has left, with all below it."""
    for process in _started:
        if process.poll() is None:
            below = descendants(process.pid)
            process.kill()
            process.communicate()
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    _started.clear()


def finish(process: subprocess.Popen[str], timeout: float = PATIENCE_SECONDS) -> Ended:
    """Wait for a started command; kill it if it does not end."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"the command did not end; it printed:\n{out}\n{err}") from None
    return Ended(process.returncode, out, err)


def environment() -> dict[str, str]:
    """The environment of a user who has set nothing."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DADC_")}
    root = str(Path(__file__).parents[2])
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH", "")]))}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def descendants(pid: int) -> set[int]:
    """Ids of all processes below ``pid``, from /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent == pid or parent in found} - found
        found |= more
        grown = bool(more)
    return found


def wait_until_gone(pids: set[int], timeout: float = 15.0) -> set[int]:
    """Those of ``pids`` that still run after ``timeout`` seconds; zombies do not count."""
    deadline = time.monotonic() + timeout
    while True:
        alive = {pid for pid in pids if _runs(pid)}
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Any, what: str, timeout: float = 60.0) -> None:
    """Poll ``condition`` until it is true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(0.05)
