"""All results of a sweep in one compact file, small enough to be committed: what tables and figures need, rounded.

The configuration of a curve stands there once. Of times only the CPU seconds of learning are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dadc_net import atomic_file
from dadc_net.config import read_configuration
from dadc_net.errors import ConfigError, CorruptStateError, UsageError
from dadc_net.experiment.result_file import RESULT_NAME
from dadc_net.experiment.sweep.result_folder import Record, ResultFolder
from dadc_net.experiment.sweep.telling_apart import SINGLE, told_apart
from dadc_net.runtime.metrics import read_metrics
from dadc_net.storage.folder import open_folder
from dadc_net.storage.kept_run import find_run
from dadc_net.storage.run_folder import config_file
from dadc_net.toml_text import read_toml_file

FORMAT = "dadc-net sweep collection 1"
_PER_CURVE: tuple[str, ...] = (
    *("curve", "panel", "label", "task", "algorithm", "updates", "env_steps", "method", "configuration"),
    *("optimum", "round_robin", "random"),
)
_PER_SEED: tuple[str, ...] = (
    *("seed", "environment_seed", "learner_digest", "value", "value_stderr", "value_monte_carlo"),
    *("value_monte_carlo_stderr", "gap", "round_robin_share", "normalised_gap", "cpu_s", "learning"),
)
_YOUNGER_PER_CURVE = ("best_constant", "best_constant_prescription", "optimum_residual")
_YOUNGER_PER_SEED = ("best_constant_share",)
"""What results did not hold at first; None where they do not."""
_DIGITS = 6
_MOST_POINTS = 100
REWARD = "mean reward per step"
"""What is drawn of a run whose rule was not valued; the others show the value of the greedy rule."""


def collect(title: str, records: Iterable[Record], path: Path) -> None:
    """Write ``records`` to ``path``, replacing it in one step."""
    curves: dict[str, dict[str, Any]] = {}
    for record in records:
        curve = curves.setdefault(record["curve"], {**_picked(record, _PER_CURVE, _YOUNGER_PER_CURVE), "seeds": []})
        curve["seeds"].append(_rounded(_picked(record, _PER_SEED, _YOUNGER_PER_SEED)))
    head = json.dumps({"format": FORMAT, "title": title})[:-1]
    # One line per seed, so that a difference between two versions can be read.
    body = ",\n".join(_curve_text(curve) for curve in curves.values())
    open_folder(path.parent)
    atomic_file.replace(path, f'{head}, "curves": [\n{body}\n]}}\n'.encode())


def _picked(record: Mapping[str, Any], keys: Sequence[str], younger: Sequence[str]) -> dict[str, Any]:
    return {**{key: record[key] for key in keys}, **{key: record.get(key) for key in younger}}


def _curve_text(curve: Mapping[str, Any]) -> str:
    head = json.dumps({key: value for key, value in curve.items() if key != "seeds"})[:-1]
    seeds = ",\n".join(json.dumps(seed, separators=(",", ":")) for seed in curve["seeds"])
    return f'{head}, "seeds": [\n{seeds}\n]}}'


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def read_results(paths: Sequence[Path]) -> list[Record]:
    """Results from folders of results, from collections, and from the folders of single runs, told apart.

    Raises:
        UsageError: if there is none, or one run is there twice.
        CorruptStateError: if a file is not what it should be.
    """
    records: list[Record] = []
    for path in paths:
        found = _read_place(path)
        if not found:
            raise UsageError(
                f"{path} holds no results. A sweep puts each finished run there as CURVE/seed-0000.json. Give the folder "
                "that was given to dadc sweep as --out, or a file that it made with --collect."
            )
        records += found
    records = told_apart(records)
    seen: set[tuple[str, str, int]] = set()
    for record in (one for one in records if one["seed"] is not None):
        key = (record["panel"], record["curve"], record["seed"])
        if key in seen:
            raise UsageError(
                f"curve {key[1]!r} has seed {key[2]} twice in {', '.join(map(str, paths))}. Each run may count once. Leave "
                "one of the places out."
            )
        seen.add(key)
    return records


def _read_place(path: Path) -> list[Record]:
    if (path / RESULT_NAME).is_file():
        return [_read_run(path)]
    if path.is_dir() and (rewards := _read_rewards(path)) is not None:
        return [rewards]
    return list(ResultFolder(path).records()) if path.is_dir() else _read_collection(path)


def _read_run(path: Path) -> Record:
    """The learning curve of a finished ``dadc run`` or ``dadc simulate``; runs of one configuration make one curve."""
    try:
        report = json.loads((path / RESULT_NAME).read_text(encoding="utf-8"))
        seen = [line for line in read_metrics(path) if line.get("value") is not None]
        learning = {key: [line[key] for line in seen] for key in ("env_steps", "value")}
        final = report["value_monte_carlo"] if report["value"] is None else report["value"]
        if final is None:
            if (rewards := _read_rewards(path)) is not None:
                return rewards
            raise ValueError("its rule was not valued, and its metrics tell of no rewards")
        if learning["env_steps"][-1:] == [report["env_steps"]]:
            learning["value"][-1] = final
        else:
            learning = {"env_steps": [*learning["env_steps"], report["env_steps"]], "value": [*learning["value"], final]}
        named = {"curve": report["algorithm"], "panel": report["task"], "label": report["algorithm"], SINGLE: True}
        named["configuration"] = read_toml_file(config_file(path))
        return {**report, **named, "round_robin": None, "learning": learning}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptStateError(
            f"the run {path} cannot be read: {error}. It is not finished, or damaged. Leave it out, or run it again."
        ) from error


def _read_rewards(path: Path) -> Record | None:
    """What a run earned while it learned, where nobody has valued its rule: one on separate hosts, or one that goes on.

    Its mean reward per step over at most ``_MOST_POINTS`` stretches; None where there is no such run.
    """
    try:
        run = find_run([path])
        given = read_configuration(run.require_config())
    except (UsageError, ConfigError):
        return None
    seen = {
        int(line["env_steps"]): float(line["reward_per_step"])
        for folder in run.folders[:1] + ([] if run.server is None else [run.server])
        for line in read_metrics(folder)
        if line.get("kind") == "reward"
    }
    if not seen:
        return None
    stretches = np.array_split(np.array(sorted(seen.items())), min(len(seen), _MOST_POINTS))
    learning = {
        "env_steps": [int(stretch[-1, 0]) for stretch in stretches],
        "value": [float(stretch[:, 1].mean()) for stretch in stretches],
    }
    task, algorithm = str(given.get("task")), str(given.get("algorithm"))
    named = {"curve": algorithm, "label": algorithm, "panel": f"{task}, while it learned", "quantity": REWARD}
    known = {"seed": None, "optimum": None, "round_robin": None, "task": task, "algorithm": algorithm}
    return {**known, **named, SINGLE: True, "configuration": given, "learning": learning}


def _read_collection(path: Path) -> list[Record]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']!r}")
        return [
            {**_picked(curve, _PER_CURVE, _YOUNGER_PER_CURVE), **_picked(seed, _PER_SEED, _YOUNGER_PER_SEED)}
            for curve in data["curves"]
            for seed in curve["seeds"]
        ]
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}. It should hold results of a sweep. Check the path."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptStateError(
            f"{path} is not a collection of results: {error}. Such a file is made by dadc sweep --collect. Make it again."
        ) from error
