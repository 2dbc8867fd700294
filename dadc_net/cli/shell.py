"""How every command starts and ends: options they share, errors as sentences, exit codes."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from dadc_net.errors import DadcError, TemporaryError, UsageError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
Command = TypeVar("Command", bound=Callable[..., Any])
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
DEFAULT_ENVIRONMENT_SEED = 20_260_101
"""Fixed, so that ``run``, ``simulate`` and separate processes agree without an option. It is not a secret."""


def start(command: click.Command) -> NoReturn:
    """Run a click command as this process; errors of this package and of files become a message and an exit code."""
    try:
        code = command.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DadcError as error:
        click.secho(f"error: {error}", err=True, fg="red")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (``dadc plan | head``); silence Python's own complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.filename is None:
            raise
        click.secho(
            f"error: {error.filename} cannot be used: {error.strerror}. What was finished before is kept. Check the path, "
            "its owner and mode, and the disk.",
            err=True,
            fg="red",
        )
        sys.exit((TemporaryError if error.errno in _DISK_FULL else UsageError).exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def json_option(command: Command) -> Command:
    """--json: one JSON object as the last line of standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of output.")(
        command
    )


def task_options(command: Command) -> Command:
    """TASK and everything that changes its configuration."""
    for decorate in (
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a configuration key."),
        click.option("--algorithm", metavar="NAME", help="actor-critic, ppo, trpo, q-actor-critic, ..."),
        click.option("-K", "--agents", type=int, metavar="N", help="Number of agents; must be the task's."),
        click.option("--num-envs", type=int, metavar="E", help="Independent copies of the environment."),
        click.option("--updates", type=int, metavar="N", help="Updates of the learner."),
    ):
        command = decorate(command)
    return command


def task_argument(command: Command) -> Command:
    """TASK as a positional argument."""
    return click.argument("task", default="mabc")(command)


def seed_options(command: Command) -> Command:
    """--seed and --seed-file, the shared seed; --env-seed, the environment's."""
    for decorate in (
        click.option(
            "--env-seed",
            type=int,
            default=DEFAULT_ENVIRONMENT_SEED,
            show_default=True,
            metavar="N",
            help="Seed of the environment, unknown to agents.",
        ),
        click.option(
            "--seed-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Shared seed as a file's bytes: secret, unlike a short number.",
        ),
        click.option("--seed", type=int, metavar="N", help="Shared seed of the coordinator.  [default: 0]"),
    ):
        command = decorate(command)
    return command


def shared_seed(seed: int | None, seed_file: Path | None) -> bytes:
    """The shared seed's bytes. Raises UsageError when both or a bad one is given."""
    from dadc_net.exact.streams import seed_bytes

    if seed is not None and seed_file is not None:
        raise UsageError("--seed and --seed-file were both given. There is one shared seed. Give one of them.")
    try:
        return seed_bytes(seed_file.read_bytes() if seed_file is not None else seed or 0)
    except OSError as error:
        raise UsageError(
            f"the seed file {seed_file} cannot be read: {error.strerror}. It holds the shared seed as bytes. Check the path."
        ) from error
    except ValueError as error:
        raise UsageError(
            f"the shared seed is not usable: {error}. Give a non-negative number or a non-empty file."
        ) from error


def environment_seed(seed: int) -> bytes:
    """The environment seed's bytes. Raises UsageError for a negative number."""
    from dadc_net.exact.streams import seed_bytes

    try:
        return seed_bytes(seed)
    except ValueError as error:
        raise UsageError(f"--env-seed is not usable: {error}. Give a non-negative number.") from error


def dotted_options(updates: int | None, num_envs: int | None, algorithm: str | None) -> dict[str, Any]:
    """Dedicated options as configuration keys."""
    return {"updates": updates, "learner.num_envs": num_envs, "algorithm": algorithm}


def print_json(data: dict[str, Any]) -> None:
    """One line of JSON on standard output."""
    click.echo(json.dumps(data))
