"""``dadc sweep``: many seeds of many curves, in parallel, and a table at the end."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dadc_net.cli import shell
from dadc_net.cli.sweep_progress import SweepProgress

if TYPE_CHECKING:
    from dadc_net.experiment.sweep.engine import Engine
    from dadc_net.experiment.sweep.summary import CurveSummary
    from dadc_net.experiment.sweep.sweep import Sweep


@click.command("sweep")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of results.  [default: runs/FILE-sweep]")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Runs at a time.  [default: the cores of this machine]")
@click.option(
    "--engine",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="This machine's cores, or the workers of a Dask cluster (extra: sweep).",
)
@click.option("--scheduler", metavar="ADDRESS", help="Of the Dask scheduler: tcp://HOST:8786.")
@click.option("--seeds", metavar="N | A-B", help="Seeds of every curve instead of the file's: 0 .. N-1, or A .. B.")
@click.option("--only", multiple=True, metavar="CURVE", help="Only this curve (repeatable).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of every run.")
@click.option(
    "--env-seed",
    type=click.IntRange(0),
    default=shell.DEFAULT_ENVIRONMENT_SEED,
    show_default=True,
    metavar="N",
    help="Environment seed of shared seed 0; seed s has N + s.",
)
@click.option(
    "--known",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RESULTS",
    help="A folder or --collect file of results from elsewhere (repeatable): these runs count, and are not run again.",
)
@click.option("--again", is_flag=True, help="Run again what was run with another configuration.")
@click.option("--show", is_flag=True, help="Run nothing; show what is there.")
@click.option("--collect", type=click.Path(path_type=Path), metavar="FILE", help="Write all results to one compact file.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@shell.json_option
def sweep_command(
    file: Path,
    out: Path | None,
    jobs: int | None,
    engine: str,
    scheduler: str | None,
    seeds: str | None,
    only: tuple[str, ...],
    overrides: tuple[str, ...],
    env_seed: int,
    known: tuple[Path, ...],
    again: bool,
    show: bool,
    collect: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run the curves of FILE with all their seeds; goes on where it was stopped."""
    from dadc_net.experiment.sweep.collection import read_results
    from dadc_net.experiment.sweep.result_folder import ResultFolder
    from dadc_net.experiment.sweep.sweep import Sweep
    from dadc_net.experiment.sweep.sweep_file import read_sweep
    from dadc_net.runtime.control import StopRequest

    described = read_sweep(file, overrides, None if seeds is None else _seeds(seeds)).only(only)
    folder = out or Path("runs") / f"{file.stem}-sweep"
    sweep = Sweep(described, ResultFolder(folder), env_seed, read_results(known))
    missing = sweep.missing(again)
    runner = _engine(engine, scheduler, jobs) if missing and not show else None
    try:
        if runner is not None:
            stop = StopRequest()
            stop.install()
            with SweepProgress(len(sweep.trials()), len(missing), quiet) as progress:
                progress.note(f"{described.title}: {len(missing)} of {len(sweep.trials())} runs to do, results in {folder}")
                sweep.run(runner, missing, progress, stop)
    finally:
        # Whatever ended it, what is there is shown.
        _report(sweep, folder, collect, quiet, as_json)


def _engine(name: str, scheduler: str | None, jobs: int | None) -> Engine:
    """The engine that was asked for. Raises UsageError where the options do not fit it."""
    from dadc_net.errors import UsageError

    if name == "dask":
        from dadc_net.experiment.sweep.dask_engine import DaskEngine

        if scheduler is None or jobs is not None:
            raise UsageError(
                f"--engine dask was given with --scheduler {scheduler} and --jobs {jobs}. The cluster's scheduler must be "
                "named, and its workers say how many runs go on at a time. Write --engine dask --scheduler tcp://HOST:8786."
            )
        return DaskEngine(scheduler)
    from dadc_net.experiment.sweep.local_engine import LocalEngine

    if scheduler is not None:
        raise UsageError(f"--scheduler {scheduler} was given without a cluster. Nothing was run. Add --engine dask.")
    return LocalEngine(jobs or len(os.sched_getaffinity(0)))


def _report(sweep: Sweep, folder: Path, collect: Path | None, quiet: bool, as_json: bool) -> None:
    from dadc_net.experiment.sweep import collection
    from dadc_net.experiment.sweep.summary import summarise, table

    records = sweep.records()
    found = summarise(records)
    wanted = {curve.name: len(curve.seeds) for curve in sweep.file.curves}
    if collect is not None:
        collection.collect(sweep.file.title, records, collect)
    if not quiet:
        click.echo(table(found, wanted), err=as_json)
    if as_json:
        shell.print_json({"title": sweep.file.title, "out": str(folder), "curves": [_plain(c, wanted) for c in found]})


def _plain(found: CurveSummary, wanted: dict[str, int]) -> dict[str, object]:
    return {**asdict(found), "seeds_wanted": wanted[found.curve]}


def _seeds(text: str) -> tuple[int, ...]:
    """``N`` or ``A-B``. Raises UsageError for anything else."""
    from dadc_net.errors import UsageError

    first, dash, last = text.partition("-")
    if first.isdigit() and not dash and int(first) > 0:
        return tuple(range(int(first)))
    if first.isdigit() and last.isdigit() and int(first) <= int(last):
        return tuple(range(int(first), int(last) + 1))
    raise UsageError(f"--seeds {text!r} is not of the form N or A-B. Nothing was run. Write --seeds 25, or --seeds 10-24.")
