"""``dadc run`` and ``dadc simulate``: the main job, as processes or inside one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell
from dadc_net.cli.observers import load_observers, log_options, observer_option
from dadc_net.cli.progress import Progress, gap_text, summary
from dadc_net.cli.start import Beginning, beginning, start_options

if TYPE_CHECKING:
    from dadc_net.config import RunConfig
    from dadc_net.coordinator.settings.learning import Snapshot
    from dadc_net.experiment.valuer import Valuer
    from dadc_net.runtime.launcher import Launcher
    from dadc_net.runtime.metrics import MetricsFile


def _resolve(task: str, options: dict[str, Any]) -> tuple[RunConfig, Beginning]:
    from dadc_net.config import check_agents, resolve

    start = beginning(options["origin"], options["frozen"], options["drawn"])
    dotted = shell.dotted_options(options["updates"], options["num_envs"], options["algorithm"])
    config = resolve(task, options["overrides"], {**dotted, **start.options}, start.before)
    check_agents(config, options["agents"])
    start.check(config)
    return config, start


def _progress(config: RunConfig, quiet: bool, folder: Path, agreed: str | None = None) -> Progress:
    """``agreed``: what was compared; None: what processes compare."""
    if agreed is None:
        agreed = "digests equal" if config.settings.mode.one_learner else "common log equal"
    progress = Progress(config.settings.updates, quiet, agreed, folder=folder)
    for note in config.task.notes:
        progress.note(note)
    if not config.replayable:
        progress.note(
            "the environment cannot be wound back: no two runs are alike, dadc simulate included, and rules are not valued "
            "unless evaluation.* asks for copies of it; agents agree as ever"
        )
    return progress


def _finish(
    valuer: Valuer, report: dict[str, Any], snapshot: Snapshot, folder: Path, returns: int, as_json: bool, quiet: bool
) -> None:
    valuation = valuer.finish(folder, report, snapshot)
    for trouble in valuation.troubles:
        click.echo(f"warning: {trouble} Then: dadc evaluate {folder}", err=True)
    if not quiet:
        click.echo(summary(report, valuation, returns, folder), err=as_json)
    if as_json:
        shell.print_json(report)


def _show_former(former: dict[str, Any], folder: Path, as_json: bool, quiet: bool) -> None:
    click.echo(f"the run in {folder} was finished before; this is its result", err=True)
    if as_json:
        shell.print_json(former)
        return
    if former["value"] is not None:
        value, optimum, gap = (former[key] for key in ("value", "optimum", "gap"))
        click.echo(f"value {value:.4f}, optimum V* {optimum:.4f}, {gap_text(gap)}", err=quiet)
    click.echo(f"learner digest {former['learner_digest']}", err=quiet)


def _shows_pruned(folder: Path, as_json: bool, quiet: bool) -> bool:
    """Show the result of a run that was cut and cannot be taken up; whether it is one."""
    from dadc_net.experiment.kept_runs import pruned_report

    former = pruned_report(folder)
    if former is not None:
        _show_former(former, folder, as_json, quiet)
    return former is not None


def _metrics(launcher: Launcher) -> MetricsFile:
    """The run's metrics, with what its parties logged and a launcher that was killed did not hear of."""
    from dadc_net.runtime.metrics import MetricsFile

    folder = launcher.folder
    metrics = MetricsFile(folder.path)
    for party in (folder.server, *map(folder.agent, launcher.learners)):
        metrics.catch_up(party)
    return metrics


