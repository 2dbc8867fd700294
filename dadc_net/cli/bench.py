"""``dadc bench``: the lock-step rate beside the ceiling that the transport itself sets, measured in the same run."""

from __future__ import annotations

import click

from dadc_net.cli import shell


@click.command("bench")
@shell.json_option
def bench_command(as_json: bool) -> None:
    """Lock-step rate of a full run step against a raw ZeroMQ lock-step with the same sockets, options and bytes."""
