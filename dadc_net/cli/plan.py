"""dadc plan: the exact optimum of a task."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell

if TYPE_CHECKING:
    from dadc_net.config import RunConfig

_LONG_READING = 1.0
"""Seconds that a user should know of."""


@click.command("plan")
@shell.task_argument
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a configuration key.")
@click.option(
    "--horizon", type=int, metavar="H", help="Decisions; discount 1 unless set. Finite tasks only, as is all below."
)
@click.option(
    "--gap", type=float, metavar="X", help="Stop when the bounds are this near.  [default: 1e-9, or 1e-4 without end]"
)
@click.option("--time", "seconds", type=float, default=60.0, show_default=True, metavar="S", help="Stop after S seconds.")
@click.option(
    "--memory", "memory_mib", type=int, default=2048, show_default=True, metavar="MIB", help="Stop at MIB of beliefs."
)
@shell.json_option
def plan_command(
    task: str,
    overrides: tuple[str, ...],
    horizon: int | None,
    gap: float | None,
    seconds: float,
    memory_mib: int,
    as_json: bool,
) -> None:
    """The exact optimum by the common-information dynamic program, with the policy in words.

    A finite task or a .dpomdp file is planned for under any structure, between two proven bounds:
    --set structure=delayed-sharing --set structure.delay_steps=2 (also periodic-, control-, mean-field-, full-sharing,
    no-sharing, or your own FILE.py:Class). Ctrl-C ends the search, and the bounds found so far are told.
    """
    from dadc_net.config import resolve, split_structure
    from dadc_net.errors import Interrupted, UsageError
    from dadc_net.toml_text import parse_override

    begun = time.monotonic()
    others, parameters = split_structure(overrides)
    structure = parameters.pop("name", None)
    # Which task it is stands in the argument, or beside it where that is the folder of a run.
    is_finite = resolve(task, [o for o in others if parse_override(o)[0] == "task"]).task.finite_model is not None
    read = time.monotonic() - begun
    if not is_finite and horizon is None:
        _plan_by_name(resolve(task, overrides), as_json)
        return
    # Imported here: its compiled part takes longer to load than the planners by name need in all.
    from dadc_net.experiment.finite_plan import PlanRequest, plan_finite, plan_record, plan_text

    if horizon is not None and horizon < 1:
        raise UsageError(f"--horizon is {horizon}. It counts decisions. Give at least 1, or none for a problem without end.")
    options: dict[str, Any] = {}
    if horizon is not None and is_finite:
        given = dict(map(parse_override, overrides))
        options = {"env.horizon": horizon} if "discount" in given else {"env.horizon": horizon, "discount": 1.0}
    # The planner takes structures whose prescriptions would be too many for a run.
    config = resolve(task, others, options)
    stopped = threading.Event()
    request = PlanRequest(
        structure=None if structure is None else str(structure),
        parameters=parameters,
        horizon=horizon,
        gap=gap,
        seconds=seconds,
        memory_mib=memory_mib,
        is_stopped=stopped.is_set,
    )
    with _until_interrupted(stopped):
        found, took = plan_finite(config, request, None if as_json else lambda line: click.echo(line, err=True))
    if as_json:
        shell.print_json(plan_record(config.task.name, found, took) | {"model_seconds": read})
    else:
        click.echo(plan_text(config.task.name, found, took))
        if read > _LONG_READING:
            click.echo(f"(reading the model took {read:.1f} s beside --time)", err=True)
    if stopped.is_set():
        click.get_current_context().exit(Interrupted.exit_code)


@contextlib.contextmanager
def _until_interrupted(stopped: threading.Event) -> Iterator[None]:
    """Ctrl-C sets ``stopped``, so that the bounds which were found are told; a second one ends the program at once."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _plan_by_name(config: RunConfig, as_json: bool) -> None:
    """The planner that was written for this task."""
    from dadc_net.experiment.evaluation import plan_of

    begun = time.monotonic()
    found = plan_of(config)
    if not as_json:
        click.echo(found.text)
        return
    shell.print_json(
        {
            "task": config.task.name,
            "value": found.value,
            "lower": found.value - found.residual,
            "upper": found.value + found.residual,
            "menu": found.menu,
            "start": found.start,
            "method": found.method,
            "residual": found.residual,
            "horizon": None,
            "discount": config.settings.discount,
            "prescriptions": config.prescriptions,
            "beliefs": None if found.model is None else len(found.model.beliefs),
            "seconds": time.monotonic() - begun,
            "round_robin": found.round_robin,
            "random": found.random,
            **found.extra,
        }
    )