@click.command("run")
@shell.task_argument
@shell.task_options
@start_options
@shell.seed_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the run; an unfinished run in it goes on. Fresh by default, under runs/.",
)
@click.option(
    "--break",
    "breaks",
    multiple=True,
    metavar="AGENT:KIND@STEP",
    help="Break one replica on purpose: flip-bit, sqrt-ulp, shift-stream or torch-sqrt.",
)
@observer_option
@log_options
@shell.trial_option
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
@shell.json_option
def run_command(
    task: str,
    seed: int | None,
    seed_file: Path | None,
    env_seed: int | None,
    env_seed_file: Path | None,
    out: Path | None,
    breaks: tuple[str, ...],
    observers: tuple[str, ...],
    no_trial: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a team: one environment server and K agent processes on this machine."""
    begun = time.monotonic()
    from dadc_net.experiment.report import make_report
    from dadc_net.experiment.result_file import read_report
    from dadc_net.experiment.run_folders import holds_run, new_folder
    from dadc_net.experiment.valuer import Valuer
    from dadc_net.runtime.control import StopRequest
    from dadc_net.runtime.events import Checkpointed, Observers
    from dadc_net.runtime.history import HistoryFile
    from dadc_net.runtime.launcher import Launcher, LaunchOptions
    from dadc_net.runtime.learned import load_learner, load_snapshot
    from dadc_net.runtime.problem import try_environment
    from dadc_net.runtime.sabotage import parse_all
    from dadc_net.storage.folder import open_folder
    from dadc_net.storage.kept_run import find_run

    config, start = _resolve(task, options)
    shared, environment = shell.shared_seed(seed, seed_file), shell.fixed_environment_seed(env_seed, env_seed_file)
    settings = config.settings
    tampers = parse_all(breaks, settings.num_agents, settings.updates * settings.learner.batch_lock_steps)
    resumes = holds_run(out, config, shared)
    if not (no_trial or resumes):
        try_environment(config)
    folder = out if resumes and out is not None else new_folder(task, _shown_seed(seed, seed_file), out)
    if resumes and _shows_pruned(folder, as_json, quiet):
        return
    open_folder(folder)
    stop = StopRequest()
    stop.install()
    progress = _progress(config, quiet, folder)
    shown = shell.shown_environment_seed(env_seed, env_seed_file)
    progress.note(_headline(config, seed, seed_file, folder, shown) + start.note(config) + (", resumed" if resumes else ""))
    told = Observers(progress, *load_observers(observers, folder), HistoryFile(folder))
    launcher = Launcher(LaunchOptions(config, shared, environment, folder, tampers, rule=start.rule), told, stop)

    def look(made: Checkpointed) -> tuple[Snapshot, int]:
        snapshot, meta = load_snapshot(launcher.folder.agent(made.agent))
        return snapshot, int(meta["update"])

    valuer = Valuer(config, look, told, stop)
    told.add(_metrics(launcher))
    told.add(valuer)
    try:
        ended = launcher.run()
    finally:
        told.close()
    wall = time.monotonic() - begun
    former = read_report(folder)
    if former is not None and former.get("valued", True):
        _show_former(former, folder, as_json, quiet)
        return
    report = former or make_report(  # A former one was kept, and its command ended before it was valued.
        config, _shown_seed(seed, seed_file), ended.agent_digests, ended.lock_steps, ended.seconds, wall, settings.num_agents
    )
    snapshot, _ = load_learner(find_run([folder]), config)
    _finish(valuer, report, snapshot, folder, config.evaluation.monte_carlo_trajectories, as_json, quiet)


@click.command("simulate")
@shell.task_argument
@shell.task_options
@start_options
@shell.seed_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; fresh by default, under runs/.")
@click.option(
    "--replicas",
    type=click.Choice(["one", "all"]),
    default="one",
    show_default=True,
    help="One coordinator for all agents (they are equal), or one each.",
)
@observer_option
@shell.trial_option
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
@shell.json_option
def simulate_command(
    task: str,
    seed: int | None,
    seed_file: Path | None,
    env_seed: int | None,
    env_seed_file: Path | None,
    out: Path | None,
    replicas: str,
    observers: tuple[str, ...],
    no_trial: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """The same run inside one process, with the same digests."""
    begun = time.monotonic()
    from dadc_net.experiment.report import make_report
    from dadc_net.experiment.run_folders import new_folder
    from dadc_net.experiment.simulation import Simulation, keep
    from dadc_net.experiment.valuer import Valuer
    from dadc_net.runtime.control import StopRequest
    from dadc_net.runtime.events import Observers
    from dadc_net.runtime.metrics import MetricsFile
    from dadc_net.runtime.problem import try_environment
    from dadc_net.storage.folder import open_folder
    from dadc_net.storage.run_folder import RunFolder

    config, start = _resolve(task, options)
    shared, environment = shell.shared_seed(seed, seed_file), shell.fixed_environment_seed(env_seed, env_seed_file)
    if not no_trial:
        try_environment(config)
    folder = RunFolder(open_folder(new_folder(task, _shown_seed(seed, seed_file), out)))
    folder.config.write_text(config.to_toml(), encoding="utf-8")
    stop = StopRequest()
    stop.install()
    every = config.evaluate_every
    simulation = Simulation(config, shared, environment, replicas, checkpoint_every=every, rule=start.rule)
    computed = len(simulation.replicas)
    compares = config.settings.mode.one_learner and computed > 1
    progress = _progress(config, quiet, folder.path, "digests equal" if compares else "")
    shown = shell.shown_environment_seed(env_seed, env_seed_file)
    progress.note(_headline(config, seed, seed_file, folder.path, shown) + start.note(config))
    told = Observers(progress, *load_observers(observers, folder.path), MetricsFile(folder.path))
    valuer = Valuer(config, lambda made: (simulation.snapshot(), made.update), told, stop)
    told.add(valuer)
    try:
        ended = simulation.run(told, stop)
    finally:
        told.close()
    wall = time.monotonic() - begun
    report = make_report(
        config, _shown_seed(seed, seed_file), ended.agent_digests, ended.lock_steps, ended.seconds, wall, computed
    )
    keep(folder, config, ended)
    _finish(valuer, report, ended.snapshot, folder.path, config.evaluation.monte_carlo_trajectories, as_json, quiet)


def _shown_seed(seed: int | None, seed_file: Path | None) -> int | None:
    """The seed as a report may show it: never the content of a seed file."""
    return None if seed_file is not None else seed or 0


def _headline(config: RunConfig, seed: int | None, seed_file: Path | None, folder: Path, environment: str) -> str:
    from dadc_net.team.structures.structure import describe

    settings = config.settings
    shown = _shown_seed(seed, seed_file)
    algorithm = settings.algorithm if settings.mode.one_learner else f"independent {settings.algorithm}"
    chosen = "" if config.structure == config.task.structure else f" under {describe(config.structure)}"
    return (
        f"{config.task.name}{chosen}: {settings.num_agents} agents, {settings.learner.num_envs} copies, {algorithm}, "
        f"{settings.updates} updates of {settings.learner.batch_steps} steps, "
        f"seed {'from file' if shown is None else shown}, environment seed {environment}, folder {folder}"
    )
