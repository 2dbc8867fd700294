"""dadc plan: the exact optimum of a task."""

from __future__ import annotations

import click

from dadc_net.cli import shell


@click.command("plan")
@shell.task_argument
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a configuration key.")
@shell.json_option
def plan_command(task: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """The exact optimum by the common-information dynamic program, with the policy in words."""
    from dadc_net.config import resolve
    from dadc_net.experiment.evaluation import plan_of

    config = resolve(task, overrides)
    found = plan_of(config)
    if not as_json:
        click.echo(found.text)
        return
    shell.print_json(
        {
            "task": config.task.name,
            "value": found.value,
            "menu": found.menu,
            "start": found.start,
            "method": found.method,
            "residual": found.residual,
            "discount": config.settings.discount,
            "prescriptions": config.prescriptions,
            "beliefs": None if found.model is None else len(found.model.beliefs),
            "round_robin": found.round_robin,
            "random": found.random,
            **found.extra,
        }
    )
