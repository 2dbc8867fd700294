"""``dadc plot``: learning curves of sweeps and runs as a figure, and tables of ``dadc bench``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("plot")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The figure: .png, .svg or .pdf."
)
@click.option("--title", default="", help="A line above the panels.")
def plot_command(results: tuple[Path, ...], out: Path, title: str) -> None:
    """Median and quartiles over seeds beside the optimum; RESULTS: folders or --collect files of sweeps, or run folders.

    Or tables of dadc bench, printed or kept: then rates over the number of copies, with quartiles over rounds.
    """
    from dadc_net.experiment.bench_figure import bench_panels, read_tables
    from dadc_net.experiment.sweep.collection import read_results
    from dadc_net.experiment.sweep.figure import draw, panels

    tables = read_tables(results)
    shown = bench_panels(tables) if tables else panels(read_results(results))
    draw(shown, title, out)
    curves = sum(len(panel.lines) for panel in shown)
    click.echo(f"{out}: {len(shown)} panels, {curves} curves, {sum(line.seeds for p in shown for line in p.lines)} runs")
