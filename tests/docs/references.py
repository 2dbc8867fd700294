"""The pages that are generated: every command from click, every key from the settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import dadc_net
from dadc_net.cli.key_texts import TOP_LEVEL, Key, Section, defaults, section_of
from dadc_net.cli.main import dadc
from dadc_net.cli.parties import agent_command, environment_command
from dadc_net.team.structures.by_name import BUILT_IN
from dadc_net.team.tasks import TASKS
from dadc_net.toml_text import write_toml

DOCS = Path(dadc_net.__file__).parent / "docs"
REGENERATE = "python -m tests.docs.regenerate"
_COMMANDS = f"""# Command reference

Generated from the commands themselves by `{REGENERATE}`; every command says the same with `--help`. What a
TASK may be stands in [Your own team](your-own-team.md), exit codes in [Exit codes](exit-codes.md). `--json` prints one JSON
object as the last line of standard output; its keys stand in [File formats](file-formats.md).
"""
_CONFIGURATION = f"""# Configuration reference

Generated from the settings by `{REGENERATE}`. `dadc config TASK` prints the same for one task, with the
values that its presets bring, as a file that is itself a TASK. A key is set in such a file, or on the command line, in TOML
syntax: `--set ais.size=16`. Options win over `--set`, `--set` over the file, the file over the preset, and the preset over
the defaults below.

The sections `evaluation` and `runtime` cannot change a digest. The section `env` is known to the environment server alone;
everything else is told to the agents.
"""
_STRUCTURE = """Who knows what, and when; see [Information structures](information-structures.md). `name` is one of these, or
the task's own. Each has keys of its own.
"""
_HEAD = "| key | {}may be | meaning |\n| --- | {}--- | --- |"


def pages() -> dict[Path, str]:
    """Every generated page and what it must say."""
    return {DOCS / "commands.md": command_reference(), DOCS / "configuration.md": configuration_reference()}


def command_reference() -> str:
    """commands.md"""
    parts = [_COMMANDS]
    for name, command in all_commands():
        parts.append(_command(name, command))
    return "\n".join(parts)


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Every command under the name that is typed."""
    for name in sorted(dadc.commands):
        command = dadc.commands[name]
        yield f"dadc {name}", command
        if isinstance(command, click.Group):
            yield from ((f"dadc {name} {below}", command.commands[below]) for below in sorted(command.commands))
    yield "dadc-env", environment_command
    yield "dadc-agent", agent_command


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    told = (command.help or "").replace("\b\n", "")
    lines = [f"## {name}", "", f"`{usage}`", "", *(line.strip() for line in told.strip().splitlines()), ""]
    rows = [_option(one) for one in command.params if isinstance(one, click.Option) and one.name != "version"]
    if rows:
        lines += ["| option | what it does |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def _option(option: click.Option) -> str:
    """Made here and not by click, whose versions write it differently."""
    words = ", ".join([*option.opts, *option.secondary_opts])
    if isinstance(option.type, click.Choice):
        words += f" {'|'.join(map(str, option.type.choices))}"
    elif not option.is_flag:
        words += f" {option.metavar or option.type.name.upper()}"
    default = option.default if isinstance(option.default, list | tuple) else [option.default]
    told = f" [default: {', '.join(map(str, default))}]" if option.show_default else ""
    return f"| `{_cell(words)}` | {_cell((option.help or '') + told)} |"


def configuration_reference() -> str:
    """configuration.md"""
    top = [Key(name=name, value=None, allowed=allowed, meaning=meaning) for name, (allowed, meaning) in TOP_LEVEL.items()]
    parts = [_CONFIGURATION, "## Before all sections\n", _table(top, False), "## structure\n", _STRUCTURE]
    parts += [_section(section_of(kind.name, kind), "###") for kind in BUILT_IN.values()]
    parts += ["## env\n", "The environment's own parameters, which differ from task to task.\n"]
    parts += [_section(section, "###") for section in _environments()]
    parts += [_section(section, "##") for section in defaults()]
    return "\n".join(parts)


def _environments() -> Iterator[Section]:
    """The parameters of the built-in tasks; tasks that share a class share a section."""
    kinds: dict[type[Any], list[str]] = {}
    for name, task in TASKS.items():
        kinds.setdefault(task.parameters_type, []).append(name)
    for kind, names in kinds.items():
        yield section_of(", ".join(names), kind)


def _section(section: Section, level: str) -> str:
    about = f"{_cell(section.about)}\n" if section.about else ""
    return f"{level} {section.name}\n\n{about}" + ("\n" + _table(section.keys, True) if section.keys else "")


def _table(keys: Sequence[Key], with_default: bool) -> str:
    head = _HEAD.format("default | ", "--- | ") if with_default else _HEAD.format("", "")
    rows = []
    for key in keys:
        default = "" if key.value is None else f"`{write_toml({key.name: key.value}).strip().partition(' = ')[2]}`"
        cells = [f"`{key.name}`", *([_cell(default)] if with_default else []), _cell(key.allowed), _cell(key.meaning)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([head, *rows]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
