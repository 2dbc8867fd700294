"""``dadc run`` and ``dadc simulate``: the main job, as processes or inside one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell
from dadc_net.cli.progress import Progress, summary

if TYPE_CHECKING:
    from dadc_net.config import RunConfig
    from dadc_net.coordinator.coordinator import UpdateReport
    from dadc_net.experiment.evaluation import Evaluator
    from dadc_net.experiment.simulation import Simulation


def _resolve(task: str, options: dict[str, Any]) -> RunConfig:
    from dadc_net.config import check_agents, resolve

    dotted = shell.dotted_options(options["updates"], options["num_envs"], options["algorithm"])
    config = resolve(task, options["overrides"], dotted)
    check_agents(config, options["agents"])
    return config


def _progress(config: RunConfig, quiet: bool) -> Progress:
    progress = Progress(config.settings.updates, quiet, *([] if config.settings.mode.one_learner else ["common log equal"]))
    for note in config.task.notes:
        progress.note(note)
    return progress


def _take_up(out: Path | None, config: RunConfig, shared_seed: bytes) -> bool:
    """Whether ``out`` holds a run of this configuration and seed, finished or not.

    Raises:
        MismatchError: if it holds a run of another one.
    """
    from dadc_net.config import resolve
    from dadc_net.errors import MismatchError
    from dadc_net.schema import differences

    if out is None or not (out / "config.toml").is_file():
        return False
    if (out / "agent-1").is_dir() and not (out / "keys").is_dir():
        return False  # A simulation, which has no journals.
    held, given = resolve(str(out / "config.toml"), ()).to_plain(), config.to_plain()
    for section in ("runtime", "evaluation"):
        del held[section], given[section]
    if held != given:
        raise MismatchError(
            f"--out {out} holds a run with {differences(held, given)}. Nothing was changed. Give the options of that run to "
            "resume it, or another folder."
        )
    _refuse_another_seed(out, shared_seed)
    return True


def _refuse_another_seed(out: Path, shared_seed: bytes) -> None:
    """The agents would refuse it too, but only after the server has begun to serve."""
    from dadc_net.errors import CorruptStateError, MismatchError
    from dadc_net.node.agent.identity import commitment
    from dadc_net.storage.journal_reader import JournalReader

    try:
        reader = JournalReader(out / "server")
    except CorruptStateError:
        return  # There is none yet, or the server will say what is wrong with it.
    team = reader.facts.get("team")
    reader.close()
    given = commitment(shared_seed).hex()
    if team is not None and team["commitment"] != given:
        raise MismatchError(
            f"--out {out} holds a run with another shared seed: its commitment is {team['commitment'][:16]}, that of the "
            f"given seed {given[:16]}. Nothing was changed. Give the --seed or --seed-file of that run to resume it, or "
            "another folder."
        )


def _run_folder(task: str, seed: int | None, out: Path | None) -> Path:
    """The given folder, which must be new or empty, or a fresh one under ``runs``."""
    from dadc_net.errors import UsageError

    if out is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        base = Path("runs") / f"{Path(task).stem.replace(':', '-')}-seed{'file' if seed is None else seed}-{stamp}"
        out, number = base, 1
        while out.exists():
            number += 1
            out = base.with_name(f"{base.name}-{number}")
        return out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"--out {out} already exists and is not empty. A run never overwrites another. Give a new folder, or remove "
            "this one first."
        )
    return out


class _Valuer:
    """Values checkpoints while a run goes on and writes metrics.jsonl."""

    def __init__(self, config: RunConfig, folder: Path, progress: Progress) -> None:
        from dadc_net.experiment.metrics import MetricsFile

        self.config = config
        self.progress = progress
        self.metrics = MetricsFile(folder)
        self.reward = 0.0
        self.losses: Mapping[str, float] = {}
        """Of the last checkpoint."""
        self._evaluator: Evaluator | None = None

    @property
    def evaluator(self) -> Evaluator:
        """Plans on first use: by then the agents have started and work beside it."""
        from dadc_net.experiment.evaluation import Evaluator

        if self._evaluator is None:
            self._evaluator = Evaluator(self.config)
        return self._evaluator

    def checkpoint(self, update: int, snapshot: Mapping[str, Any], losses: Mapping[str, float]) -> None:
        """Value one checkpoint."""
        trajectories = self.config.evaluation.progress_trajectories
        found = self.evaluator.exact(snapshot, trajectories)
        compared = self.evaluator.comparison(snapshot, found, trajectories, losses)
        self.losses = losses
        self.metrics.write(
            update=update,
            env_steps=update * self.config.settings.learner.batch_steps,
            value=compared.value.value,
            value_stderr=compared.value.stderr,
            gap=None if found is None else found.gap,
            round_robin_share=None if found is None else found.round_robin_share,
            **compared.short_fields(),
            reward_per_step=self.reward,
            losses=dict(losses),
        )
        share, since = compared.share, "best constant"
        if found is not None and found.round_robin_share is not None:
            share, since = found.round_robin_share, "round-robin"
        self.progress.value(compared.value.value, share, since, compared.troubles())


def _finish(
    valuer: _Valuer, report: dict[str, Any], snapshot: Mapping[str, Any], folder: Path, as_json: bool, quiet: bool
) -> None:
    from dadc_net.experiment.report import add_valuation, write_report

    valuation = valuer.evaluator.valuation(snapshot)
    trajectories = valuer.config.evaluation.trajectories
    compared = valuer.evaluator.comparison(snapshot, valuation.exact, trajectories, valuer.losses)
    add_valuation(report, valuation, compared)
    write_report(folder, report)
    valuer.progress.close()
    if not quiet:
        returns = valuer.config.evaluation.monte_carlo_trajectories
        click.echo(summary(report, valuation, compared, returns, folder), err=as_json)
    if as_json:
        shell.print_json(report)


@click.command("run")
@shell.task_argument
@shell.task_options
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
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
@shell.json_option
def run_command(
    task: str,
    seed: int | None,
    seed_file: Path | None,
    env_seed: int,
    out: Path | None,
    breaks: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a team: one environment server and K agent processes on this machine."""
    begun = time.monotonic()
    from dadc_net.experiment.report import make_report, read_report
    from dadc_net.runtime.control import StopRequest
    from dadc_net.runtime.launcher import Launcher, LaunchOptions, load_learner, load_snapshot
    from dadc_net.runtime.sabotage import parse_all
    from dadc_net.storage.folder import open_folder

    config = _resolve(task, options)
    shared, environment = shell.shared_seed(seed, seed_file), shell.environment_seed(env_seed)
    learner = config.settings.learner
    tampers = parse_all(breaks, config.settings.num_agents, config.settings.updates * learner.batch_lock_steps)
    resumes = _take_up(out, config, shared)
    folder = out if resumes and out is not None else _run_folder(task, _shown_seed(seed, seed_file), out)
    open_folder(folder)
    stop = StopRequest()
    stop.install()
    progress = _progress(config, quiet)
    progress.note(_headline(config, seed, seed_file, folder) + (", resumed" if resumes else ""))
    valuer = _Valuer(config, folder, progress)

    def observe(party: str, kind: str, details: Mapping[str, Any]) -> None:
        note = shell.event_text(party, kind, details)
        if note:
            progress.note(note)
        if kind == "update":
            valuer.reward = details["reward_per_step"]
            progress.update(
                *(details["update"], details["lock_steps_here"], details["seconds"], details["reward_per_step"])
            )
        elif kind == "checkpoint":
            snapshot, meta = load_snapshot(folder / party)
            valuer.checkpoint(int(meta["update"]), snapshot, details["losses"])

    launcher = Launcher(LaunchOptions(config, shared, environment, folder, tampers), observe, stop)
    with valuer.metrics:
        try:
            ended = launcher.run()
        finally:
            progress.close()
        wall = time.monotonic() - begun
        former = read_report(folder)
        if former is not None:
            click.echo(f"the run in {folder} was finished before; this is its result", err=True)
            if as_json:
                shell.print_json(former)
            else:
                if former["value"] is not None:
                    value, optimum, gap = (former[key] for key in ("value", "optimum", "gap"))
                    click.echo(f"value {value:.4f}, optimum V* {optimum:.4f}, gap {100 * gap:.2f} %", err=quiet)
                click.echo(f"learner digest {former['learner_digest']}", err=quiet)
            return
        report = make_report(
            config, _shown_seed(seed, seed_file), ended.agent_digests, ended.lock_steps, ended.seconds, wall
        )
        snapshot, _ = load_learner(folder, config)
        _finish(valuer, report, snapshot, folder, as_json, quiet)


