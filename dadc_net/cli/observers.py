"""A user's own observers of a run: ``--observer package.module:function``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from dadc_net.errors import UsageError
from dadc_net.named_code import called, named_code

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
    make = named_code(name, "observer", "package.module:function or FILE.py:function")
    observer = called(f"the observer {name}", make, folder)
    if not callable(getattr(observer, "on", None)):
        raise UsageError(
            f"{name} made a {type(observer).__name__} that has no method on(event). No run was started. Return an object "
            "with one."
        )
    return cast("Observer", observer)
