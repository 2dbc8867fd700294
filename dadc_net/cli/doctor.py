"""``dadc doctor`` and ``dadc completion``: is this host fit for a run, and how a shell completes the commands."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from dadc_net.cli import shell

_PROGRAMS = ("dadc", "dadc-env", "dadc-agent")
_WHERE = {
    "bash": "dadc completion bash >> ~/.bashrc",
    "zsh": "dadc completion zsh >> ~/.zshrc",
    "fish": "dadc completion fish > ~/.config/fish/completions/dadc.fish",
}


@click.command("doctor")
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option("--quick", is_flag=True, help="Without the self-test of arithmetic, which takes some seconds.")
@shell.json_option
def doctor_command(folder: Path, quick: bool, as_json: bool) -> None:
    """Look whether this host is fit for a run kept in FOLDER, and say what to do; exit code 1 if something is not.

    Python, torch, numba, encryption, locale, descriptors, disk, clock, limits of a container, arithmetic.
    """
    from dadc_net.runtime.doctor import BAD, examine

    found = examine(folder, quick)
    if as_json:
        shell.print_json({"findings": [finding._asdict() for finding in found]})
    else:
        for finding in found:
            click.echo(f"{finding.state:4} {finding.what:12} {finding.found}")
            if finding.remedy:
                click.echo(f"{'':17} -> {finding.remedy}")
    if any(finding.state == BAD for finding in found):
        raise click.exceptions.Exit(1)


@click.command("completion")
@click.argument("name", metavar="bash|zsh|fish", type=click.Choice(sorted(_WHERE)))
def completion_command(name: str) -> None:
    """Print what makes a shell complete commands, options and tasks.

    bash: dadc completion bash >> ~/.bashrc; zsh: the same with ~/.zshrc; fish: into ~/.config/fish/completions/dadc.fish.
    """
    kind = get_completion_class(name)
    if kind is None:
        raise click.ClickException(f"this version of click completes nothing in {name}. Nothing was printed. Update click.")
    for program in _PROGRAMS:
        variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
        script = kind(click.Command(program), {}, program, variable)
        click.echo(script.source_template % script.source_vars())
