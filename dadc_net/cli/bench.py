"""``dadc bench``: the lock-step rate beside the ceiling that the transport itself sets, measured in the same run."""

from __future__ import annotations

from dataclasses import asdict

import click

from dadc_net.cli import shell


@click.command("bench")
@click.option("--num-envs", type=click.IntRange(1), default=1, show_default=True, metavar="E", help="Copies.")
@click.option(
    "--steps", type=click.IntRange(300), default=3000, show_default=True, metavar="N", help="Lock-steps per round."
)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Rounds of each kind."
)
@shell.json_option
def bench_command(num_envs: int, steps: int, rounds: int, as_json: bool) -> None:
    """Lock-step rate of a full run step against a raw ZeroMQ lock-step with the same sockets, options and bytes."""
    from dadc_net.runtime.bench import bench

    result = bench(num_envs, steps, rounds)
    if as_json:
        shell.print_json(asdict(result))
        return
    shown = ", ".join(f"{full:.0f}/{raw:.0f}" for full, raw in zip(result.full_rounds, result.raw_rounds, strict=True))
    click.echo(
        f"K = {result.num_agents}, E = {result.num_envs}, CurveZMQ on, digests and books on, {result.steps} lock-steps a "
        f"round\nfull run step   {result.full:8.0f} lock-steps/s\nraw ZeroMQ loop {result.raw:8.0f} lock-steps/s\n"
        f"ratio           {result.ratio:8.2f}   (rounds full/raw: {shown})"
    )
