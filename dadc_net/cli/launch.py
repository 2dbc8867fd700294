"""``dadc launch``: the files with which an engine starts K agents and their server."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell
from dadc_net.deployment.engines import ENGINES, files

if TYPE_CHECKING:
    from dadc_net.deployment.team import Team

_OWN_IMAGE = "dadc-net:local"


@click.command("launch")
@click.argument("engine", type=click.Choice(ENGINES))
@click.argument("task", required=False)
@shell.task_options
@click.option(
    "--image", metavar="NAME", help=f"Image of every container.  [default: {_OWN_IMAGE}, built from these sources]"
)
@click.option("--memory", default="1g", show_default=True, metavar="SIZE", help="Limit of each party, like 500m or 2g.")
@click.option("--server", default="127.0.0.1", show_default=True, metavar="HOST", help="systemd: where the server runs.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File to write, or folder for systemd's files.  [default: standard output]",
)
def launch_command(
    engine: str, task: str | None, image: str | None, memory: str, server: str, out: Path | None, **options: Any
) -> None:
    """Write the file with which an engine starts K agents and their server.

    ENGINE is compose, swarm, kubernetes, slurm or systemd. TASK is mabc for two agents, and demand-response for any other
    number, unless it is given.
    """
    team = _team(engine, task, image or _OWN_IMAGE, memory, options)
    made_by = "dadc " + shlex.join(["launch", *_given_arguments(engine, task, image, memory, server, options)])
    made = files(engine, team, build=image is None, server=server, made_by=made_by)
    if out is not None and engine == "systemd":
        out.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (out / name).write_text(text, encoding="utf-8")
        click.echo(f"wrote {', '.join(made)} to {out}", err=True)
    elif out is not None:
        out.write_text("".join(made.values()), encoding="utf-8")
        click.echo(f"wrote {out}", err=True)
    else:
        for name, text in made.items():
            click.echo(f"### {name}\n{text}" if len(made) > 1 else text, nl=False)


def _team(engine: str, task: str | None, image: str, memory: str, options: dict[str, Any]) -> Team:
    """The team, after a look at its configuration: what the server would refuse is refused here."""
    from dadc_net.config import check_agents, resolve, structure_argument
    from dadc_net.deployment.team import Team
    from dadc_net.errors import UsageError

    agents, overrides = options["agents"], list(options["overrides"])
    if agents is not None and agents < 1:
        raise UsageError(f"-K is {agents}. A team has at least one agent. Give the number of agents.")
    if task is None:
        task = "mabc" if agents in (None, 2) else "demand-response"
        if task == "demand-response" and not any(override.startswith("env.agents=") for override in overrides):
            overrides.append(f"env.agents={agents}")
    if Path(task).suffix == ".toml" and engine in ("compose", "swarm", "kubernetes"):
        raise UsageError(
            f"the task is the file {task}, which a container does not see. Nothing was written. Name the task, and give "
            "what differs with --set."
        )
    dedicated = {key: options[key] for key in ("updates", "num_envs", "algorithm")}
    config = resolve(task, overrides, shell.dotted_options(**dedicated))
    check_agents(config, agents)
    arguments = [f"--{key.replace('_', '-')}={value}" for key, value in dedicated.items() if value is not None]
    arguments += [f"--set={override}" for override in overrides]
    return Team(
        agents=config.settings.num_agents,
        task=task,
        options=tuple(arguments),
        structure=structure_argument(config),
        image=image,
        memory=memory,
    )


def _given_arguments(
    engine: str, task: str | None, image: str | None, memory: str, server: str, options: dict[str, Any]
) -> list[str]:
    """What would write the same again."""
    words = [engine] if task is None else [engine, task]
    if options["agents"] is not None:
        words += ["-K", str(options["agents"])]
    words += [f"--{key.replace('_', '-')}={options[key]}" for key in ("updates", "num_envs", "algorithm") if options[key]]
    words += [f"--set={override}" for override in options["overrides"]]
    if image is not None:
        words.append(f"--image={image}")
    if memory != "1g":
        words.append(f"--memory={memory}")
    return [*words, f"--server={server}"] if engine == "systemd" and server != "127.0.0.1" else words
