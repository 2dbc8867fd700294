"""One team across kinds of host: a native agent with compiled kernels and an emulated aarch64 agent on NumPy alone.

They learn together over TCP with CurveZMQ, and the server compares every step's digests as in any run. The final digest
must be that of a simulation on the native host. The control flips the last bit of one weight of the aarch64 agent.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dadc_net.errors import DivergenceError
from dadc_net.storage.journal_reader import JournalReader
from tests.fleet.fetch import CannotBuild
from tests.fleet.hosts import AARCH64, NATIVE, Host
from tests.process.commands import ENVIRONMENT_SEED, SCRIPTS, Ended, free_port

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]

UPDATES = 200
SMALL = ("--num-envs", "4", "--set", "learner.batch_steps=48", "--set", "ais.size=5", "--set", "learner.hidden_size=5")
PATIENT = ("--set", "runtime.join_timeout_s=1200", "--set", "runtime.lockstep_timeout_s=600")
"""Emulation on a busy machine is slow; how long the server waits is no part of the learner's settings."""
BROKEN = """
from functools import partial
from dadc_net.runtime import agent_process
from dadc_net.runtime.sabotage import Sabotage
agent_process.AgentOptions = partial(agent_process.AgentOptions, tamper=Sabotage("flip-bit", 20))
"""


def start(host: Host, cwd: Path, script: str, *options: str, prelude: str = "") -> subprocess.Popen[str]:
    """Start one of the commands on ``host``, after some more Python."""
    program = f"{prelude}\nfrom dadc_net.cli.main import {SCRIPTS[script]} as main; main()"
    try:
        return host.start("-c", program, *options, cwd=cwd)
    except CannotBuild as error:
        pytest.fail(f"the host {host.name!r} cannot be built here: {error}", pytrace=False)


def finish(process: subprocess.Popen[str], timeout: float = 1500) -> Ended:
    """Wait for a command."""
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out, err)


def run(cwd: Path, script: str, *options: str) -> str:
    """The last line that a command prints on the native host; it must end with 0."""
    ended = finish(start(NATIVE, cwd, script, *options))
    assert ended.code == 0, ended.err
    return ended.out.strip().splitlines()[-1]


def team(cwd: Path, updates: int, prelude: str = "") -> list[Ended]:
    """Server, aarch64 agent 1 (started after ``prelude``) and native agent 2, run together to their end."""
    address = f"tcp://127.0.0.1:{free_port()}"
    options = ("--task", "mabc", "--updates", str(updates), *SMALL, *PATIENT, "--bind", address, "--quiet")
    options += ("--env-seed", ENVIRONMENT_SEED)
    joining = ("--seed", "7", "--server", address, "--quiet")
    run(cwd, "dadc", "keys", "dadc-keys", "-K", "2")
    parties = [
        start(NATIVE, cwd, "dadc-env", *options),
        start(AARCH64, cwd, "dadc-agent", "--id", "1", *joining, prelude=prelude),
        start(NATIVE, cwd, "dadc-agent", "--id", "2", *joining),
    ]
    try:
        return [finish(party) for party in parties]
    finally:
        for party in parties:
            party.kill()


def test_an_aarch64_agent_and_a_native_one_learn_together(tmp_path: Path) -> None:
    ended = team(tmp_path, UPDATES)
    assert [party.code for party in ended] == [0, 0, 0], "".join(party.err for party in ended)
    digests = {party.out.strip().splitlines()[-1] for party in ended}
    simulated = run(tmp_path, "dadc", "simulate", "mabc", "--seed", "7", "--updates", str(UPDATES), *SMALL, "--json")
    assert digests == {json.loads(simulated)["learner_digest"]}
    folders = [tmp_path / "dadc-state" / name for name in ("server", "agent-1", "agent-2")]
    hosts = [JournalReader(folder).facts["host"] for folder in folders[1:]]
    assert [host["machine"] for host in hosts] == ["aarch64", "x86_64"]
    assert [host["kernels"] == "none" for host in hosts] == [True, False]
    checked = json.loads(run(tmp_path, "dadc", "check", *map(str, folders), "--json"))
    assert (checked["consistent"], checked["updates_compared"]) == (True, UPDATES)
    print(f"\naarch64 and native together, {UPDATES} updates: {digests.pop()}", end="")


def test_a_wrong_bit_on_the_aarch64_agent_is_caught_at_its_step(tmp_path: Path) -> None:
    ended = team(tmp_path, 3, prelude=BROKEN)
    assert [party.code for party in ended] == [DivergenceError.exit_code] * 3, "".join(party.err for party in ended)
    assert "at step 20" in ended[0].err
