"""A sweep as a TOML file: curves, each a run's configuration under a name, and the seeds of every curve.

seeds = 25                    # 0 .. 24 of every curve, unless it says otherwise; or a list
[common]                      # keys of a run that all curves share
evaluation = { trajectories = 2000 }

[[curve]]
name = "MABC actor-critic"    # also the folder of its results
panel = "MABC"                # which panel of a figure shows it; the task by default
label = "actor-critic"        # its name in the figure; the algorithm by default
seeds = [0, 1, 2]
env_steps = 1_500_000         # instead of updates: as many as this takes with the curve's batches
task = "mabc"                 # from here on: any key of a run
algorithm = "actor-critic"
ais = { size = 16 }
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dadc_net.config import RunConfig, resolve
from dadc_net.errors import ConfigError, UsageError
from dadc_net.schema import closest, convert, flat, require
from dadc_net.toml_text import read_toml_file

_TOP_LEVEL = ("title", "seeds", "common", "curve")
_MOST_SEEDS = 100_000


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One configuration, run with several seeds."""

    name: str
    panel: str
    label: str
    seeds: tuple[int, ...]
    config: RunConfig

    @property
    def folder(self) -> str:
        """Name of the folder of its results."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class SweepFile:
    """A sweep as its file describes it."""

    title: str
    curves: tuple[Curve, ...]

    def only(self, names: Sequence[str]) -> SweepFile:
        """The sweep with the curves ``names`` alone; all of them if there are no names. Raises UsageError for others."""
        known = {curve.name: curve for curve in self.curves}
        for name in names:
            if name not in known:
                raise UsageError(f"there is no curve {name!r}. {closest(name, known)} Correct --only.")
        return replace(self, curves=tuple(known[name] for name in names)) if names else self


def read_sweep(path: Path, overrides: Sequence[str] = (), seeds: Sequence[int] | None = None) -> SweepFile:
    """Read a sweep and resolve all its configurations, so that a wrong key is met before any run begins.

    Args:
        overrides: ``key=value`` strings for every curve; they win over the file.
        seeds: for every curve, instead of the file's.

    Raises:
        ConfigError, UsageError: naming the curve, the key, its value and the remedy.
    """
    try:
        given = read_toml_file(path)
    except OSError as error:
        raise UsageError(
            f"the sweep file {path} cannot be read: {error.strerror}. It is a TOML file of curves and seeds. Check the path."
        ) from error
    except ValueError as error:  # Not TOML, not UTF-8, or a number of thousands of digits.
        raise ConfigError(f"{path} is not valid TOML: {error}. No run was started. Correct the file.") from error
    for key in given:
        if key not in _TOP_LEVEL:
            raise ConfigError(f"There is no key {key} in a sweep. {closest(key, _TOP_LEVEL)} Correct it in {path}.")
    common, entries = given.get("common", {}), given.get("curve", [])
    if not isinstance(common, Mapping):
        raise ConfigError(f"common is {common!r}, but it is a section. It holds keys of a run. Write [common].")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise ConfigError(f"{path} has no curves. A sweep is a list of them. Write at least one [[curve]] section.")
    wanted = parse_seeds(given.get("seeds", 1), "seeds")
    curves = tuple(_curve(entry, common, wanted, overrides, seeds) for entry in entries)
    _refuse_twins(curves, path)
    return SweepFile(convert(str, given.get("title", path.stem), "title"), curves)


def parse_seeds(value: Any, key: str) -> tuple[int, ...]:
    """``25`` means 0 .. 24; a list means itself. Raises ConfigError for anything else."""
    remedy = "Give a number of seeds from 1 on, or a list of different seeds from 0 on."
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_SEEDS:
        return tuple(range(value))
    sound = isinstance(value, list) and value and all(isinstance(s, int) and not isinstance(s, bool) for s in value)
    if not sound or len(set(value)) != len(value) or min(value) < 0:
        raise ConfigError(f"{key} is {value!r}. It says with which seeds the curves are run. {remedy}")
    return tuple(value)


def _curve(
    entry: Mapping[str, Any],
    common: Mapping[str, Any],
    seeds: tuple[int, ...],
    overrides: Sequence[str],
    chosen: Sequence[int] | None,
) -> Curve:
    given = dict(entry)
    if "name" not in given:
        raise ConfigError(f"A curve has no name: {dict(entry)!r}. The name is the folder of its results. Add name = ...")
    name = convert(str, given.pop("name"), "curve.name")
    own = parse_seeds(given.pop("seeds"), f"seeds of the curve {name!r}") if "seeds" in given else seeds
    panel, label = given.pop("panel", None), given.pop("label", None)
    env_steps = given.pop("env_steps", common.get("env_steps"))
    try:
        merged = {**common, **{key: _merged(common.get(key), value) for key, value in given.items()}}
        options = flat({key: value for key, value in merged.items() if key != "env_steps"})
        task = convert(str, options.pop("task", "mabc"), "task")
        # The command line wins over the file, so its overrides are put in last.
        written = [override.partition("=")[0].strip() for override in overrides]
        options = {key: value for key, value in options.items() if key not in written}
        config = resolve(task, overrides, options)
        if env_steps is not None and "updates" not in written:
            config = resolve(task, overrides, {**options, "updates": _updates(env_steps, options, config)})
    except UsageError as error:
        raise type(error)(f"curve {name!r}: {error}") from error
    return Curve(
        name=name,
        panel=config.task.name if panel is None else convert(str, panel, "curve.panel"),
        label=config.settings.algorithm if label is None else convert(str, label, "curve.label"),
        seeds=own if chosen is None else tuple(chosen),
        config=config,
    )


def _updates(env_steps: Any, options: Mapping[str, Any], config: RunConfig) -> int:
    """Updates that take at least ``env_steps``."""
    wanted: int = convert(int, env_steps, "env_steps")
    require(wanted >= 1 and "updates" not in options, "env_steps", wanted, "Give at least 1, and no updates as well.")
    return -(-wanted // config.settings.learner.batch_steps)


def _merged(shared: Any, own: Any) -> Any:
    both = isinstance(shared, Mapping) and isinstance(own, Mapping)
    return {**shared, **own} if both else own


def _refuse_twins(curves: Sequence[Curve], path: Path) -> None:
    seen: dict[str, str] = {}
    for curve in curves:
        if not curve.folder:
            raise ConfigError(f"the curve name {curve.name!r} has no letter or digit. It names a folder. Give another.")
        if curve.folder in seen:
            raise ConfigError(
                f"two curves, {seen[curve.folder]!r} and {curve.name!r}, share the folder {curve.folder}. Their results "
                f"would be mixed up. Rename one of them in {path}."
            )
        seen[curve.folder] = curve.name
