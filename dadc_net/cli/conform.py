"""dadc conform: does a task keep the contract of this package?"""

from __future__ import annotations

import click

from dadc_net.cli import shell


@click.command("conform")
@click.argument("task", metavar="TASK")
@click.option("--copies", default=4, show_default=True, type=click.IntRange(2, 1000), help="Copies to try.")
@click.option("--steps", default=96, show_default=True, type=click.IntRange(8, 100_000), help="Lock-steps per trial.")
@click.option("--seed", default=0, show_default=True, help="Of the random inputs that are tried.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="As of dadc run: structure=FILE.py:Class.")
@shell.json_option
def conform_command(
    task: str, copies: int, steps: int, seed: int, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Check a task's environment, information structure and menus, and say what to change; exit code 1 if something is.

    TASK: package.module:factory, FILE.py:factory, pettingzoo:MODULE.ENV, a .dpomdp file or a built-in name. It can be shown
    that a rule is broken, never that it is kept for all inputs.
    """
    from dadc_net.config import resolve
    from dadc_net.named_code import load_task
    from dadc_net.team.conformance import check_chosen, check_task

    if overrides:
        config = resolve(task, overrides)
        found = check_chosen(config.task, config.parameters, config.structure, copies, steps, seed)
    else:
        # A task that breaks rules may have no configuration.
        found = check_task(load_task(task), None, copies, steps, seed)
    if as_json:
        shell.print_json({"task": task, "findings": [finding._asdict() for finding in found]})
    else:
        for finding in found:
            click.echo(str(finding))
        click.echo(f"{task}: {len(found) or 'no'} broken rule{'' if len(found) == 1 else 's'} found")
    if found:
        raise click.exceptions.Exit(1)
