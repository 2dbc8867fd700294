"""The entry points: ``dadc`` with its subcommands, ``dadc-env`` and ``dadc-agent``."""

from __future__ import annotations

import click

from dadc_net.cli import shell
from dadc_net.cli.bench import bench_command
from dadc_net.cli.check import check_command
from dadc_net.cli.config import config_command
from dadc_net.cli.conform import conform_command
from dadc_net.cli.doctor import completion_command, doctor_command
from dadc_net.cli.evaluate import evaluate_command
from dadc_net.cli.export import export_command
from dadc_net.cli.help import CommandGroup, complete
from dadc_net.cli.launch import launch_command
from dadc_net.cli.parties import agent_command, environment_command, keys_command
from dadc_net.cli.plan import plan_command
from dadc_net.cli.plot import plot_command
from dadc_net.cli.replay import replay_command
from dadc_net.cli.report import report_command
from dadc_net.cli.restarts import run_party
from dadc_net.cli.run import run_command, simulate_command
from dadc_net.cli.runs import prune_command, runs_command, show_command
from dadc_net.cli.selftest import selftest_command
from dadc_net.cli.status import status_command
from dadc_net.cli.sweep import sweep_command


@click.group(cls=CommandGroup, context_settings=shell.CONTEXT)
def dadc() -> None:
    """Decentralised actor, decentralised critic: K processes learn one team policy and agree bit for bit."""


for _command in (
    run_command,
    simulate_command,
    config_command,
    plan_command,
    evaluate_command,
    check_command,
    conform_command,
    replay_command,
    export_command,
    status_command,
    runs_command,
    show_command,
    report_command,
    prune_command,
    selftest_command,
    keys_command,
    launch_command,
    bench_command,
    sweep_command,
    plot_command,
    doctor_command,
    completion_command,
):
    dadc.add_command(_command)
complete(dadc, "dadc")
complete(environment_command, "dadc-env")
complete(agent_command, "dadc-agent")


def main() -> None:
    """``dadc``"""
    shell.start(dadc)


def environment_main() -> None:
    """``dadc-env``"""
    run_party(environment_command)


def agent_main() -> None:
    """``dadc-agent``"""
    run_party(agent_command)
