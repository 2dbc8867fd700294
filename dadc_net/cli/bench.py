"""``dadc bench``: the lock-step rate beside the ceiling that the transport itself sets, measured in the same run."""

from __future__ import annotations

from dataclasses import asdict

import click

from dadc_net.cli import shell
from dadc_net.cli.help import CommandGroup


@click.group("bench", cls=CommandGroup, invoke_without_command=True)
@click.option("--num-envs", type=click.IntRange(1), default=1, show_default=True, metavar="E", help="Copies.")
@click.option(
    "--steps", type=click.IntRange(300), default=3000, show_default=True, metavar="N", help="Lock-steps per round."
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Rounds of each kind.")
@shell.json_option
@click.pass_context
def bench_command(context: click.Context, num_envs: int, steps: int, rounds: int, as_json: bool) -> None:
    """Lock-step rate of a full run step against a raw ZeroMQ lock-step with the same sockets, options and bytes."""
    if context.invoked_subcommand is not None:
        return
    from dadc_net.bench.lockstep import bench

    result = bench(num_envs, steps, rounds)
    if as_json:
        shell.print_json(asdict(result))
        return
    shown = ", ".join(f"{full:.0f}/{raw:.0f}" for full, raw in zip(result.full_rounds, result.raw_rounds, strict=True))
    click.echo(
        f"K = {result.num_agents}, E = {result.num_envs}, CurveZMQ on, digests and journals on, {result.steps} lock-steps a "
        f"round\nfull run step   {result.full:8.0f} lock-steps/s\nraw ZeroMQ loop {result.raw:8.0f} lock-steps/s\n"
        f"ratio           {result.ratio:8.2f}   (rounds full/raw: {shown})"
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
