"""``dadc status``: who is there, how far everybody is, and whom the run waits for; and whether a party lives."""

from __future__ import annotations

import math
import time
from pathlib import Path

import click

from dadc_net.cli import shell

_SIZE_EVERY_S = 60.0
"""While a run is watched: to know its size, every file of it has to be looked at."""


@click.command("status")
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--watch", is_flag=True, help="Again every second, until the run ends or Ctrl-C.")
@click.option(
    "--alive",
    type=click.FloatRange(min=1.0),
    metavar="SECONDS",
    help="Exit with 75 unless the status was written within so many seconds, or the run has ended.",
)
@shell.json_option
def status_command(run: Path, watch: bool, alive: float | None, as_json: bool) -> None:
    """The server's view of a run on this host: each agent's record, lag, digest, last sign of life, stragglers.

    RUN is the folder of a run, or the state folder of a server or of an agent, which says how far it is.
    """
    from dadc_net.cli.status_figures import figures, figures_text
    from dadc_net.runtime import status
    from dadc_net.storage.kept_run import size_of

    size, looked = 0, -math.inf
    while True:
        found = status.read(run)
        if alive is not None:
            status.require_alive(found, run, alive)
        team = found if isinstance(found, status.TeamStatus) else None
        if team is not None and (team.ended or time.monotonic() - looked >= _SIZE_EVERY_S):
            size, looked = size_of(run), time.monotonic()
        told = None if team is None else figures(run, team, size)
        if as_json:
            shell.print_json(found.to_plain()[1] | {"age": found.age} | (told or {}))
        else:
            if watch:
                click.clear()
            first, *agents = status.table(found).splitlines()
            click.echo("\n".join([first, *([] if told is None else [figures_text(told)]), *agents]))
        if not watch or found.ended:
            return
        time.sleep(1.0)
