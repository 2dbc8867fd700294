"""``dadc runs``, ``dadc show`` and ``dadc prune``: what lies in folders of runs, and what of it is needed later."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dadc_net.cli import shell
from dadc_net.cli.figures_text import shortened, size_text
from dadc_net.cli.progress import gap_text
from dadc_net.errors import NAME_MAX, foreign_words

if TYPE_CHECKING:
    from dadc_net.experiment.kept_runs import RunSummary

_NAME_MIN = 12
_HEAD = ("run", "state", "task", "update", "value", "gap", "size")


@click.command("runs")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@shell.json_option
def runs_command(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER with state, task, value, gap to the optimum and size on disk."""
    from dadc_net.experiment.kept_runs import runs_in, summarise

    found = [summarise(run) for run in runs_in(folder)]
    if as_json:
        shell.print_json({"runs": [one.to_plain() for one in found]})
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(table(found, width))
    total = sum(one.size for one in found)
    click.echo(f"{len(found) or 'no'} run{'' if len(found) == 1 else 's'} in {folder}, {size_text(total)}")


@click.command("show")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@shell.json_option
def show_command(runs: tuple[Path, ...], as_json: bool) -> None:
    """Say in one screen what a run is, how far it came, what it learned and what it holds.

    RUNS is the folder of one run, or the state folders of its parties.
    """
    from dadc_net.experiment.kept_runs import summarise
    from dadc_net.storage.kept_run import find_run, size_of

    run = find_run(runs)
    found = summarise(run)
    if as_json:
        shell.print_json(found.to_plain())
        return
    parts = {name: size_of(folder) for name, folder in run.parties.items()}
    click.echo(screen(found, parts))


@click.command("prune")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--unchecked", is_flag=True, help="Also where too few journals are here to compare them first.")
@shell.json_option
def prune_command(runs: tuple[Path, ...], unchecked: bool, as_json: bool) -> None:
    """Cut a finished run to what is needed later: its result, curves, newest checkpoints, logs and configuration.

    Journals, older checkpoints and keys are removed, after the journals were compared. The run can still be shown,
    evaluated, plotted and reported, and not be checked, replayed or resumed. RUNS is the folder of a run, or of its parties.
    """
    from dadc_net.experiment.pruning import prune
    from dadc_net.storage.kept_run import find_run

    run = find_run(runs)
    done = prune(run, unchecked)
    if as_json:
        shell.print_json(done.to_plain())
        return
    click.echo(done.checked)
    click.echo(f"{run.path}: {done.files} files removed, {size_text(done.before)} became {size_text(done.after)}")


def table(runs: list[RunSummary], width: int | None) -> str:
    """One line per run; names are shortened in their middle where lines would be longer than ``width``."""
    rows = [_HEAD, *map(_row, runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    if width is not None:
        widths[2] = min(widths[2], 16)
        widths[0] = min(widths[0], max(_NAME_MIN, width - sum(widths[1:]) - 2 * (len(_HEAD) - 1)))
    lines = []
    for row in rows:
        cells = [shortened(row[0], widths[0]).ljust(widths[0]), row[1].ljust(widths[1])]
        cells.append(shortened(row[2], widths[2]).ljust(widths[2]))
        cells += [cell.rjust(room) for cell, room in zip(row[3:], widths[3:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(run: RunSummary) -> tuple[str, ...]:
    value, gap = run.values.get("value"), run.values.get("gap")
    value = run.values.get("value_monte_carlo") if value is None else value
    done = f"{run.update}" if run.updates is None else f"{run.update}/{run.updates}"
    return (
        Path(run.path).name,
        run.state,
        foreign_words(run.task, NAME_MAX),
        done,
        "-" if value is None else f"{value:.4f}",
        "-" if gap is None else f"{100 * gap:.2f} %",
        size_text(run.size),
    )


def screen(run: RunSummary, parts: dict[str, int]) -> str:
    """One run for people, in at most a screenful."""
    many = foreign_words(run.task, NAME_MAX)
    structure = f" under {foreign_words(run.structure, NAME_MAX)}" if run.structure else ""
    made = [f"{run.agents} agents" if run.agents else "", f"{run.copies} copies" if run.copies else ""]
    made = [*made, foreign_words(run.algorithm or "", NAME_MAX), "" if run.seed is None else f"seed {run.seed}"]
    lines = [
        ("run", run.path),
        ("task", f"{many}{structure}"),
        ("made of", ", ".join(filter(None, made))),
        ("state", f"{run.state}, update {run.update} of {run.updates or 'unknown'}, {run.env_steps} env steps"),
        ("value", _value_text(run)),
        *[
            (name.replace("_", " "), f"{run.values[name]:.4f}")
            for name in ("best_constant", "random", "round_robin")
            if run.values.get(name) is not None
        ],
        ("digest", _digest_text(run.digests)),
        ("hosts", _hosts_text(run.hosts)),
        ("size", f"{size_text(run.size)}" + _parts_text(parts)),
        ("next", _next_text(run)),
    ]
    return "\n".join(f"{name:14} {text}" for name, text in lines if text)


def _value_text(run: RunSummary) -> str:
    value, stderr, optimum = (run.values.get(name) for name in ("value", "value_stderr", "optimum"))
    plain = run.values.get("value_monte_carlo")
    if value is None:
        return "not valued yet" if plain is None else f"{plain:.4f} by plain Monte Carlo; optimum unknown"
    text = f"{value:.4f}" + ("" if stderr is None else f" +- {stderr:.4f}")
    return text if optimum is None else f"{text}, optimum {optimum:.4f}, {gap_text(run.values.get('gap'))}"


def _digest_text(digests: dict[str, str]) -> str:
    values = set(digests.values())
    if len(values) == 1:
        return f"{next(iter(values))[:32]}..., equal at {len(digests)} agent{'' if len(digests) == 1 else 's'}"
    return "".join(f"agent {agent}: {digest[:16]}... " for agent, digest in list(digests.items())[:4])


def _hosts_text(hosts: dict[str, str]) -> str:
    by_host: dict[str, list[str]] = {}
    for agent, host in hosts.items():
        by_host.setdefault(host, []).append(agent)
    told = [f"{foreign_words(host, NAME_MAX)} (agents {', '.join(agents[:8])})" for host, agents in by_host.items()]
    return ", ".join(told[:4]) + (f" and {len(told) - 4} more" if len(told) > 4 else "")


def _parts_text(parts: dict[str, int]) -> str:
    shown = [f"{name} {size_text(size)}" for name, size in list(parts.items())[:4]]
    more = f", and {len(parts) - 4} more agents" if len(parts) > 4 else ""
    return f": {', '.join(shown)}{more}" if shown else ""


def _next_text(run: RunSummary) -> str:
    return {
        "running": f"dadc status {run.path}",
        "stopped": f"give the command that began it again with --out {run.path}; it goes on",
        "diverged": f"dadc check {run.path}",
        "finished": f"dadc evaluate {run.path}; dadc report {run.path}; dadc prune {run.path}",
        "finished, cut": f"dadc evaluate {run.path}; dadc report {run.path}",
    }[run.state]
