"""Presets: what a run uses when nobody says otherwise. A task brings its own, per preset and algorithm.

They are data: a TOML file beside the task, with tables ``[PRESET.ALGORITHM]`` that hold keys and sections as a configuration
does. ``tuned`` is the preset of a run that names none. Where a task has none for the algorithm, ``general`` stands in, the
recipe that the package brings for every task: ``general.toml``, with tables ``[ALGORITHM]``, and ``[other]``.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.errors import ConfigError
from dadc_net.schema import closest
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.tasks import Task

DEFAULT_PRESET = "tuned"
GENERAL = "general"


def presets(task: Task) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Preset -> algorithm -> defaults, in the form of ``RunConfig.to_plain``.

    Raises:
        ConfigError: if the task's file cannot be read.
    """
    if not isinstance(task.presets, str):
        return task.presets
    package, _, name = task.presets.partition(":")
    try:
        return tomllib.loads(importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8"))
    except (ImportError, TypeError, ValueError, OSError) as error:  # ValueError: not TOML, or not UTF-8.
        raise ConfigError(
            f"the presets {task.presets!r} of the task {task.name} cannot be read: {error}. They are a TOML file, named as "
            "package:file. Correct the task, or the file."
        ) from error


@cache
def recipe() -> Mapping[str, Mapping[str, Any]]:
    """Algorithm, or ``other`` -> the defaults of the preset ``general``."""
    return tomllib.loads(importlib.resources.files("dadc_net").joinpath("general.toml").read_text(encoding="utf-8"))


def default_preset(task: Task, algorithm: str) -> str:
    """The preset of a run that names none: ``tuned`` where the task brings it for the algorithm, else ``general``."""
    return DEFAULT_PRESET if algorithm in presets(task).get(DEFAULT_PRESET, {}) else GENERAL


def preset(task: Task, algorithm: str, name: str) -> Mapping[str, Any]:
    """Defaults of ``algorithm`` on ``task``.

    Raises:
        ConfigError: if there is no preset of this name for them, or the task's file cannot be read.
    """
    known = presets(task)
    for one in (one for tables in known.values() for one in tables):
        if one not in ALGORITHMS:
            raise ConfigError(
                f"the presets of the task {task.name} have a table for the algorithm {one!r}, which does not exist. "
                f"{closest(one, ALGORITHMS)} Correct the table's name, [PRESET.ALGORITHM]."
            )
    if GENERAL in known:
        raise ConfigError(
            f"the presets of the task {task.name} have a table {GENERAL!r}, which is the package's recipe for every task. "
            "One name cannot be two presets. Give the task's another name."
        )
    if name == GENERAL:
        return recipe().get(algorithm, recipe()["other"])
    if algorithm in known.get(name, {}):
        return known[name][algorithm]
    if name == DEFAULT_PRESET:
        return {}  # Nobody gets it unasked; configurations that were kept before there was a recipe name it.
    having = ", ".join(sorted(f"{task.name} {one}" for one in known.get(name, {})))
    names = [*known, GENERAL]
    raise ConfigError(
        f"preset is {name!r}, which does not exist for the algorithm {algorithm} on the task {task.name}. "
        + (f"It exists for {having}." if having else f"{closest(name, names)} Choose one of {', '.join(names)}.")
    )


def restarts(task: Task, name: str, discount: float) -> dict[str, int]:
    """After how many steps the recipe has a copy begin afresh: what comes later weighs little in a value from the start."""
    fields = {field.name for field in dataclasses.fields(task.parameters_type)}
    if name != GENERAL or "restart_steps" not in fields or not 0.0 < discount < 1.0:
        return {}
    return {"restart_steps": max(1, round(2.0 / (1.0 - discount)))}


def ais_of_recipe(name: str, spec: EnvironmentSpec) -> dict[str, bool]:
    """What the recipe says of the AIS by the environment: where episodes are known to end, it predicts the end."""
    return {"predicts_end": True} if name == GENERAL and (spec.horizon > 0 or spec.truncates) else {}
