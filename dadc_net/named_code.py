"""What a TASK may be called, and code that a user names on the command line: found, called, and checked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from dadc_net import user_code
from dadc_net.errors import UsageError, UserCodeError
from dadc_net.finite_files import is_model_file, load_model_task
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.tasks import Task, find_task, model_task
from dadc_net.team.user_code import blame_owner


def load_task(name: str) -> Task:
    """A built-in task by name, that of a .dpomdp file or a PettingZoo environment, or what a user's factory returns."""
    if is_model_file(name):
        return load_model_task(name)
    if ":" not in name:
        return find_task(name)
    if name.startswith(user_code.PETTINGZOO):
        return _parallel_task(name.removeprefix(user_code.PETTINGZOO))
    factory = named_code(name, "task", "package.module:factory, or as FILE.py:factory")
    task = called(f"the factory of the task {name}", factory)
    if isinstance(task, FiniteModel):
        return model_task(task)
    if not isinstance(task, Task):
        raise UsageError(
            f"{name} returned {task!r:.60} instead of a dadc_net.Task. No run was started. Return a Task that "
            "says how to make the environment, or a dadc_net.FiniteModel."
        )
    return task


def _parallel_task(name: str) -> Task:
    try:
        import gymnasium  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"pettingzoo:{name} needs the packages pettingzoo and gymnasium: {error}. No run was started. Install them: "
            "pip install 'dadc-net[pettingzoo]'"
        ) from error
    # An extra: gymnasium is not there for everybody.
    from dadc_net.team.pettingzoo.task import parallel_task

    _look_here_too()
    if ":" in name:
        return parallel_task(name, named_code(name, "PettingZoo environment", "pettingzoo:FILE.py:function"))
    return parallel_task(name)


def named_code(name: str, what: str, form: str) -> Any:
    """What a user's ``name`` names; the current folder is looked at last, so that nothing in it hides anything else.

    Raises:
        UsageError: if it is not there.
        UserCodeError: if its module fails while it is imported.
    """
    _look_here_too()
    try:
        return user_code.load(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the {what} {name} cannot be loaded: {error}. It is read as {form}. Modules are looked for in PYTHONPATH, "
            f"among what is installed, and in {os.getcwd()}: put it into one of them."
        ) from error
    except (Exception, SystemExit) as error:
        raise UserCodeError(
            f"the module of the {what} {name} failed while it was imported. It is not part of dadc-net, and no run was "
            "started. Mend it, then give the same command again."
        ) from error


def _look_here_too() -> None:
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())


def called(what: str, made: Callable[..., object], *arguments: object) -> object:
    """What a user's callable returns. Raises UserCodeError if it fails, UsageError if it cannot be called like that."""
    try:
        return made(*arguments)
    except (Exception, SystemExit) as error:
        blame_owner(what, made, error)
        if isinstance(error, TypeError):
            how = f"with {len(arguments)} argument{'s' * (len(arguments) != 1)}" if arguments else "without arguments"
            raise UsageError(f"{what} cannot be called {how}: {error}. No run was started. Mend it.") from error
        raise


def load_structure(name: str) -> InformationStructure:
    """A user's information structure, ``package.module:Class``; only ever for a name given on this host."""
    form = "package.module:Class or FILE.py:Class, a class that takes no arguments"
    made = named_code(name, "information structure", form)
    structure = called(f"the information structure {name}", made)
    if not isinstance(structure, InformationStructure):
        raise UsageError(
            f"{name} made a {type(structure).__name__} instead of an InformationStructure. Nothing was started. Derive "
            "the class from dadc_net.team.structures.structure.InformationStructure."
        )
    return structure
