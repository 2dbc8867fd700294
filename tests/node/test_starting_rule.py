"""Using what was learned: going on from it, acting with it and learning nothing, and refusing what does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import dadc_net
from dadc_net.audit.fresh_learner import FreshLearner
from dadc_net.cli.main import dadc
from dadc_net.cli.start import beginning
from dadc_net.config import RunConfig, resolve
from dadc_net.errors import ConfigError, CorruptStateError, InvariantError, MismatchError, UsageError
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation, SimulationResult, keep
from dadc_net.node.agent.replica import Replica
from dadc_net.node.agent.starting_rule import StartingRule
from dadc_net.node.messages import Fault
from dadc_net.runtime.learned_rule import find_rule, settle_rule
from dadc_net.storage import arrays_file
from dadc_net.storage.rule_file import load_rule_file, save_rule
from dadc_net.storage.run_folder import RunFolder
from tests.team_in_memory import MakeConfig, Team

MENU_ALGORITHMS = ("actor-critic", "ais-planning", "q-actor-critic")


def simulated(config: RunConfig, rule: StartingRule | None = None) -> SimulationResult:
    return Simulation(config, seed_bytes(7), seed_bytes(1), rule=rule).run()


def kept(folder: Path, config: RunConfig) -> tuple[RunFolder, SimulationResult]:
    """A run that has ended, and its folder."""
    run = RunFolder(folder)
    folder.mkdir()
    run.config.write_text(config.to_toml(), encoding="utf-8")
    ended = simulated(config)
    keep(run, config, ended)
    return run, ended


@pytest.fixture
def rule_file(small: MakeConfig, tmp_path: Path) -> Path:
    """A file of dadc export."""
    path = tmp_path / "one.rule"
    save_rule(path, find_rule(kept(tmp_path / "run", small())[0].path))
    return path


def goes_on(rule: StartingRule, frozen: str = "", *overrides: str, **options: Any) -> RunConfig:
    """A run of three updates that begins with ``rule``."""
    start = {"start.rule": rule.digest.hex(), "start.frozen": frozen, "updates": 3}
    return resolve("mabc", overrides, {**start, **options}, rule.settings)


@pytest.mark.parametrize("frozen", ["", "greedy", "drawn"])
def test_a_team_begins_with_a_rule_and_agrees(small: MakeConfig, tmp_path: Path, frozen: str) -> None:
    run, former = kept(tmp_path / "run", small())
    rule = find_rule(run.path)
    config = goes_on(rule, frozen)
    team = Team(config, rules={1: rule, 2: rule}).run()
    assert team.finished
    ended = simulated(config, rule)
    assert team.digests() == {*ended.agent_digests.values()}
    moved = [name for name, array in rule.arrays.items() if not np.array_equal(array, ended.snapshot[name])]
    assert bool(moved) is not bool(frozen)
    assert np.array_equal(former.snapshot["actor-critic/actor.weight"], rule.arrays["actor-critic/actor.weight"])
    assert simulated(small()).agent_digests != ended.agent_digests
    log = [account.record for account in team.accounts[1]]
    again = FreshLearner(config.settings, seed_bytes(7), rule)
    assert [account.digests for account in again.follow(log)] == [account.digests for account in team.accounts[2]]
    with pytest.raises(MismatchError, match=f"the learned rule {rule.digest.hex()[:16]}, and no learned"):
        FreshLearner(config.settings, seed_bytes(7))


@pytest.mark.parametrize("algorithm", MENU_ALGORITHMS)
def test_a_frozen_rule_plays_what_the_library_plays(small: MakeConfig, tmp_path: Path, algorithm: str) -> None:
    rule = find_rule(kept(tmp_path / "run", small(algorithm=algorithm))[0].path)
    config = goes_on(rule, "greedy")
    team = Team(config, rules={1: rule, 2: rule}).run()
    assert {account.report.losses == {} for account in team.accounts[1] if account.report is not None} == {True}
    save_rule(tmp_path / "one.rule", rule)
    learned = dadc_net.load_rule(tmp_path / "one.rule")
    learned.begin(4)
    replica = Replica(config.settings, seed_bytes(7), rule.part(1))
    for account in team.accounts[1][:-1]:
        told = replica._read(account.record)
        if told.begin.any():
            learned.begin(4)
        assert np.array_equal(learned.prescription(told.common), account.prescriptions)


def test_drawing_from_a_frozen_rule_is_not_its_best(small: MakeConfig, tmp_path: Path) -> None:
    rule = find_rule(kept(tmp_path / "run", small())[0].path)
    greedy, drawn = (simulated(goes_on(rule, how), rule).agent_digests for how in ("greedy", "drawn"))
    assert greedy != drawn


def test_a_run_that_goes_on_has_a_schedule_of_its_own(small: MakeConfig, tmp_path: Path) -> None:
    rule = find_rule(kept(tmp_path / "run", small(overrides=["ais.size=5", "learner.uniform_share=0.5"]))[0].path)
    save_rule(tmp_path / "one.rule", rule)
    start = beginning(str(tmp_path / "one.rule"), frozen=False, drawn=False)
    config = resolve("mabc", ["ais.learning_rate=0.001"], {**start.options, "updates": 7}, start.before)
    settings = config.settings
    assert (settings.ais.size, settings.updates, settings.ais.learning_rate) == (5, 7, 0.001)
    assert settings.learner.uniform_share == 0.0  # Else a rule that is there would not be used at first.
    assert resolve("mabc", [], {"start.rule": settings.start.rule}).settings.ais.size != 5


def test_agents_with_different_rules_are_refused_at_the_join(small: MakeConfig, tmp_path: Path) -> None:
    rule = find_rule(kept(tmp_path / "run", small())[0].path)
    arrays = {name: array.copy() for name, array in rule.arrays.items()}
    next(iter(arrays.values())).flat[0] += 2.0**-50
    other = replace(rule, arrays=arrays)
    for rules, config in (
        ({1: rule, 2: other}, goes_on(rule)),
        ({1: rule}, goes_on(rule)),
        ({2: rule}, small()),
    ):
        team = Team(config, rules=rules).run()
        assert not team.finished
        faults = [message for _, message in team.sent if isinstance(message, Fault)]
        assert [fault.exit_code for fault in faults] == [MismatchError.exit_code]
        assert "agent 2 would begin with " in faults[0].text
        assert "--from" in faults[0].text
        assert not any(team.accounts.values())


def test_what_was_learned_for_another_problem_is_refused(small: MakeConfig, tmp_path: Path) -> None:
    rule = find_rule(kept(tmp_path / "run", small())[0].path)
    for task, overrides, words in (
        ("mabc", ["menu=all"], "another problem .* theta_space.sizes"),
        ("mabc", ["structure=delayed-sharing"], "another problem .* common_space"),
        ("dec-tiger", [], "another problem .* common_space"),
        ("demand-response", ["env.agents=5", "algorithm=ppo"], r"num_agents = 2 \(given 5\)"),
    ):
        config = resolve(task, overrides, {"start.rule": rule.digest.hex()})
        with pytest.raises(MismatchError, match=words):
            rule.check_problem(config.settings, config.structure.to_plain(), config.family.to_plain())
    with pytest.raises(MismatchError, match=r"ais/.* has the shape \[.*\] in it and \[.*\] here"):
        simulated(goes_on(rule, "", "ais.size=3"), rule)
    with pytest.raises(MismatchError, match="none in it"):
        simulated(goes_on(rule, "", algorithm="trpo"), rule)
    with pytest.raises(InvariantError):
        Replica(small().settings, seed_bytes(7), rule.arrays)


def test_independent_learners_go_on_too(small: MakeConfig, tmp_path: Path) -> None:
    run, _ = kept(tmp_path / "run", small(overrides=["learning=independent"]))
    rule = find_rule(run.path)
    config = goes_on(rule, "greedy")
    team = Team(config, rules={1: rule, 2: rule}).run()
    assert team.finished
    assert len(team.digests()) == 2
    assert simulated(config, rule).agent_digests == {k: node.learner_digest.hex() for k, node in team.agents.items()}
    with pytest.raises(UsageError, match="holds the learner of 1 of 2 agents"):
        find_rule(run.agent(1))


def test_a_rule_file_is_small_checked_and_the_same_from_every_agent(small: MakeConfig, tmp_path: Path) -> None:
    run, ended = kept(tmp_path / "run", small())
    rule, path = find_rule(run.path), tmp_path / "one.rule"
    save_rule(path, rule)
    assert path.stat().st_size < sum(array.nbytes for array in ended.snapshot.values())
    assert load_rule_file(path).digest == find_rule(run.agent(1)).digest == rule.digest
    assert dadc_net.load_rule(path, "mabc").act([[0, 0, 0]], [[[1]], [[0]]]).shape == (1, 2)
    with pytest.raises(MismatchError, match="learned for another problem"):
        dadc_net.load_rule(path, "dec-tiger")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptStateError, match="is damaged"):
        load_rule_file(path)
    (tmp_path / "empty").mkdir()
    for origin, words in ((tmp_path / "empty", "holds nothing of a run"), (tmp_path / "none", "does not exist")):
        with pytest.raises(UsageError, match=words):
            beginning(str(origin), frozen=True, drawn=False)
    checkpoint = next(run.agent(1).glob("*.arrays"))
    with pytest.raises(UsageError, match="holds no learned rule of this version"):
        load_rule_file(checkpoint)


WRONG: list[tuple[str, Any]] = [
    *(("settings", wrong) for wrong in ({}, [], {"learning": 3}, {"num_agents": "two"})),
    *(("structure", wrong) for wrong in ({}, {"name": "x"}, {"name": 3, "parameters": {}}, {"name": "x", "parameters": 1})),
    *(("family", wrong) for wrong in ({}, {"kind": 3}, [1])),
    *(("update", wrong) for wrong in (True, "1", 1.5)),
    *(("agents", wrong) for wrong in ([], {"9": {}}, {"1": 3}, {"1": {}}, {"1": {"observation_space": {"kind": "x"}}})),
]


@pytest.mark.parametrize(("field", "wrong"), WRONG)
def test_a_made_up_rule_is_damaged_whatever_its_digest_says(field: str, wrong: object, rule_file: Path) -> None:
    """Whoever makes a file makes its digest as well."""
    arrays, meta = arrays_file.load(rule_file)
    own = {**meta["settings"], **wrong} if field == "settings" and wrong and isinstance(wrong, dict) else wrong
    arrays_file.save(rule_file, arrays, {**meta, field: own})
    with pytest.raises(CorruptStateError, match=r"one\.rule is damaged: .*\. Nothing was read from it\."):
        load_rule_file(rule_file)


@pytest.mark.parametrize("gone", ["update", "agent", "agents", "settings", "a tensor"])
def test_a_made_up_checkpoint_is_refused_with_a_sentence(gone: str, small: MakeConfig, tmp_path: Path) -> None:
    run, _ = kept(tmp_path / "run", small())
    newest = max(run.agent(1).glob("*.arrays"))
    arrays, meta = arrays_file.load(newest)
    if gone == "a tensor":
        rule = find_rule(run.path)
        arrays.pop(next(iter(rule.arrays)))
    arrays_file.save(newest, arrays, {name: value for name, value in meta.items() if name != gone})
    with pytest.raises((CorruptStateError, UsageError), match="Nothing was read from it"):
        find_rule(run.agent(1))


def test_of_a_shared_learner_one_checkpoint_is_taken_into_memory(
    small: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = kept(tmp_path / "run", small())
    loaded: list[Path] = []
    load = arrays_file.load
    monkeypatch.setattr("dadc_net.storage.arrays_file.load", lambda path: loaded.append(path) or load(path))
    rule = find_rule(run.path)
    assert set(rule.agents) == {"1", "2"}
    assert len(loaded) == 1
    for checkpoint in loaded[0].parent.glob("*.arrays"):
        assert arrays_file.load_meta(checkpoint) == load(checkpoint)[1]
        content = bytearray(checkpoint.read_bytes())
        content[-1] ^= 1
        checkpoint.write_bytes(content)
        with pytest.raises(CorruptStateError, match="does not have the digest"):
            arrays_file.load_meta(checkpoint)


def test_an_export_says_what_is_in_its_way_and_leaves_it(rule_file: Path) -> None:
    folder = rule_file.parent
    other = replace(load_rule_file(rule_file), update=9)
    save_rule(folder / "other.rule", other)
    arrays_file.save(folder / "arrays", {}, {"kind": "x"})
    (folder / "thesis.tex").write_text("mine")
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    (folder / "nowhere").symlink_to(folder / "gone")
    for name, words in {
        "other.rule": f"is the rule {other.digest.hex()[:16]}",
        "arrays": "is a file of another kind",
        "thesis.tex": "is no file of dadc export, or a damaged one",
        "empty": "is no file of dadc export, or a damaged one",
        "nowhere": "is a link that leads nowhere",
    }.items():
        before = (folder / name).read_bytes() if name != "nowhere" else b""
        shown = CliRunner().invoke(dadc, ["export", str(rule_file), "-o", str(folder / name)])
        assert isinstance(shown.exception, UsageError)
        assert words in str(shown.exception)
        assert "Nothing was overwritten" in str(shown.exception)
        assert name == "nowhere" or (folder / name).read_bytes() == before
    assert not (folder / "gone").exists()
    again = CliRunner().invoke(dadc, ["export", str(rule_file), "-o", str(rule_file)], catch_exceptions=False)
    assert again.exit_code == 0


def test_options_and_keys_that_do_not_fit_together() -> None:
    with pytest.raises(UsageError, match="--drawn was given without --frozen"):
        beginning(None, frozen=False, drawn=True)
    with pytest.raises(ConfigError, match="no learned rule to act with"):
        resolve("mabc", [], beginning(None, frozen=True, drawn=False).options)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        resolve("mabc", ["start.rule=abc"])
    assert beginning("0" * 64, False, False, digest_allowed=True).options["start.rule"] == "0" * 64


def test_an_agent_keeps_its_rule_beside_its_journal(small: MakeConfig, tmp_path: Path) -> None:
    rule = find_rule(kept(tmp_path / "run", small())[0].path)
    state = tmp_path / "agent-1"
    state.mkdir()
    assert settle_rule(state, None, has_run=False) is None
    assert settle_rule(state, rule, has_run=False) is rule
    again = settle_rule(state, None, has_run=True)
    assert again is not None
    assert again.digest == rule.digest
    with pytest.raises(MismatchError, match="holds a run that began with the learned rule"):
        settle_rule(state, replace(rule, update=9), has_run=True)
