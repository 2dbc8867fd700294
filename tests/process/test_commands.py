"""The commands on real processes: the ways of running agree, wrong input is refused, nothing hangs or stays behind."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dadc_net.cli.event_text import history_text
from dadc_net.runtime import host
from dadc_net.runtime.fork_server import ForkServer
from dadc_net.runtime.history import read_history
from tests.process.commands import (
    ENVIRONMENT_SEED,
    SMALL,
    Ended,
    descendants,
    environment,
    finish,
    free_port,
    run,
    start,
    wait_for,
    wait_until_gone,
)

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The digest that every way of running with seed 7 must give."""
    return run(tmp_path_factory.mktemp("simulated"), "dadc", "simulate", "mabc", "--seed", "7", *SMALL, "--json")


def test_run_gives_the_digest_of_simulate_again_and_again(simulated: Ended, tmp_path: Path) -> None:
    first = run(tmp_path, "dadc", "run", "mabc", "--seed", "7", *SMALL, "--json", "--out", "a")
    second = run(tmp_path, "dadc", "run", "mabc", "--seed", "7", *SMALL, "--json", "--out", "b")
    other = run(tmp_path, "dadc", "simulate", "mabc", "--seed", "8", *SMALL, "--json")
    assert (first.code, second.code) == (0, 0), first.err
    assert first.last["learner_digest"] == second.last["learner_digest"] == simulated.last["learner_digest"]
    assert set(first.last["agent_digests"].values()) == {simulated.last["learner_digest"]}
    assert other.last["learner_digest"] != simulated.last["learner_digest"]
    expected = {
        "task",
        "seed",
        "num_agents",
        "num_envs",
        "updates",
        "env_steps",
        "learner_digest",
        "agent_digests",
        "optimum",
        "value",
        "value_monte_carlo",
        "value_monte_carlo_stderr",
        "gap",
        "env_steps_per_s",
        "lockstep_per_s",
        "wall_s",
    }
    assert expected <= set(first.last)
    assert "learner digests equal" in first.err
    for name in ("config.toml", "metrics.jsonl", "result.json", "server", "agent-1", "agent-2"):
        assert (tmp_path / "a" / name).exists()
    checked = run(tmp_path, "dadc", "check", "a", "--json")
    assert (checked.code, checked.last["consistent"], checked.last["first_divergence"]) == (0, True, None)
    assert checked.last["learner_digest"] == first.last["learner_digest"]
    valued = run(tmp_path, "dadc", "evaluate", "a", "--json")
    assert valued.last["value"] == first.last["value"]
    assert {"value", "optimum", "gap", "method"} <= set(valued.last)


def test_the_online_system_of_one_copy(tmp_path: Path) -> None:
    options = ["mabc", "--updates", "2", "--num-envs", "1", "--set", "learner.batch_steps=30", "--json"]
    real, simulated = run(tmp_path, "dadc", "run", *options), run(tmp_path, "dadc", "simulate", *options)
    assert real.code == 0, real.err
    assert real.last["learner_digest"] == simulated.last["learner_digest"]
    assert real.last["env_steps"] == 60


def test_a_users_own_task_without_a_planner(tmp_path: Path) -> None:
    options = ["tests.user_task:make_task", *SMALL, "--json"]
    real = run(tmp_path, "dadc", "run", *options, "--out", "r")
    simulated = run(tmp_path, "dadc", "simulate", *options)
    assert (real.code, simulated.code) == (0, 0), real.err + simulated.err
    assert real.last["learner_digest"] == simulated.last["learner_digest"]
    assert (real.last["task"], real.last["optimum"], real.last["value"]) == ("two-radios", None, None)
    assert real.last["value_monte_carlo"] is not None
    assert "no exact planner" in real.err
    assert run(tmp_path, "dadc", "evaluate", "r", "--task", options[0], "--json").last["method"] == "monte-carlo"
    refused = run(tmp_path, "dadc", "evaluate", "r")
    assert refused.code == 2
    assert f"--task {options[0]}" in refused.err
    assert run(tmp_path, "dadc", "plan", options[0]).code == 2


