"""Who hears of a run's events besides: a user's own ``--observer``, Prometheus, and how the log is written."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from dadc_net.errors import UsageError
from dadc_net.named_code import called, named_code
from dadc_net.runtime.log_format import FORMAT_VARIABLE, FORMATS, LEVEL_VARIABLE, LEVELS

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


def metrics_option(command: Any) -> Any:
    """--metrics-port: what Prometheus reads."""
    return click.option(
        "--metrics-port",
        metavar="[HOST:]PORT",
        help="Serve metrics for Prometheus there; on this host only unless one is named. Needs the extra metrics.",
    )(command)


def served_metrics(place: str | None) -> list[Observer]:
    """The observer that serves metrics at ``place``; none where that is None. Raises UsageError, TemporaryError."""
    if place is None:
        return []
    from dadc_net.runtime.prometheus import serve_metrics

    served = serve_metrics(place)
    click.echo(f"metrics at {served.address}", err=True)
    return [served]


def log_options(command: Any) -> Any:
    """--log-format and --log-level, of log.txt; children inherit them."""
    for name, variable, known, text in (
        ("--log-format", FORMAT_VARIABLE, FORMATS, "How log.txt is written; json: one object a line.  [default: text]"),
        ("--log-level", LEVEL_VARIABLE, LEVELS, "What log.txt holds, from this level on.  [default: info]"),
    ):
        command = click.option(
            name,
            type=click.Choice(known),
            envvar=variable,
            expose_value=False,
            callback=partial(_choose, variable),
            help=text,
        )(command)
    return command


def _choose(variable: str, _context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        os.environ[variable] = value


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
