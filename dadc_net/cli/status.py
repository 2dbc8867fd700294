"""``dadc status``: who is there, how far everybody is, and whom the run waits for."""

from __future__ import annotations

import time
from pathlib import Path

import click

from dadc_net.cli import shell


@click.command("status")
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--watch", is_flag=True, help="Again every second, until the run ends or Ctrl-C.")
@shell.json_option
def status_command(run: Path, watch: bool, as_json: bool) -> None:
    """The server's view of a run on this host: each agent's record, lag, digest, last sign of life, stragglers."""
    from dadc_net.runtime import status

    while True:
        found = status.read(run)
        if as_json:
            shell.print_json(found.to_plain()[1] | {"age": found.age})
        else:
            if watch:
                click.clear()
            click.echo(status.table(found))
        if not watch or found.ended:
            return
        time.sleep(1.0)
