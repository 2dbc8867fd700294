"""Sweeps without processes: the file, results and their digests, summaries, collections."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.cli.sweep import _engine, _seeds
from dadc_net.errors import ConfigError, CorruptStateError, DadcError, Interrupted, MismatchError, NumericError, UsageError
from dadc_net.experiment.sweep import collection
from dadc_net.experiment.sweep.engine import Observer
from dadc_net.experiment.sweep.result_folder import ResultFolder, changes
from dadc_net.experiment.sweep.summary import Quartiles, summarise, table
from dadc_net.experiment.sweep.sweep import Sweep
from dadc_net.experiment.sweep.sweep_file import SweepFile, read_sweep
from dadc_net.experiment.sweep.trial import Trial, run_trial
from dadc_net.runtime.control import StopRequest

TINY = """
title = "tiny"
seeds = 2
[common]
updates = 2
learner = { num_envs = 4, batch_steps = 40 }
evaluation = { trajectories = 20, progress_trajectories = 10, monte_carlo_trajectories = 10 }
[[curve]]
name = "AC, plain"
task = "mabc"
learner = { hidden_size = 3 }
[[curve]]
name = "PPO"
panel = "other panel"
label = "proximal"
seeds = [4]
algorithm = "ppo"
"""


def _read(folder: Path, text: str = TINY, **options: Any) -> SweepFile:
    path = folder / "sweep.toml"
    path.write_text(text, encoding="utf-8")
    return read_sweep(path, **options)


def _sweep(folder: Path, text: str = TINY, **options: Any) -> Sweep:
    return Sweep(_read(folder, text, **options), ResultFolder(folder / "out"), 100)


class _Here:
    """An engine without processes; trials named in ``broken`` fail, and it stops itself before trial ``stop_at``."""

    def __init__(self, broken: Mapping[str, DadcError] | None = None, stop_at: int | None = None) -> None:
        self.broken = broken or {}
        self.stop_at = stop_at

    def run(self, trials: list[Trial], observer: Observer, stop: StopRequest) -> None:
        for index, trial in enumerate(trials):
            if index == self.stop_at:
                stop.request("SIGINT")
                return
            observer.started(trial)
            if trial.name in self.broken:
                observer.failed(trial, self.broken[trial.name])
            else:
                observer.finished(trial, run_trial(trial, lambda share, t=trial: observer.progressed(t, share)))


class _Log:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def started(self, trial: Trial) -> None:
        self.heard.append(("started", trial.name))

    def progressed(self, trial: Trial, share: float) -> None:
        assert 0 < share <= 1

    def finished(self, trial: Trial, record: Mapping[str, Any]) -> None:
        self.heard.append(("finished", trial.name))

    def failed(self, trial: Trial, error: DadcError) -> None:
        self.heard.append(("failed", trial.name))


def test_a_file_describes_curves_seeds_and_shared_keys(tmp_path: Path) -> None:
    file = _read(tmp_path)
    first, second = file.curves
    assert (file.title, first.folder, second.folder) == ("tiny", "ac-plain", "ppo")
    assert (first.seeds, second.seeds) == ((0, 1), (4,))
    assert (first.panel, first.label, second.panel, second.label) == ("mabc", "actor-critic", "other panel", "proximal")
    assert (first.config.settings.learner.hidden_size, first.config.settings.learner.num_envs) == (3, 4)
    assert (second.config.settings.learner.hidden_size, second.config.settings.algorithm) == (16, "ppo")
    assert [c.name for c in file.only(["PPO"]).curves] == ["PPO"]
    changed = _read(tmp_path, overrides=["updates=3", "learner.hidden_size=5"], seeds=[7, 8])
    assert {c.config.settings.updates for c in changed.curves} == {3}
    assert {c.config.settings.learner.hidden_size for c in changed.curves} == {5}
    assert {c.seeds for c in changed.curves} == {(7, 8)}


def test_a_length_in_env_steps_becomes_updates(tmp_path: Path) -> None:
    text = '[common]\nenv_steps = 1000\n[[curve]]\nname = "a"\nlearner = {{ num_envs = 4, batch_steps = 40 }}\n{}'
    lengths = {"": 25, "env_steps = 1001": 26, "env_steps = 1": 1}
    for line, updates in lengths.items():
        (curve,) = _read(tmp_path, text.format(line)).curves
        assert curve.config.settings.updates == updates
    (curve,) = _read(tmp_path, text.format(""), overrides=["updates=3"]).curves
    assert curve.config.settings.updates == 3
    for line in ("env_steps = 0", "updates = 3", 'env_steps = "1M"'):
        with pytest.raises(ConfigError, match="curve 'a': env_steps is"):
            _read(tmp_path, text.format(line))


def test_trials_vary_both_seeds_and_go_round_the_curves(tmp_path: Path) -> None:
    trials = _sweep(tmp_path).trials()
    seeds = [(t.curve, t.seed, t.environment_seed) for t in trials]
    assert seeds == [("AC, plain", 0, 100), ("PPO", 4, 104), ("AC, plain", 1, 101)]
    assert len({t.digest() for t in trials}) == 3
    machine = {**trials[0].configuration, "runtime": {"lockstep_timeout_s": 1.0}}
    assert replace(trials[0], configuration=machine).digest() == trials[0].digest()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no curves"),
        ("curve = 3", "has no curves"),
        ("curves = []", "Did you mean 'curve'"),
        ('[[curve]]\ntask = "mabc"', "has no name"),
        ('[[curve]]\nname = "a"\nalgoritm = "ppo"', r"curve 'a': There is no key algoritm\. Did you mean 'algorithm'"),
        ('[[curve]]\nname = "a"\nais = { sise = 3 }', r"curve 'a': There is no key ais\.sise"),
        ('[[curve]]\nname = "a"\ntask = "mabk"', "curve 'a': there is no task 'mabk'"),
        ('[[curve]]\nname = "a"\nais = { size = 0 }', r"curve 'a': ais\.size is 0"),
        ('[[curve]]\nname = "a b"\n[[curve]]\nname = "A-B"', "share the folder a-b"),
        ('[[curve]]\nname = "!"', "no letter or digit"),
        ('seeds = 0\n[[curve]]\nname = "a"', "seeds is 0"),
        ('seeds = [1, 1]\n[[curve]]\nname = "a"', "different seeds"),
        ('[[curve]]\nname = "a"\nseeds = "all"', "seeds of the curve 'a'"),
        ('common = 1\n[[curve]]\nname = "a"', "common is 1"),
        ("[[curve]", "not valid TOML"),
    ],
)
def test_wrong_files_are_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, UsageError), match=words):
        _read(tmp_path, text)
    with pytest.raises(UsageError, match="cannot be read"):
        read_sweep(tmp_path / "none.toml")


def test_seeds_on_the_command_line() -> None:
    assert _seeds("3") == (0, 1, 2)
    assert _seeds("10-12") == (10, 11, 12)
    for text in ("0", "x", "3-", "5-4", "-2", "1-2-3"):
        with pytest.raises(UsageError, match="--seeds"):
            _seeds(text)


def test_a_result_holds_the_learning_curve_and_the_same_run_gives_it_again(tmp_path: Path) -> None:
    trial = _sweep(tmp_path).trials()[0]
    shares: list[float] = []
    record = run_trial(trial, shares.append)
    learning = record["learning"]
    assert learning["env_steps"] == [0, 40, 80]
    assert shares == [0.5, 1.0]
    assert {len(column) for column in learning.values()} == {3}
    assert learning["ais_spread"][0] is None
    assert all(rank >= 0 for rank in learning["ais_rank"][1:])
    assert learning["value"][-1] == record["value"]
    lost = record["optimum"] - record["value"]
    assert record["gap"] == pytest.approx(lost / abs(record["optimum"]))
    assert record["normalised_gap"] == pytest.approx(lost / (record["optimum"] - record["random"]))
    again = run_trial(trial, shares.append)
    times = {"cpu_s", "evaluation_cpu_s", "wall_s"}
    assert {k: v for k, v in again.items() if k not in times} == {k: v for k, v in record.items() if k not in times}
    other = run_trial(replace(trial, environment_seed=trial.environment_seed + 1), shares.append)
    assert other["learner_digest"] != record["learner_digest"]


def test_the_digests_are_those_of_dadc_simulate(tmp_path: Path) -> None:
    sweep = _sweep(tmp_path)
    trial = sweep.trials()[0]
    (tmp_path / "run.toml").write_text(sweep.file.curves[0].config.to_toml(), encoding="utf-8")
    seeds = ["--seed", str(trial.seed), "--env-seed", str(trial.environment_seed)]
    shown = CliRunner().invoke(
        dadc, ["simulate", str(tmp_path / "run.toml"), *seeds, "--out", str(tmp_path / "r"), "--quiet", "--json"]
    )
    assert json.loads(shown.output.splitlines()[-1])["learner_digest"] == run_trial(trial, lambda _: None)["learner_digest"]


def test_a_sweep_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    sweep, log, stop = _sweep(tmp_path), _Log(), StopRequest()
    with pytest.raises(Interrupted, match="1 runs were finished"):
        sweep.run(_Here(stop_at=1), sweep.missing(), log, stop)
    first = sweep.folder.file(sweep.trials()[0])
    before = first.read_bytes()
    assert [t.name for t in sweep.missing()] == ["PPO, seed 4", "AC, plain, seed 1"]
    sweep.run(_Here(), sweep.missing(), log, StopRequest())
    assert sweep.missing() == []
    assert first.read_bytes() == before
    assert [name for kind, name in log.heard if kind == "finished"] == [t.name for t in sweep.trials()]


def test_runs_that_are_known_from_elsewhere_count_and_are_not_run_again(tmp_path: Path) -> None:
    before = _sweep(tmp_path, seeds=[0])
    before.run(_Here(), before.missing(), _Log(), StopRequest())
    collection.collect("tiny", before.records(), tmp_path / "known.json")
    known = collection.read_results([tmp_path / "known.json"])
    later, log = Sweep(_read(tmp_path, seeds=[0, 1]), ResultFolder(tmp_path / "new"), 100, known), _Log()
    later.run(_Here(), later.missing(), log, StopRequest())
    assert [name for kind, name in log.heard if kind == "finished"] == ["AC, plain, seed 1", "PPO, seed 1"]
    assert {(one["curve"], one["seed"]) for one in later.records()} == {(c, s) for c in ("AC, plain", "PPO") for s in (0, 1)}
    moved = Sweep(later.file, ResultFolder(tmp_path / "newer"), 101, known)
    with pytest.raises(MismatchError, match="environment_seed: 100 -> 101"):
        moved.missing()
    assert len(moved.missing(again=True)) == 4


def test_one_failure_does_not_lose_the_others(tmp_path: Path) -> None:
    sweep = _sweep(tmp_path)
    broken = {"PPO, seed 4": NumericError("NaN in a test. Nowhere. Smile.")}
    with pytest.raises(NumericError, match=r"1 of the runs failed.*\n  PPO, seed 4: NaN in a test"):
        sweep.run(_Here(broken), sweep.missing(), _Log(), StopRequest())
    assert [record["curve"] for record in sweep.records()] == ["AC, plain", "AC, plain"]
    assert [t.name for t in sweep.missing()] == ["PPO, seed 4"]


def test_a_changed_configuration_of_a_finished_run_is_named(tmp_path: Path) -> None:
    sweep = _sweep(tmp_path)
    sweep.run(_Here(), sweep.missing(), _Log(), StopRequest())
    changed = _sweep(tmp_path, overrides=["ais.size=7"])
    with pytest.raises(MismatchError, match=r"AC, plain, seed 0 \(ais\.size: 16 -> 7\)"):
        changed.missing()
    assert changed.records() == []
    assert len(changed.missing(again=True)) == 3
    moved = Sweep(sweep.file, sweep.folder, 101)
    with pytest.raises(MismatchError, match="environment_seed: 100 -> 101"):
        moved.missing()


def test_a_key_that_is_new_and_has_its_default_is_no_change(tmp_path: Path) -> None:
    trial = _sweep(tmp_path).trials()[0]
    record = run_trial(trial, lambda _: None)
    ais = {key: value for key, value in trial.configuration["ais"].items() if key != "particles"}
    younger = ("learning", "prescriptions", "theta", "q")
    then = {key: value for key, value in trial.configuration.items() if key not in younger}
    old = {**record, "digest": "of then", "configuration": {**then, "ais": ais}}
    assert changes(old, trial) == []
    other = replace(trial, configuration={**trial.configuration, "ais": {**ais, "particles": 5}})
    assert changes(old, other) == ["ais.particles: absent -> 5"]


def test_a_damaged_result_is_refused(tmp_path: Path) -> None:
    sweep = _sweep(tmp_path)
    path = sweep.folder.file(sweep.trials()[0])
    path.parent.mkdir(parents=True)
    for content, words in (("{", "cannot be read"), ("[]", "not a result"), ('{"format": "x"}', "not a result")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(CorruptStateError, match=words):
            sweep.missing()


def test_quartiles_and_table() -> None:
    assert Quartiles.of([1.0, 2.0, 3.0, 4.0, 5.0]) == Quartiles(first=2.0, median=3.0, third=4.0)
    assert Quartiles.of([]) is None
    assert Quartiles.of([1.0, None]) is None
    shared = {"panel": "p", "env_steps": 1000, "optimum": 2.0, "cpu_s": 3.0}
    records: list[dict[str, Any]] = [
        {
            **{"curve": "a", **shared, "value": v, "gap": g, "round_robin_share": None, "normalised_gap": g / 2},
            "best_constant_share": 1.0 - g / 4,
        }
        for v, g in ((1.0, 0.5), (1.5, 0.25), (1.75, 0.125))
    ]
    (found,) = summarise(records)
    assert (found.seeds, found.gap, found.round_robin_share) == (3, Quartiles(first=0.1875, median=0.25, third=0.375), None)
    assert found.blind_gap == Quartiles(first=0.1875 / 4, median=0.0625, third=0.375 / 4)
    lines = table([found], {"a": 5, "b": 2}).splitlines()
    assert lines[1].split("  ")[0] == "a"
    assert "3/5" in lines[1]
    assert "25.00 [18.75, 37.50]" in lines[1]
    assert "12.50 [9.38, 18.75]  6.2 [4.7, 9.4]" in lines[1]
    # Results that were kept before there was such a share are shown without.
    (older,) = summarise([{key: value for key, value in record.items() if "share" not in key} | {"round_robin_share": None}
                          for record in records])  # fmt: skip
    assert (older.blind_gap, older.gap) == (None, found.gap)
    assert lines[2].split() == ["b", "0/2"]


def test_results_are_collected_in_one_file_and_merged_from_several_places(tmp_path: Path) -> None:
    for machine, seeds in (("one", [0]), ("two", [1])):
        (tmp_path / machine).mkdir()
        sweep = _sweep(tmp_path / machine, seeds=seeds)
        sweep.run(_Here(), sweep.missing(), _Log(), StopRequest())
    places = [tmp_path / "one" / "out", tmp_path / "two" / "out"]
    records = collection.read_results(places)
    assert sorted((r["curve"], r["seed"]) for r in records) == [("AC, plain", 0), ("AC, plain", 1), ("PPO", 0), ("PPO", 1)]
    collection.collect("tiny", records, tmp_path / "all.json")
    again = collection.read_results([tmp_path / "all.json"])
    order = [(r["curve"], r["seed"]) for r in records]
    again.sort(key=lambda r: order.index((r["curve"], r["seed"])))
    for before, after in zip(records, again, strict=True):
        assert after["value"] == pytest.approx(before["value"], abs=1e-6)
        assert after["learning"]["env_steps"] == before["learning"]["env_steps"]
        assert after["learner_digest"] == before["learner_digest"]
    with pytest.raises(UsageError, match=r"has seed 0 twice"):
        collection.read_results([places[0], tmp_path / "all.json"])


def test_empty_and_wrong_places_of_results_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format": "other"}', encoding="utf-8")
    with pytest.raises(UsageError, match="holds no results"):
        collection.read_results([tmp_path])
    with pytest.raises(UsageError, match="cannot be read"):
        collection.read_results([tmp_path / "none.json"])
    with pytest.raises(CorruptStateError, match="'other'"):
        collection.read_results([tmp_path / "x.json"])


def test_the_engine_and_its_options_must_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, scheduler, jobs, words in (
        ("dask", None, None, "must be named"),
        ("dask", "tcp://h:1", 2, "--jobs 2"),
        ("local", "tcp://h:1", None, "Add --engine"),
    ):
        with pytest.raises(UsageError, match=words):
            _engine(name, scheduler, jobs)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'dadc-net\[sweep\]'"):
        _engine("dask", "tcp://127.0.0.1:1", None)
