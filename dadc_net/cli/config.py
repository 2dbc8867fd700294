"""dadc config: the configuration of a task with every key, its value, what it may be and what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell

if TYPE_CHECKING:
    from dadc_net.cli.key_texts import Key
    from dadc_net.config import RunConfig

_WIDTH = 110


@click.command("config")
@shell.task_argument
@shell.task_options
@shell.json_option
def config_command(task: str, as_json: bool, **options: Any) -> None:
    """Print a task's configuration: every key with its value, what it may be and what it means, as a TOML file.

    The output is a TASK itself: dadc config mabc > mine.toml, change it, then dadc run mine.toml.
    """
    from dadc_net.config import check_agents, resolve

    dotted = shell.dotted_options(options["updates"], options["num_envs"], options["algorithm"])
    config = resolve(task, options["overrides"], dotted)
    check_agents(config, options["agents"])
    if as_json:
        shell.print_json(config.to_plain())
    else:
        click.echo(annotated(config), nl=False)


def annotated(config: RunConfig) -> str:
    """The configuration as TOML, with a comment above every section and key."""
    from dadc_net.cli.key_texts import sections, top_level

    begin = f"# Made by dadc config: the run of {config.task.name}, every key. Itself a TASK: change it, then dadc run FILE."
    parts = [begin, "\n".join(line for key in top_level(config) for line in _lines(key))]
    for section in sections(config):
        head = [f"[{section.name}]", *_comment(section.about)]
        parts.append("\n".join([*head, *(line for key in section.keys for line in _lines(key))]))
    return "\n\n".join(parts) + "\n"


def _lines(key: Key) -> Iterator[str]:
    """The comment of a key and its line; a key without a value is left out of TOML, and named in the comment."""
    from dadc_net.toml_text import write_toml

    yield from _comment(" ".join(filter(None, [f"{key.name}:", key.meaning, f"({key.allowed})"])))
    if key.value is not None:
        yield write_toml({key.name: key.value}).strip()


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_long_words=False, break_on_hyphens=False
    )
