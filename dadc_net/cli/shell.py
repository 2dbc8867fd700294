"""How every command starts and ends: options they share, errors as sentences, exit codes."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from click.core import ParameterSource

from dadc_net.errors import Interrupted, TemporaryError, UsageError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
Command = TypeVar("Command", bound=Callable[..., Any])
_SECONDS_MAX = 1e7
DEFAULT_ENVIRONMENT_SEED = 20_260_101
"""Of ``run``, ``simulate`` and ``sweep``, where one user holds everything; fixed, so that they agree. It is not a secret."""


def start(command: click.Command) -> NoReturn:
    """Run a click command as this process; every error becomes a message and an exit code."""
    forbid_core_dumps()
    _prepare_streams()
    output = sys.stdout
    try:
        code = command.main(standalone_mode=False)
        _flush_output()
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        sys.exit(Interrupted.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (``dadc plan | head``); silence Python's own complaint at exit.
        _forget_output()
        sys.exit(0)
    except SystemExit:
        if sys.stdout is output:
            raise
        _forget_output()  # Click met the same, put another stream in its place and would exit with 1.
        sys.exit(0)
    except Exception as error:
        from dadc_net.runtime.failures import ending_of

        found = ending_of(error)
        say_error(f"error: {found}")
        sys.exit(found.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def say_error(text: str) -> None:
    """On standard error, red on a terminal unless NO_COLOR is set (no-color.org)."""
    click.secho(text, err=True, fg=None if os.environ.get("NO_COLOR") else "red")


class _Deaf(io.FileIO):
    """Standard error: what it says is for people, and whether they listen must not decide over a run."""

    def write(self, data: Any) -> int:
        """As of a file, but a reader that has gone and a full disk take everything."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _prepare_streams() -> None:
    """Give descriptors 0 to 2 back to the streams, if they are closed, and let standard error never fail."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # The next file or socket would take its number, and be written to by whoever prints.
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is sys.__stderr__:
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        raw = io.BufferedWriter(_Deaf(2, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", line_buffering=True)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it is the process's own.


def _flush_output() -> None:
    """Raises TemporaryError if standard output does not take what was printed, BrokenPipeError if its reader has gone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _forget_output()
        raise TemporaryError(
            f"standard output cannot be written: {error.strerror}. The command did its work, and what it keeps is in its "
            "folder. Make room, or let its output go elsewhere."
        ) from error


def _forget_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def forbid_core_dumps() -> None:
    """What this process and its children hold in memory, keys and seeds among it, is not left behind on a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Seconds(click.types.FloatParamType):
    """A length of time: positive, and no infinity, which no system call takes."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As of the base class."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= _SECONDS_MAX:
            self.fail(f"{value!r} is no number of seconds above 0 and up to {_SECONDS_MAX:g}.", param, ctx)
        return seconds


def json_option(command: Command) -> Command:
    """--json: one JSON object as the last line of standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of output.")(
        command
    )


def task_options(command: Command) -> Command:
    """TASK and everything that changes its configuration."""
    from dadc_net.coordinator.algorithms.registry import ALGORITHMS

    for decorate in (
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a configuration key."),
        click.option("--algorithm", metavar="NAME", help=", ".join(ALGORITHMS)),
        click.option("-K", "--agents", type=int, metavar="N", help="Number of agents; must be the task's."),
        click.option("--num-envs", type=int, metavar="E", help="Independent copies of the environment."),
        click.option("--updates", type=int, metavar="N", help="Updates of the learner."),
    ):
        command = decorate(command)
    return command


def trial_option(command: Command) -> Command:
    """--no-trial: an environment that takes minutes for a step, or many resources, is not moved before the run."""
    return click.option("--no-trial", is_flag=True, help="Do not try a few steps of the environment before a run begins.")(
        command
    )


def task_argument(command: Command) -> Command:
    """TASK as a positional argument."""
    return click.argument("task", default="mabc")(command)


def environment_seed_options(unless_given: str) -> Callable[[Command], Command]:
    """--env-seed and --env-seed-file; ``unless_given`` says what happens without them."""

    def decorate(command: Command) -> Command:
        command = click.option(
            "--env-seed-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Seed of the environment as a file's bytes: secret, unlike a short number.",
        )(command)
        return click.option(
            "--env-seed",
            type=int,
            metavar="N",
            help=f"Seed of the environment, for a run that is to be repeated.  [default: {unless_given}]",
        )(command)

    return decorate


def seed_options(command: Command) -> Command:
    """--seed and --seed-file, the shared seed; --env-seed and --env-seed-file, the environment's."""
    for decorate in (
        environment_seed_options(f"{DEFAULT_ENVIRONMENT_SEED}, which is no secret"),
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
    """The shared seed's bytes.

    Raises:
        UsageError: when both or a bad one is given.
        AuthenticationError: if others can read or write the file.
    """
    return _seed(seed or 0 if seed_file is None else seed, seed_file, "--seed", "one shared seed")


def environment_seed(seed: int | None, seed_file: Path | None) -> bytes | None:
    """The environment seed's bytes; None if none was given. Raises like ``shared_seed``."""
    if seed is None and seed_file is None:
        return None
    return _seed(seed, seed_file, "--env-seed", "one seed of the environment")


def fixed_environment_seed(seed: int | None, seed_file: Path | None) -> bytes:
    """The same, with the fixed default of what runs on one machine."""
    return environment_seed(DEFAULT_ENVIRONMENT_SEED if seed is None and seed_file is None else seed, seed_file) or b""


def shown_environment_seed(seed: int | None, seed_file: Path | None) -> str:
    """How a headline shows it: never the content of a file."""
    if seed_file is not None:
        return "from file"
    return str(seed) if seed is not None else f"{DEFAULT_ENVIRONMENT_SEED} (fixed, no secret)"


def _seed(seed: int | None, seed_file: Path | None, option: str, what: str) -> bytes:
    from dadc_net.exact.streams import seed_bytes

    if seed_file is not None:
        from dadc_net.runtime.seed_files import read_seed

        if seed is not None:
            raise UsageError(f"{_given(option)} and {option}-file were both given. There is {what}. Give one of them.")
        return read_seed(seed_file, f"{option}-file")
    try:
        return seed_bytes(seed or 0)
    except ValueError as error:
        raise UsageError(f"{_given(option)} is not usable: {error}. Nothing was started. Give a number from 0.") from error


def _given(option: str) -> str:
    """How the user gave ``option``: by its name or, where the command takes that, in the environment."""
    context = click.get_current_context(silent=True)
    name = option.lstrip("-").replace("-", "_")
    if context is None or context.get_parameter_source(name) is not ParameterSource.ENVIRONMENT:
        return option
    return f"DADC_{name.upper()} in the environment"


def dotted_options(updates: int | None, num_envs: int | None, algorithm: str | None) -> dict[str, Any]:
    """Dedicated options as configuration keys."""
    return {"updates": updates, "learner.num_envs": num_envs, "algorithm": algorithm}


def print_json(data: dict[str, Any]) -> None:
    """One line of JSON on standard output."""
    click.echo(json.dumps(data))
