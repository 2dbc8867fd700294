"""``dadc bench``: the lock-step rate beside the ceiling that the transport itself sets, measured in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell
from dadc_net.cli.help import CommandGroup

if TYPE_CHECKING:
    from dadc_net.bench.lockstep import Effort, Row


def _numbers(context: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    """Whole numbers above 0, with commas between them."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is no list of whole numbers above 0, such as 2,10,100.", context, option)
    return tuple(map(int, parts))


def _shown(number: float | None, unit: float, width: int) -> str:
    return f"{'-' if number is None else format(unit * number, '.2f'):>{width}}"


# What click itself says there depends on its version, and the pages are compared with it.
@click.group("bench", cls=CommandGroup, invoke_without_command=True, subcommand_metavar="[COMMAND] [ARGS]...")
@click.option(
    "-K", "--agents", callback=_numbers, default="2", show_default=True, metavar="K,..", help="Numbers of agents, 2 or more."
)
@click.option("--num-envs", callback=_numbers, default="1", show_default=True, metavar="E,..", help="Numbers of copies.")
@click.option(
    "--steps", type=click.IntRange(300), default=3000, show_default=True, metavar="N", help="Lock-steps per round."
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Rounds of each kind.")
@click.option(
    "--seconds",
    type=click.FloatRange(1.0, 86_400.0),
    default=60.0,
    show_default=True,
    metavar="S",
    help="What all rounds of a line may take together; starts of processes are not counted.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Written anew after each line, as JSON; lines that it holds are not measured again.",
)
@shell.json_option
@click.pass_context
def bench_command(context: click.Context, /, agents: tuple[int, ...], num_envs: tuple[int, ...], **options: Any) -> None:
    """Lock-step rate of a full run step against a raw ZeroMQ lock-step with the same sockets, options and bytes.

    One line for each number of agents and of copies, as soon as it is measured: rates and their ratio; CPU time of all
    processes per lock-step, the raw loop's, and its share; shares of a lock-step's time, server and one agent measured
    alone; and the seconds until all agents had begun, which are in no rate. The rest is waiting: for one another, and for
    processors where processes are more than these.
    """
    if context.invoked_subcommand is not None:
        return
    from dadc_net.bench.lockstep import Effort

    cells = [(num_agents, copies) for num_agents in agents for copies in num_envs]
    _measure(cells, Effort(options["steps"], options["rounds"], options["seconds"]), options["out"], options["as_json"])


def _measure(cells: Sequence[tuple[int, int]], effort: Effort, out: Path | None, as_json: bool) -> None:
    """Print and keep each line as soon as it is there; with ``as_json`` for people on standard error."""
    from dadc_net.bench.lockstep import rows
    from dadc_net.bench.table_file import TableFile, terms_of

    table = TableFile(out, terms_of(effort))
    missing = [cell for cell in cells if cell not in table]
    if len(missing) < len(cells):
        click.echo(f"{len(cells) - len(missing)} lines are in {out} already and are not measured again", err=True)
    click.echo(
        f"CurveZMQ on, digests and journals on, {effort.steps} lock-steps a round, at most {effort.seconds:g} s a line, "
        f"medians of {effort.rounds} rounds in turn\n{_HEAD}",
        err=as_json,
    )
    try:
        for row in rows(missing, effort):
            table.add(row)
            click.echo(_line(row), err=as_json)
    finally:  # Also after Ctrl-C: what was measured is not lost.
        if as_json:
            shell.print_json(table.to_plain())


_HEAD = (
    "   K    E  lock-steps/s   raw loop  ratio  CPU ms   raw  ratio  env steps/s | act learn  env journal transport wait | "
    "start s"
)


def _line(row: Row) -> str:
    from dadc_net.bench.lockstep import Unmeasured

    if isinstance(row, Unmeasured):
        return f"{row.num_agents:4} {row.num_envs:4}  not measured: {row.reason}"
    parts = row.shares
    shown = (parts.acting, parts.learning, parts.environment, parts.journal, parts.transport, parts.waiting)
    act, learn, env, journal, transport, wait = (f"{100 * share:.0f}%" for share in shown)
    cpu = " ".join(_shown(*pair) for pair in ((row.cpu_full, 1e3, 7), (row.cpu_raw, 1e3, 5), (row.cpu_ratio, 1.0, 6)))
    return (
        f"{row.num_agents:4} {row.num_envs:4}  {row.full:12.0f} {row.raw:10.0f} {row.ratio:6.2f} {cpu} "
        f"{row.env_steps:12.0f} | {act:>3} {learn:>5} {env:>4} {journal:>7} {transport:>9} {wait:>4} | {row.start_s:7.1f}"
    )


@bench_command.command("journal")
@click.option(
    "--num-envs",
    "copies",
    type=click.IntRange(1),
    multiple=True,
    default=(1, 16),
    show_default=True,
    metavar="E",
    help="Copies; may be repeated.",
)
@click.option(
    "--mode",
    "modes",
    type=click.Choice(["process", "host"]),
    multiple=True,
    default=("process",),
    show_default=True,
    help="What journals survive; may be repeated.",
)
@click.option("--steps", type=click.IntRange(300), default=6000, show_default=True, metavar="N", help="Lock-steps a run.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, metavar="N", help="Runs of each kind.")
@shell.json_option
def journal_command(copies: tuple[int, ...], modes: tuple[str, ...], steps: int, rounds: int, as_json: bool) -> None:
    """What the journals cost: lock-step rate of full runs with and without them, in turn, K = 2."""
    from dadc_net.bench.journal import bench_journal

    found = bench_journal(copies, modes, steps, rounds)
    if as_json:
        shell.print_json({"results": [asdict(one) for one in found]})
        return
    click.echo(
        f"K = 2, {steps} lock-steps a run, medians of {rounds} rounds in turn; lock-steps/s\n"
        "   E  mode      without     with    cost"
    )
    for one in found:
        click.echo(f"{one.num_envs:4}  {one.mode:8} {one.without:8.0f} {one.rate:8.0f} {100 * one.cost:6.1f} %")


@bench_command.command("numerics")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True, metavar="N", help="Rounds per shape.")
@click.option("--ais-size", type=click.IntRange(1, 1024), default=16, show_default=True, metavar="X", help="AIS units.")
@click.option("--hidden-size", type=click.IntRange(1, 4096), default=16, show_default=True, metavar="H", help="Trunk units.")
@shell.json_option
def numerics_command(rounds: int, ais_size: int, hidden_size: int, as_json: bool) -> None:
    """What exactness costs: update, acting step and memory beside the same learner in plain torch."""
    from dadc_net.bench.numerics import FLOAT64, bench_numerics

    result = bench_numerics(rounds, ais_size, hidden_size)
    if as_json:
        shell.print_json(asdict(result))
        return
    click.echo(
        f"actor-critic, {ais_size} AIS and {hidden_size} trunk units, CPU time of one thread, medians of {rounds} rounds in "
        f"turn; ratios to {FLOAT64}\n   T    E  {'learner':20} {'update':>10} {'ratio':>6} {'acting':>10} {'ratio':>6}"
    )
    for row in result.timings:
        click.echo(
            f"{row.lock_steps:4} {row.copies:4}  {row.variant:20} {row.update_ms:7.2f} ms {row.update_ratio:6.2f} "
            f"{row.act_us:7.1f} us {row.act_ratio:6.2f}"
        )
    click.echo(f"{'':11} {'':20} {'resident':>10} {'peak':>10}   a process after three updates")
    for weight in result.memory:
        click.echo(f"{'':11} {weight.variant:20} {weight.resident:7.0f} MB {weight.peak:7.0f} MB")
