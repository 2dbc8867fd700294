"""Help screens: whole summaries, what a TASK may be, --version everywhere, and what a mistyped word may have meant."""

from __future__ import annotations

from typing import Any

import click

import dadc_net
from dadc_net.schema import closest

_TASK = """\b
TASK is one of
  mabc, demand-response                    the paper's two problems
  dec-tiger, recycling, broadcast-channel, meeting-grid, meeting-corners,
  box-pushing, fire-fighting               problems of the field
  FILE.dpomdp                              a model in the field's format
  FILE.toml                                a configuration; dadc config TASK writes one
  FILE.py:function, package.module:function    code of yours that returns a Task
  pettingzoo:MODULE.ENV                    an environment of PettingZoo"""


class CommandGroup(click.Group):
    """A group whose list shows the whole first sentence of every command, and which asks whether another one was meant."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As of the base class, with nothing cut."""
        rows = [(name, summary(self.commands[name])) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As of the base class; a name that does not exist is told with one that does."""
        name = args[0] if args else ""
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(
                f"there is no command {name!r}. {closest(name, self.commands)} {ctx.command_path} --help lists them.", ctx
            )
        return super().resolve_command(ctx, args)


def summary(command: click.Command) -> str:
    """The first sentence of a command's help."""
    text = " ".join((command.help or "").split("\n\n")[0].split())
    sentence, point, _ = text.partition(". ")
    return sentence + point.strip()


def complete(command: click.Command, program: str) -> None:
    """Give a command --version, and where it takes a TASK, what that may be."""
    if not any("--version" in parameter.opts for parameter in command.params):
        click.version_option(dadc_net.__version__, prog_name=program)(command)
    arguments: list[Any] = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    if any(argument.name == "task" for argument in arguments) and command.epilog is None:
        command.epilog = _TASK
    if isinstance(command, click.Group):
        for below in command.commands.values():
            complete(below, program)
