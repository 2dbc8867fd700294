"""``dadc-env`` and ``dadc-agent``: one party of a run by itself, on any host; and ``dadc keys``."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell
from dadc_net.cli.agent_id import agent_id
from dadc_net.cli.event_text import party_text
from dadc_net.cli.help import complete
from dadc_net.cli.observers import load_observers, log_options, metrics_option, observer_option, served_metrics
from dadc_net.cli.progress import Progress
from dadc_net.cli.start import Beginning, beginning, from_option, start_options
from dadc_net.node.messages import EPOCH_MAX
from dadc_net.runtime.control import Control, StopRequest
from dadc_net.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from dadc_net.wire.keys import AgentKeys, ServerKeys

_ADDRESS = "tcp://127.0.0.1:5555"
_KEYS = Path("dadc-keys")
_STATE = Path("dadc-state")
_KEYS_SECONDS = 20.0
"""How long an agent waits at most for a server on its own host to make keys: both may have been started in one moment."""


def _server_keys(folder: Path, bind: str, num_agents: int, insecure: bool) -> ServerKeys | None:
    """The server's keys; a server on loopback makes them on its first start."""
    from dadc_net.runtime.seed_files import TEAM_SEED
    from dadc_net.wire.endpoint import parse_bind
    from dadc_net.wire.keys import load_server_keys, write_keys

    if insecure:
        return None
    loopback = parse_bind(bind).loopback
    if loopback and not folder.exists():
        write_keys(folder, num_agents)
        click.echo(f"made keys for the server and {num_agents} agents in {folder}", err=True)
    if (folder / TEAM_SEED).exists() and not loopback:
        click.echo(
            f"warning: {folder / TEAM_SEED} lies where the server runs, which must not know the agents' seed. Whoever reads "
            "it can compute what they compute. Move it to the agents' hosts.",
            err=True,
        )
    keys = load_server_keys(folder)
    missing = sorted(set(range(1, num_agents + 1)) - set(keys.authorised.values()))
    if missing:
        click.echo(
            f"warning: {folder} lists no key of {', '.join(f'agent {agent}' for agent in missing[:8])}"
            f"{f' and {len(missing) - 8} more' if len(missing) > 8 else ''}, which cannot join. The run waits for all "
            f"{num_agents} agents. Make what is missing: dadc keys {folder} -K {num_agents}",
            err=True,
        )
    return keys


def _agent_keys(folder: Path, agent: int, server: str, patience_s: float) -> AgentKeys:
    """An agent's keys; a server on loopback makes them on its first start, which may be this moment."""
    from dadc_net.errors import AuthenticationError, UsageError
    from dadc_net.wire.endpoint import parse_connect
    from dadc_net.wire.keys import load_agent_keys

    awaited = parse_connect(server).loopback and not folder.exists()
    deadline = time.monotonic() + (min(patience_s, _KEYS_SECONDS) if awaited else 0.0)
    if awaited:
        click.echo(f"no keys in {folder} yet; waiting for the server to make them", err=True)
    while True:
        try:
            return load_agent_keys(folder, agent)
        except (AuthenticationError, UsageError):  # None yet, or not all of them.
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


