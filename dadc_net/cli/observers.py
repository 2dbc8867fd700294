"""A user's own observers of a run: ``--observer package.module:function``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dadc_net.errors import UsageError

if TYPE_CHECKING:
    from dadc_net.runtime.events import Observer


def observer_option(command: Any) -> Any:
    """--observer: as often as there are observers."""
    return click.option(
        "--observer",
        "observers",
        multiple=True,
        metavar="MODULE:FUNCTION",
        help="Your own observer of the run's events: function(folder) makes it.",
    )(command)


def load_observers(names: tuple[str, ...], folder: Path) -> list[Observer]:
    """Make the observers of these names for a run in ``folder``. Raises UsageError for one that cannot be made."""
    return [_load(name, folder) for name in names]


def _load(name: str, folder: Path) -> Observer:
    module, _, attribute = name.partition(":")
    try:
        observer: Observer = getattr(importlib.import_module(module), attribute)(folder)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UsageError(
            f"the observer {name} cannot be made: {error}. It is read as package.module:function, called with the run's "
            "folder. Check that the module can be imported from here and has that function."
        ) from error
    if not callable(getattr(observer, "on", None)):
        raise UsageError(
            f"{name} made a {type(observer).__name__} that has no method on(event). No run was started. Return an object "
            "with one."
        )
    return observer