def test_a_users_own_structure_is_loaded_by_the_agent_and_never_for_the_server(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    server = start(tmp_path, "dadc-env", "--task", "tests.user_task:make_task", "--bind", address, *SMALL)
    wait_for(lambda: (tmp_path / "dadc-keys" / "authorised.toml").exists() or server.poll() is not None, "making keys")
    own = ["--structure", "tests.user_task:Overheard"]
    first = start(tmp_path, "dadc-agent", "--id", "1", "--server", address, *own)
    refused = run(tmp_path, "dadc-agent", "--id", "2", "--server", address)
    assert refused.code == 2
    assert "'overheard'" in refused.err
    assert "--structure" in refused.err
    second = start(tmp_path, "dadc-agent", "--id", "2", "--server", address, *own)
    ended = [finish(process) for process in (first, second, server)]
    assert [one.code for one in ended] == [0, 0, 0], [one.err for one in ended]
    assert "agent 2 has gone at record 0; waiting for it" in ended[2].err


def test_three_terminals(simulated: Ended, tmp_path: Path) -> None:
    """The bare card commands, but for the port."""
    address = f"tcp://127.0.0.1:{free_port()}"
    server = start(tmp_path, "dadc-env", "--bind", address, "--env-seed", ENVIRONMENT_SEED, *SMALL)
    wait_for(lambda: (tmp_path / "dadc-keys" / "authorised.toml").exists() or server.poll() is not None, "making keys")
    agents = [start(tmp_path, "dadc-agent", "--id", str(k), "--seed", "7", "--server", address) for k in (1, 2)]
    ended = [finish(process) for process in (*agents, server)]
    assert [one.code for one in ended] == [0, 0, 0], [one.err for one in ended]
    assert {one.out.strip().splitlines()[-1] for one in ended} == {simulated.last["learner_digest"]}
    checked = run(tmp_path, "dadc", "check", "dadc-state", "--json")
    assert checked.last["consistent"] is True
    assert checked.last["parties"] == ["server", "agent 1", "agent 2"]
    copied = run(tmp_path, "dadc", "check", "dadc-state/agent-1", "dadc-state/agent-2", "--json")
    assert copied.last["consistent"] is True


@pytest.mark.parametrize("kind", ["flip-bit", "shift-stream"])
def test_a_broken_replica_stops_the_run(kind: str, tmp_path: Path) -> None:
    options = ["--updates", "20", "--num-envs", "16", "--set", "learner.batch_steps=160"]
    ended = run(tmp_path, "dadc", "run", "mabc", *options, "--out", "r", "--break", f"2:{kind}@7")
    assert ended.code == 10, ended.err
    assert "agent 1 and agent 2" in ended.err
    assert "Traceback" not in ended.err
    told = [history_text(event) for _, event in read_history(tmp_path / "r")]
    for party in ("server", "agent-1", "agent-2"):
        assert any(line.startswith(f"{party} ended with exit code 10: ") for line in told), told
    checked = run(tmp_path, "dadc", "check", "r", "--json")
    assert checked.code == 10
    found = checked.last["first_divergence"]
    assert found["agents"] == [1, 2]
    assert "agent 2 is wrong, says the referee" in ended.err
    if kind == "shift-stream":
        assert (found["step"], found["phase"], found["tensor"]) == (7, "act", "theta_t")
        return
    assert (found["step"], found["phase"], found["component"]) == (7, "act", "ais")
    assert found["tensor"] == "encoder.recurrent.weight"
    decided = run(tmp_path, "dadc", "check", "r", "--recompute", "--seed", "0", "--json")
    verdict = decided.last["first_divergence"]
    assert (decided.code, verdict["step"], verdict["agents"], verdict["decided_by"]) == (10, 7, [2], "referee")
    replayed = run(tmp_path, "dadc", "replay", "r", "--until", "7", "--json")
    assert (replayed.code, replayed.last["agreed"], replayed.last["agents"]["1"]) == (10, False, [])
    compared = run(tmp_path, "dadc", "replay", "r", "--diff", "1", "2", "--json")
    assert (compared.code, compared.last["step"]) == (10, 7)
    assert (compared.last["left"]["right"], compared.last["right"]["right"]) == (True, False)
    first = compared.last["differences"][0]
    assert first["name"].endswith("encoder.recurrent.weight")
    assert (first["index"], first["differing"]) == ([0, 0], 1)


def test_wrong_seed_and_wrong_settings_are_refused_and_the_team_still_forms(simulated: Ended, tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    server = start(tmp_path, "dadc-env", "--bind", address, "--env-seed", ENVIRONMENT_SEED, *SMALL)
    wait_for(lambda: (tmp_path / "dadc-keys" / "authorised.toml").exists() or server.poll() is not None, "making keys")
    first = start(tmp_path, "dadc-agent", "--id", "1", "--seed", "7", "--server", address)
    log = tmp_path / "dadc-state/server/log.txt"
    wait_for(lambda: log.is_file() and "joined" in log.read_text(), "agent 1 joining")
    at = ["--server", address, "--state-dir", "x"]
    seed = run(tmp_path, "dadc-agent", "--id", "2", "--seed", "8", *at)
    settings = run(tmp_path, "dadc-agent", "--id", "2", "--seed", "7", "--config", "mabc", "--set", "ais.size=7", *at)
    twin = run(tmp_path, "dadc-agent", "--id", "1", "--seed", "7", *at)
    beyond = run(tmp_path, "dadc-agent", "--id", "3", "--seed", "7", *at)
    zero = run(tmp_path, "dadc-agent", "--id", "0", "--seed", "7", *at)
    assert (seed.code, settings.code, twin.code, beyond.code, zero.code) == (11, 11, 14, 2, 2)
    for one, words in ((seed, "seed"), (settings, "settings"), (twin, "already running"), (zero, "from 1")):
        assert words in one.err
        assert "Traceback" not in one.err
    second = start(tmp_path, "dadc-agent", "--id", "2", "--seed", "7", "--server", address)
    ended = [finish(process) for process in (first, second, server)]
    assert [one.code for one in ended] == [0, 0, 0], [one.err for one in ended]
    assert ended[2].out.strip().splitlines()[-1] == simulated.last["learner_digest"]


def test_unreachable_server_and_port_in_use(tmp_path: Path) -> None:
    assert run(tmp_path, "dadc", "keys", "k").code == 0
    address = f"tcp://127.0.0.1:{free_port()}"
    lonely = run(tmp_path, "dadc-agent", "--id", "1", "--keys", "k", "--server", address, "--connect-timeout", "1")
    assert lonely.code == 75
    assert address in lonely.err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run(tmp_path, "dadc-env", "--keys", "k", "--bind", f"tcp://127.0.0.1:{port}")
    assert refused.code == 75
    assert "in use" in refused.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, "dadc", "run", "mabc", "--updates", "5000", "--out", "r")
    wait_for(
        lambda: (tmp_path / "r/server/metrics.jsonl").exists() and (tmp_path / "r/agent-2/journal.sqlite").exists(),
        "the start",
    )
    below = descendants(process.pid)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: to the whole foreground group
    else:
        process.send_signal(number)
    ended = finish(process, 30)
    assert ended.code == 130
    assert f"stopped by {number.name}" in ended.err
    assert "Traceback" not in ended.err
    assert len(below) >= 3
    assert wait_until_gone(below) == set()


def test_ctrl_c_while_processes_are_being_started(tmp_path: Path) -> None:
    """The process that forks children is still importing then; it must not be hit."""
    process = start(tmp_path, "dadc", "run", "mabc", "--updates", "5000", "--out", "r")
    wait_for(lambda: len(descendants(process.pid)) >= 2, "the first child")
    below = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    ended = finish(process, 30)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert wait_until_gone(below) == set()


def test_no_orphans_when_the_launcher_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, "dadc", "run", "mabc", "--updates", "5000", "--out", "r")
    wait_for(lambda: (tmp_path / "r/agent-2/journal.sqlite").exists(), "the start")
    below = descendants(process.pid)
    process.kill()
    process.communicate()
    assert wait_until_gone(below) == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "mabcc"], "Did you mean 'mabc'"),
        (["run", "mabc", "--set", "ais.siez=3"], "Did you mean 'size'"),
        (["run", "mabc", "--set", "nonsense"], "key=value"),
        (["run", "mabc", "-K", "3"], "-K 3"),
        (["run", "mabc", "--num-envs", "7"], "multiple of learner.num_envs"),
        (["run", "mabc", "--algorithm", "pop"], "Did you mean 'ppo'"),
        (["run", "mabc", "--seed", "-1"], "seed"),
        (["run", "nothing.toml"], "cannot be read"),
        (["run", "no.such:factory"], "cannot be loaded"),
        (["plan", "mabc", "--set", "menu=most"], "menu"),
        (["check", "."], "journal.sqlite"),
        (["evaluate", "."], "config.toml"),
        (["frobnicate"], "there is no command 'frobnicate'"),
    ],
)
def test_wrong_input_gets_a_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    ended = run(tmp_path, "dadc", *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_run_never_overwrites_another(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "precious").write_text("keep")
    ended = run(tmp_path, "dadc", "run", "mabc", *SMALL, "--out", "r")
    assert ended.code == 2
    assert "not empty" in ended.err
    assert (tmp_path / "r" / "precious").read_text() == "keep"


WRONG_ROOT = """
import numpy as np, torch
root = np.sqrt
np.sqrt = lambda x: np.nextafter(root(x), np.inf)
from dadc_net.cli.main import {0} as main
main()
"""


@pytest.mark.parametrize(("script", "arguments"), [("main", ["selftest"]), ("agent_main", ["--id", "1", "--insecure"])])
def test_a_host_with_a_wrong_primitive_names_it_and_does_not_join(
    tmp_path: Path, script: str, arguments: list[str]
) -> None:
    program = [sys.executable, "-c", WRONG_ROOT.format(script), *arguments]
    variables = {**environment(), "DADC_FAST": "0"}  # numba needs the true function when it is loaded
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=100, env=variables)
    assert done.returncode == 11, done.stderr
    assert "ieee, " in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_plan_and_selftest_speak_json(tmp_path: Path) -> None:
    planned = run(tmp_path, "dadc", "plan", "mabc", "--set", "menu=all", "--json")
    assert planned.last["value"] == pytest.approx(1.112973, abs=1e-5)
    assert {"value", "menu", "start", "method", "residual"} <= set(planned.last)
    tested = run(tmp_path, "dadc", "selftest", "--json")
    assert (tested.code, tested.last["ok"]) == (0, True)
    assert {"ok", "digest", "fingerprint"} <= set(tested.last)


