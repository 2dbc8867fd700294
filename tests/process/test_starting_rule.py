"""What was learned is used on separate hosts: every agent has its own files, and the server no more than a digest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.process.commands import ENVIRONMENT_SEED, SMALL, finish, free_port, run, start

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
QUIET = ["--set", "evaluation.monte_carlo_trajectories=0", "--set", "evaluation.trajectories=0", "--json"]


def test_agents_act_with_an_exported_rule_that_the_server_knows_by_its_digest(tmp_path: Path) -> None:
    assert run(tmp_path, "dadc", "simulate", "mabc", *SMALL, *QUIET, "--out", "before").code == 0
    exported = run(tmp_path, "dadc", "export", "before", "-o", "one.rule", "--json").last
    frozen = run(tmp_path, "dadc", "simulate", "mabc", "--from", "one.rule", "--frozen", *QUIET).last
    address = f"tcp://127.0.0.1:{free_port()}"
    told = ["--env-seed", ENVIRONMENT_SEED, "--bind", address, "--from", exported["digest"], "--frozen"]
    server = start(tmp_path, "dadc-env", "--task", "mabc", *SMALL, *told)
    agents = {}
    for agent in (1, 2):
        own = tmp_path / f"host-{agent}"
        own.mkdir()
        shutil.copy(tmp_path / "one.rule", own)
        common = ("dadc-agent", "--id", str(agent), "--server", address, "--keys", str(tmp_path / "dadc-keys"))
        if agent == 2:
            refused = run(own, *common)
            assert refused.code == 11, refused.err
            assert f"this run begins with the learned rule {exported['digest'][:16]}" in refused.err
        agents[agent] = start(own, *common, "--from", "one.rule")
    for process in (server, *agents.values()):
        ended = finish(process)
        assert ended.code == 0, ended.err
        assert ended.out.split()[-1] == frozen["learner_digest"]
    states = ["dadc-state/server", *(f"host-{agent}/dadc-state/agent-{agent}" for agent in agents)]
    checked = run(tmp_path, "dadc", "check", *states, "--recompute", "--json")
    assert (checked.code, checked.last["consistent"], checked.last["complete"]) == (0, True, True), checked.err


def test_wrong_rules_get_a_sentence_before_anything_starts(tmp_path: Path) -> None:
    assert run(tmp_path, "dadc", "simulate", "mabc", *SMALL, *QUIET, "--out", "before").code == 0
    assert run(tmp_path, "dadc", "export", "before").out.strip()
    whole = (tmp_path / "before.rule").read_bytes()
    (tmp_path / "cut.rule").write_bytes(whole[:-8])
    for task, rule, code, words in (
        ("mabc", "cut.rule", 15, "cut.rule is damaged"),
        ("dec-tiger", "before.rule", 11, "was learned for another problem than this run's"),
        ("mabc", "nowhere", 2, "--from nowhere does not exist"),
    ):
        ended = run(tmp_path, "dadc", "run", task, "--from", rule, "--out", "new")
        assert ended.code == code, ended.err
        assert words in ended.err
        assert "Traceback" not in ended.err
        assert not (tmp_path / "new").exists()
