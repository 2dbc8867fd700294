"""The entry points: ``dadc`` with its subcommands, ``dadc-env`` and ``dadc-agent``."""

from __future__ import annotations

import click

from dadc_net.cli import shell
from dadc_net.cli.help import CommandGroup, LazyCommand, LazyCommands, complete

_COMMANDS = {
    "run": LazyCommand("run:run_command", "Train a team: one environment server and K agent processes on this machine."),
    "simulate": LazyCommand("run:simulate_command", "The same run inside one process, with the same digests."),
    "config": LazyCommand(
        "config:config_command",
        "Print a task's configuration: every key with its value, what it may be and what it means, as a TOML file.",
    ),
    "plan": LazyCommand(
        "plan:plan_command", "The exact optimum by the common-information dynamic program, with the policy in words."
    ),
    "evaluate": LazyCommand("evaluate:evaluate_command", "Value of the greedy rule that a run has learned."),
    "check": LazyCommand(
        "check:check_command",
        "Do the journals of all parties agree? Names the first divergence; exit 0 or 10, or 15 for a damaged journal.",
    ),
    "conform": LazyCommand(
        "conform:conform_command",
        "Check a task's environment, information structure and menus, and say what to change; exit code 1 if something is.",
    ),
    "replay": LazyCommand(
        "replay:replay_command",
        "Digests, AIS and prescriptions after record STEP, computed again by a fresh learner; exit 10 if an agent's differ.",
    ),
    "export": LazyCommand(
        "export:export_command",
        "Write the rule that a run has learned, as a file for --from and dadc_net.load_rule, and print its digest.",
    ),
    "status": LazyCommand(
        "status:status_command",
        "The server's view of a run on this host: each agent's record, lag, digest, last sign of life, stragglers.",
    ),
    "runs": LazyCommand(
        "runs:runs_command", "List the runs in FOLDER with state, task, value, gap to the optimum and size on disk."
    ),
    "show": LazyCommand(
        "runs:show_command", "Say in one screen what a run is, how far it came, what it learned and what it holds."
    ),
    "report": LazyCommand(
        "report:report_command",
        "Make one page of RUNS: what was learned beside the optimum, curves, the rule, who came and went, agreement, size.",
    ),
    "prune": LazyCommand(
        "runs:prune_command",
        "Cut a finished run to what is needed later: its result, curves, newest checkpoints, logs and configuration.",
    ),
    "selftest": LazyCommand(
        "selftest:selftest_command", "Known-answer test of this host's arithmetic and random streams; exit 0 or 11."
    ),
    "keys": LazyCommand(
        "parties:keys_command",
        "Make CurveZMQ keys, one pair for the server and one per agent, and the agents' team.seed.",
    ),
    "launch": LazyCommand("launch:launch_command", "Write the file with which an engine starts K agents and their server."),
    "bench": LazyCommand(
        "bench:bench_command",
        "Lock-step rate of a full run step against a raw ZeroMQ lock-step with the same sockets, options and bytes.",
    ),
    "sweep": LazyCommand(
        "sweep:sweep_command", "Run the curves of FILE with all their seeds; goes on where it was stopped."
    ),
    "plot": LazyCommand(
        "plot:plot_command",
        "Median and quartiles over seeds beside the optimum; RESULTS: folders or --collect files of sweeps, or run folders.",
    ),
    "doctor": LazyCommand(
        "doctor:doctor_command",
        "Look whether this host is fit for a run kept in FOLDER, and say what to do; exit code 1 if something is not.",
    ),
    "completion": LazyCommand("doctor:completion_command", "Print what makes a shell complete commands, options and tasks."),
}
"""What is listed, and where it is; tests hold the sentences to those of the commands."""


@click.group(cls=CommandGroup, commands=LazyCommands("dadc", _COMMANDS), context_settings=shell.CONTEXT)
def dadc() -> None:
    """Decentralised actor, decentralised critic: K processes learn one team policy and agree bit for bit."""


complete(dadc, "dadc")


def main() -> None:
    """``dadc``"""
    shell.start(dadc)


def environment_main() -> None:
    """``dadc-env``"""
    from dadc_net.cli import parties, restarts

    restarts.run_party(parties.environment_command)


def agent_main() -> None:
    """``dadc-agent``"""
    from dadc_net.cli import parties, restarts

    restarts.run_party(parties.agent_command)