def _tell_inherited(_order: object, connection: Connection) -> None:
    connection.send({with_kernels: found.ok for with_kernels, found in host.inherited.items()})
    connection.send((gc.get_freeze_count(), len(gc.get_objects())))


def test_children_take_the_self_test_and_what_is_loaded_from_the_process_that_forks_them() -> None:
    child = ForkServer().start("child", _tell_inherited, None)
    assert child.connection.poll(120)
    assert child.connection.recv() == {host.kernels_allowed(): True}
    spared, gone_through = child.connection.recv()
    assert spared > 10 * gone_through > 0, "a collection would stop the child for as long as torch is large"
    child.process.join()


def test_bench_prints_both_rates_and_their_ratio(tmp_path: Path) -> None:
    options = ["-K", "2", "--num-envs", "1", "--steps", "300", "--rounds", "1", "--out", "table.json"]
    ended = run(tmp_path, "dadc", "bench", *options, "--json")
    assert ended.code == 0, ended.err
    rows = ended.last["bench"]
    assert json.loads((tmp_path / "table.json").read_text(encoding="utf-8")) == ended.last
    assert [(row["num_agents"], row["num_envs"]) for row in rows] == [(2, 1)]
    for row in rows:
        assert min(row["raw"], row["full"]) > 0
        assert row["ratio"] == pytest.approx(row["full"] / row["raw"])
        assert row["env_steps"] == pytest.approx(row["full"])
        assert row["cpu_ratio"] is None or row["cpu_ratio"] == pytest.approx(row["cpu_raw"] / row["cpu_full"])
        shares = row["shares"]
        assert set(shares) == {"acting", "learning", "environment", "journal", "transport", "waiting"}
        assert all(share >= 0 for share in shares.values())
        assert shares["waiting"] == 0 or sum(shares.values()) == pytest.approx(1.0)