@click.command("simulate")
@shell.task_argument
@shell.task_options
@shell.seed_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; fresh by default, under runs/.")
@click.option(
    "--replicas",
    type=click.Choice(["one", "all"]),
    default="one",
    show_default=True,
    help="One coordinator for all agents (they are equal), or one each.",
)
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
@shell.json_option
def simulate_command(
    task: str,
    seed: int | None,
    seed_file: Path | None,
    env_seed: int,
    out: Path | None,
    replicas: str,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """The same run inside one process, with the same digests."""
    begun = time.monotonic()
    from dadc_net.experiment.report import make_report
    from dadc_net.experiment.simulation import Simulation
    from dadc_net.runtime.control import StopRequest
    from dadc_net.storage import arrays_file
    from dadc_net.storage.agent_journal import checkpoint_path
    from dadc_net.storage.folder import open_folder

    config = _resolve(task, options)
    shared, environment = shell.shared_seed(seed, seed_file), shell.environment_seed(env_seed)
    folder = open_folder(_run_folder(task, _shown_seed(seed, seed_file), out))
    (folder / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    stop = StopRequest()
    stop.install()
    progress = _progress(config, quiet)
    progress.note(_headline(config, seed, seed_file, folder))
    valuer = _Valuer(config, folder, progress)

    def on_update(report: UpdateReport, simulation: Simulation) -> None:
        valuer.reward = simulation.reward_sum / max(1, simulation.reward_count)
        lock_steps = report.update * config.settings.learner.batch_lock_steps
        progress.update(report.update, lock_steps, time.monotonic() - started, valuer.reward)
        if report.update % config.evaluate_every == 0:
            valuer.checkpoint(report.update, simulation.snapshot(), report.losses)

    with valuer.metrics:
        started = time.monotonic()
        try:
            ended = Simulation(config, shared, environment, replicas).run(on_update, stop)
        finally:
            progress.close()
        wall = time.monotonic() - begun
        report = make_report(
            config, _shown_seed(seed, seed_file), ended.agent_digests, ended.lock_steps, ended.seconds, wall
        )
        for agent, *_ in config.settings.learners:  # Replicas of one learner are equal, so one is kept.
            meta = {"settings": config.settings.to_plain(), "agent": agent, "update": config.settings.updates}
            meta["learner_digest"] = ended.agent_digests[agent]
            arrays = config.settings.mode.part(ended.snapshot, agent)
            path = checkpoint_path(open_folder(folder / f"agent-{agent}"), ended.lock_steps)
            arrays_file.save(path, dict(arrays), meta)
        _finish(valuer, report, ended.snapshot, folder, as_json, quiet)


def _shown_seed(seed: int | None, seed_file: Path | None) -> int | None:
    """The seed as a report may show it: never the content of a seed file."""
    return None if seed_file is not None else seed or 0


def _headline(config: RunConfig, seed: int | None, seed_file: Path | None, folder: Path) -> str:
    settings = config.settings
    shown = _shown_seed(seed, seed_file)
    algorithm = settings.algorithm if settings.mode.one_learner else f"independent {settings.algorithm}"
    return (
        f"{config.task.name}: {settings.num_agents} agents, {settings.learner.num_envs} copies, {algorithm}, "
        f"{settings.updates} updates of {settings.learner.batch_steps} steps, "
        f"seed {'from file' if shown is None else shown}, folder {folder}"
    )
