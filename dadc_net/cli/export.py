"""``dadc export``: what is kept of a run, for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from dadc_net.cli import shell


@click.command("export")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Rewards, values and losses over environment steps as event files for TensorBoard. Needs the extra tensorboard.",
)
@shell.json_option
def export_command(runs: tuple[Path, ...], tensorboard: Path | None, as_json: bool) -> None:
    """Write what a run has kept for another program to read.

    RUNS is the folder of one run, or the state folders of its parties.
    """
    from dadc_net.errors import UsageError
    from dadc_net.experiment.tensorboard import export_tensorboard
    from dadc_net.storage.kept_run import find_run

    if tensorboard is None:
        raise UsageError("nothing was asked for. A run can be exported for TensorBoard. Give --tensorboard DIR.")
    points = export_tensorboard(find_run(runs), tensorboard)
    if as_json:
        shell.print_json({"folder": str(tensorboard), "points": points})
        return
    click.echo(f"{tensorboard}: {points} points; look at them with tensorboard --logdir {tensorboard}")