def test_bench_journal_measures_with_and_without(tmp_path: Path) -> None:
    options = ["--steps", "300", "--rounds", "1", "--num-envs", "1"]
    ended = run(tmp_path, "dadc", "bench", "journal", *options, "--json")
    assert ended.code == 0, ended.err
    (found,) = ended.last["results"]
    assert (found["num_envs"], found["mode"]) == (1, "process")
    assert found["cost"] == pytest.approx(1 - found["rate"] / found["without"])
    assert found["rate"] > 0


def test_secrets_stay_in_their_files(tmp_path: Path) -> None:
    """Keys are 0600, and the shared seed is in no file of a run."""
    (tmp_path / "seed").write_bytes(b"a very particular shared seed")
    (tmp_path / "seed").chmod(0o600)
    ended = run(tmp_path, "dadc", "run", "mabc", *SMALL, "--seed-file", "seed", "--out", "r", "--json")
    assert ended.code == 0, ended.err
    assert ended.last["seed"] is None
    keys = list((tmp_path / "r/keys").glob("*.key"))
    assert len(keys) == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)
    found = subprocess.run(["grep", "-rl", "particular shared", str(tmp_path / "r")], capture_output=True, text=True)
    assert found.stdout == ""


def test_independent_learners_run_and_are_checked_for_what_they_share(tmp_path: Path) -> None:
    options = ["mabc", "--seed", "7", *SMALL, "--set", "learning=independent", "--json"]
    real = run(tmp_path, "dadc", "run", *options, "--out", "r")
    assert real.code == 0, real.err
    assert "independent and differ" in real.err
    assert real.last["agent_digests"] == run(tmp_path, "dadc", "simulate", *options).last["agent_digests"]
    assert len(set(real.last["agent_digests"].values())) == 2
    checked = run(tmp_path, "dadc", "check", "r", "--json")
    assert (checked.code, checked.last["consistent"], checked.last["learners_compared"]) == (0, True, False)
    assert checked.last["steps_compared"] == 31
    assert "were not compared" in run(tmp_path, "dadc", "check", "r").out
    assert run(tmp_path, "dadc", "evaluate", "r", "--json").last["value"] == real.last["value"]


def test_the_certificate_of_a_run(tmp_path: Path) -> None:
    assert run(tmp_path, "dadc", "run", "mabc", *SMALL, "--out", "r", "--quiet").code == 0
    certified = run(tmp_path, "dadc", "evaluate", "r", "--certificate", "--json")
    assert certified.code == 0, certified.err
    found = certified.last["certificate"]
    assert found["bound"] >= found["error"] >= found["error_mean"] > 0
    assert all(found[name] >= found[f"{name}_mean"] > 0 for name in ("epsilon", "delta", "kappa"))
    shown = run(tmp_path, "dadc", "evaluate", "r", "--certificate").out
    assert "epsilon" in shown
    assert f"bound kappa + (epsilon + L_V delta) / (1 - gamma) = {found['bound']:.3f}" in shown
