"""Help screens: whole summaries, what a TASK may be, --version everywhere, and what a mistyped word may have meant."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

import dadc_net

_TASK = """\b
TASK is one of
  mabc, demand-response                    the paper's two problems
  dec-tiger, recycling, broadcast-channel, meeting-grid, meeting-corners,
  box-pushing, fire-fighting               problems of the field
  FILE.dpomdp                              a model in the field's format
  FILE.toml                                a configuration; dadc config TASK writes one
  FILE.py:function, package.module:function    code of yours that returns a Task or FiniteModel
  pettingzoo:MODULE.ENV, pettingzoo:FILE.py:function    an environment of PettingZoo"""


class LazyCommand(NamedTuple):
    """A command that is loaded when it is asked for."""

    place: str
    """``module:attribute``, below ``dadc_net.cli``"""
    summary: str
    """Its first sentence, so that a list of commands loads none of them."""


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name. The module of one, and all that it imports, is loaded when the command is looked up."""

    def __init__(self, program: str, known: Mapping[str, LazyCommand]) -> None:
        self._program = program
        self._known = known
        self._loaded: dict[str, click.Command] = {}

    def summary(self, name: str) -> str:
        """The first sentence of a command's help, loaded or not."""
        return self._known[name].summary if name in self._known else summary(self._loaded[name])

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self._known[name].place.partition(":")
            self._loaded[name] = getattr(importlib.import_module(f"dadc_net.cli.{module}"), attribute)
            complete(self._loaded[name], self._program)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._loaded

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **self._loaded})

    def __len__(self) -> int:
        return len({**self._known, **self._loaded})


class CommandGroup(click.Group):
    """A group whose list shows the whole first sentence of every command, and which asks whether another one was meant."""

    def summary(self, name: str) -> str:
        """The first sentence of a command's help; loads no command."""
        known = self.commands
        return known.summary(name) if isinstance(known, LazyCommands) else summary(known[name])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As of the base class, with nothing cut."""
        rows = [(name, self.summary(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As of the base class, without loading what is only listed."""
        found = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        listed = [CompletionItem(name, help=self.summary(name)) for name in found]
        return [*listed, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As of the base class; a name that does not exist is told with one that does."""
        from dadc_net.schema import closest

        name = args[0] if args else ""
        if not name.startswith("-") and name not in self.commands:
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
    if isinstance(command, click.Group) and not isinstance(command.commands, LazyCommands):
        for below in command.commands.values():
            complete(below, program)