@click.command("dadc-env", context_settings=shell.CONTEXT)
@click.option(
    "--task", default="mabc", show_default=True, help="Name, TOML or .dpomdp file, FILE.py:factory, or module:factory."
)
@shell.task_options
@start_options
@shell.environment_seed_options("drawn at random, kept in the state folder")
@click.option("--bind", default=_ADDRESS, show_default=True, metavar="ADDRESS", help="Address to listen at.")
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    default=_KEYS,
    show_default=True,
    envvar="DADC_KEYS",
    help="Folder of keys.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=RunFolder(_STATE).server,
    show_default=True,
    help="Folder for journal and metrics.",
)
@click.option(
    "--epoch",
    type=click.IntRange(1, EPOCH_MAX),
    default=None,
    metavar="N",
    help="Count starts from N: where the state folder is an older copy than what the agents have met.",
)
@click.option("--insecure", is_flag=True, help="No encryption; loopback only.")
@observer_option
@metrics_option
@log_options
@shell.trial_option
@click.option("--quiet", is_flag=True, help="Only the final digest.")
def environment_command(
    task: str,
    env_seed: int | None,
    env_seed_file: Path | None,
    bind: str,
    keys: Path,
    state_dir: Path,
    epoch: int | None,
    insecure: bool,
    observers: tuple[str, ...],
    metrics_port: str | None,
    no_trial: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """The environment server alone; agents join it with dadc-agent."""
    from dadc_net.config import check_agents, resolve
    from dadc_net.node.messages import RUN_ID_BYTES
    from dadc_net.runtime.log_file import log_to_file
    from dadc_net.runtime.problem import try_environment
    from dadc_net.runtime.server_process import ServerOptions, ServerProcess
    from dadc_net.storage.folder import open_state_folder
    from dadc_net.storage.journal_file import JOURNAL_NAME

    start = beginning(options["origin"], options["frozen"], options["drawn"], digest_allowed=True)
    dotted = shell.dotted_options(options["updates"], options["num_envs"], options["algorithm"])
    config = resolve(task, options["overrides"], {**dotted, **start.options}, start.before)
    check_agents(config, options["agents"])
    start.check(config)
    seed = shell.environment_seed(env_seed, env_seed_file)
    server_keys = _server_keys(keys, bind, config.settings.num_agents, insecure)
    log_to_file(open_state_folder(state_dir))
    if not (no_trial or (state_dir / JOURNAL_NAME).exists()):
        try_environment(config)
    stop = StopRequest()
    stop.install()
    stop.reread_on_hangup()
    served = ServerOptions(config, seed, bind, secrets.token_bytes(RUN_ID_BYTES), state_dir, server_keys, epoch=epoch or 0)
    progress = Progress(config.settings.updates, quiet, describe=party_text, folder=state_dir)
    told = (*load_observers(observers, state_dir), *served_metrics(metrics_port))
    process = ServerProcess(served, Control(stop=stop), progress, *told)
    result = process.run()
    if not quiet and result.seconds == 0:
        click.echo(f"the run in {state_dir} was finished before; this is its result", err=True)
    elif not quiet:
        rate = result.steps / max(result.seconds, 1e-9)
        click.echo(f"finished: {result.steps} lock-steps, {rate:.0f} per second; all agents reported", err=True)
    for digest in dict.fromkeys(result.learner_digests.values()):  # One, unless learners are independent.
        click.echo(digest)


def _insisted_digest(task: str, overrides: tuple[str, ...], start: Beginning) -> bytes:
    from dadc_net.config import resolve

    return resolve(task, overrides, start.options, start.before).settings.digest()


@click.command("dadc-agent", context_settings=shell.CONTEXT)
@click.option("--id", "given_id", type=int, metavar="N", help="This agent's id, from 1; or DADC_AGENT_ID, or an engine's.")
@click.option("--seed", type=int, envvar="DADC_SEED", metavar="N", help="Shared seed of the coordinator.  [default: 0]")
@click.option("--seed-file", type=click.Path(path_type=Path), metavar="FILE", help="Shared seed as a file's bytes.")
@click.option(
    "--private-seed-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Seed of this agent's own draws, known to nobody else; the shared seed by default, so that runs repeat.",
)
@click.option(
    "--server",
    default=_ADDRESS,
    show_default=True,
    envvar="DADC_SERVER",
    metavar="ADDRESS",
    help="Address of the environment server.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    default=_KEYS,
    show_default=True,
    envvar="DADC_KEYS",
    help="Folder of keys.",
)
@click.option(
    "--state-dir", type=click.Path(path_type=Path), help="Folder for journal and state.  [default: dadc-state/agent-N]"
)
@from_option
@click.option("--config", "insisted", metavar="TASK", help="Task or file whose settings the server's must equal.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="With --config: override a key.")
@click.option("--structure", metavar="MODULE:CLASS", help="Your own information structure; never taken from the server.")
@click.option("--family", metavar="MODULE:CLASS", help="Your own prescription family; never taken from the server.")
@click.option(
    "--connect-timeout",
    type=shell.Seconds(),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to try to reach the server.",
)
@click.option(
    "--rejoin-timeout",
    type=shell.Seconds(),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a server that was lost during the run.",
)
@click.option(
    "--journal",
    type=click.Choice(["process", "host"]),
    default="process",
    show_default=True,
    help="What the state folder survives: a killed process, or also a loss of power.",
)
@click.option("--insecure", is_flag=True, help="No encryption; loopback only.")
@observer_option
@metrics_option
@log_options
@click.option("--quiet", is_flag=True, help="Only the final digest.")
def agent_command(
    given_id: int | None,
    seed: int | None,
    seed_file: Path | None,
    private_seed_file: Path | None,
    server: str,
    keys: Path,
    state_dir: Path | None,
    origin: str | None,
    insisted: str | None,
    overrides: tuple[str, ...],
    structure: str | None,
    family: str | None,
    connect_timeout: float,
    rejoin_timeout: float,
    journal: str,
    insecure: bool,
    observers: tuple[str, ...],
    metrics_port: str | None,
    quiet: bool,
) -> None:
    """One agent alone. Task and settings come from the server."""
    from dadc_net.errors import UsageError
    from dadc_net.named_code import load_structure
    from dadc_net.runtime.agent_process import AgentOptions, AgentProcess
    from dadc_net.runtime.log_file import log_to_file
    from dadc_net.runtime.own_family import load_family
    from dadc_net.runtime.seed_files import read_seed
    from dadc_net.storage.folder import open_state_folder

    agent, source = agent_id(given_id, os.environ)
    if overrides and insisted is None:
        raise UsageError("--set was given without --config. An agent takes its settings from the server. Add --config TASK.")
    shared = shell.shared_seed(seed, seed_file)
    private = b"" if private_seed_file is None else read_seed(private_seed_file, "--private-seed-file")
    start = beginning(origin, frozen=False, drawn=False)
    digest = b"" if insisted is None else _insisted_digest(insisted, overrides, start)
    folder = state_dir or RunFolder(_STATE).agent(agent)
    agent_keys = None if insecure else _agent_keys(keys, agent, server, connect_timeout)
    log_to_file(open_state_folder(folder))
    stop = StopRequest()
    stop.install()
    own = None if structure is None else load_structure(structure)
    if family is not None:
        load_family(family)
    options = AgentOptions(
        agent=agent,
        server=server,
        shared_seed=shared,
        state_dir=folder,
        keys=agent_keys,
        settings_digest=digest,
        connect_timeout_s=connect_timeout,
        patience_s=rejoin_timeout,
        structure=own,
        journal=journal,
        private_seed=private,
        rule=start.rule,
    )
    if not quiet:
        click.echo(f"agent {agent} (from {source}) joins {server}; state in {folder}", err=True)
    progress = Progress(0, quiet, describe=party_text)
    told = (*load_observers(observers, folder), *served_metrics(metrics_port))
    result = AgentProcess(options, Control(stop=stop), progress, *told).run()
    if not quiet:
        click.echo(f"finished: {result.steps} records", err=True)
    click.echo(result.learner_digest)


@click.command("keys")
@click.argument("folder", type=click.Path(path_type=Path), default=_KEYS)
@click.option("-K", "--agents", type=int, default=2, show_default=True, metavar="N", help="Number of agents.")
@click.option("--folders", is_flag=True, help="A folder per party, with what it needs and nothing else.")
@click.option(
    "--seed-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --folders: the agents' shared seed as a file's bytes.  [default: drawn at random]",
)
def keys_command(folder: Path, agents: int, folders: bool, seed_file: Path | None) -> None:
    """Make CurveZMQ keys, one pair for the server and one per agent, and the agents' team.seed. Existing keys stay."""
    from dadc_net.errors import UsageError
    from dadc_net.runtime.key_folders import write_folders
    from dadc_net.runtime.seed_files import TEAM_SEED, draw_seed, read_raw_seed
    from dadc_net.wire.keys import write_keys

    if agents < 1:
        raise UsageError(f"-K is {agents}. A team has at least one agent. Give the number of agents.")
    if seed_file is not None and not folders:
        raise UsageError(
            "--seed-file was given without --folders. The seed goes into a folder of each agent, and never into the "
            "server's. Add --folders."
        )
    if folders:
        made = write_folders(folder, agents, b"" if seed_file is None else read_raw_seed(seed_file, "--seed-file"))
        click.echo(f"{folder}: {', '.join(made) if made else 'everything existed already'}")
        click.echo("move agent-N to agent N's host, and server to the server's; a party needs its own folder and no other")
        return
    made = write_keys(folder, agents)
    if "server.key" in made and draw_seed(folder / TEAM_SEED):  # Not later: one that was moved away must not be replaced.
        made.append(TEAM_SEED)
    click.echo(f"{folder}: {', '.join(made) if made else 'every key existed already'}")
    click.echo("copy server.pub and agent-N.key to agent N's host; server.key stays with the server")
    if (folder / TEAM_SEED).exists():
        click.echo(f"move {TEAM_SEED} to every agent's host (dadc-agent --seed-file); the server must not have it")


complete(environment_command, "dadc-env")
complete(agent_command, "dadc-agent")
