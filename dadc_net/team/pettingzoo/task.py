"""The task that ``pettingzoo:MODULE.ENV`` names.

All that agents see is private and all that they do is common (control sharing); where joint actions are too many to be
predicted one by one, nothing is common (no sharing). Prescriptions are tables where observations are few, linear maps of
the observation otherwise.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from dadc_net.errors import ConfigError, UsageError
from dadc_net.team.any_task import GIBBS, LINEAR
from dadc_net.team.pettingzoo.environment import ParallelEnvironment, ParallelParameters
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.own_memory import ControlSharing, NoSharing
from dadc_net.team.tasks import Task

_MOST_COMMON = 128
"""Joint actions that are made common."""
_MOST_ROWS = 64
"""Observations for which a table of logits is the default."""


def parallel_task(name: str, construct: Callable[..., Any] | None = None) -> Task:
    """The task of the environment ``MODULE.ENV``: a module with ``parallel_env``, or a function or class of a module.

    ``construct``: what makes it, where ``name`` says it in another way.

    Raises:
        UsageError: if there is no such environment.
        ConfigError: if its spaces are not known ones.
    """
    construct = construct or _constructor(name)
    spec = _make(name, construct, ParallelParameters(), 1).spec
    rows = [agent.observation_space.num_values for agent in spec.agents if isinstance(agent.observation_space, FiniteSpace)]
    few = len(rows) == spec.num_agents and max(rows) <= _MOST_ROWS
    return Task(
        name=f"pettingzoo:{name}",
        parameters_type=ParallelParameters,
        make=partial(_make, name, construct),
        structure=ControlSharing() if spec.joint_action_space.num_values <= _MOST_COMMON else NoSharing(),
        menus={},
        default_menu="",
        default_discount=0.95,
        default_prescriptions=GIBBS if few else LINEAR,
        default_algorithm="ppo",
        # Each copy is an object of its own, stepped by itself in Python; MPE's hold a drawing surface of 2 MB.
        evaluation={"trajectories": 200, "progress_trajectories": 64, "copies": 64},
    )


def _constructor(name: str) -> Callable[..., Any]:
    parent, _, last = name.rpartition(".")
    try:
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not parent or error.name not in (name, parent):
                raise
            found = getattr(importlib.import_module(parent), last)
        construct: Any = getattr(found, "parallel_env", found)
        if callable(construct):
            return construct  # type: ignore[no-any-return]
        raise AttributeError(f"{name} has no parallel_env and cannot be called")
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the PettingZoo environment {name} cannot be loaded: {error}. It is read as pettingzoo:MODULE.ENV, such as "
            "pettingzoo:mpe2.simple_spread_v3. Install what it needs, and check the name."
        ) from error


def _make(name: str, construct: Callable[..., Any], parameters: ParallelParameters, copies: int) -> ParallelEnvironment:
    arguments = dict(map(_argument, parameters.arguments))

    def native() -> Any:
        try:
            made = construct(**arguments)
        except Exception as error:  # It is somebody else's program.
            raise ConfigError(
                f"the environment {name} cannot be made with {arguments}: {type(error).__name__}: {error}. No process was "
                "started. Correct env.arguments, or install what it needs."
            ) from error
        if not hasattr(made, "possible_agents") or not callable(getattr(made, "observation_space", None)):
            raise ConfigError(
                f"{name} makes a {type(made).__name__}, which has no possible_agents or observation_space(agent). It is no "
                "ParallelEnv. Name a module with parallel_env."
            )
        if not made.possible_agents:
            raise ConfigError(
                f"{name} has no possible_agents: {made.possible_agents!r}. A team has at least one agent, and all are named "
                "before a run. Correct the environment."
            )
        return made

    return ParallelEnvironment(name, native, parameters, copies)


def _argument(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    try:
        if separator and key.strip().isidentifier():
            return key.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        pass
    raise ConfigError(
        f"env.arguments has {text!r}, which is not name=value with a Python literal. Nothing was made. Write, for example, "
        "--set 'env.arguments=[\"max_cycles=50\"]'."
    )
