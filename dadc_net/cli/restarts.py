"""The exit code of a party whose engine looks at nothing but whether it is 0.

Compose and Swarm start everything again that ends with another code. A party that was refused, or that diverged, would then
be refused for ever; one that was killed should come back. The variable DADC_RESTART says that such an engine is there.
Engines that can tell exit codes apart (systemd, Kubernetes, a script for Slurm) do not set it and see the true ones.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from dadc_net.cli import shell
from dadc_net.errors import FINAL_EXIT_CODES, UsageError

VARIABLE = "DADC_RESTART"
ON_FAILURE = "on-failure"
"""The rule's name in Compose and Swarm."""


def run_party(command: click.Command) -> NoReturn:
    """Run ``command`` as this process; where DADC_RESTART is on-failure, a final exit code becomes 0 and a sentence."""
    rule = os.environ.get(VARIABLE, "")
    code: object = 0
    try:
        if rule not in (ON_FAILURE, "no", ""):
            raise UsageError(
                f"{VARIABLE} is {rule!r}, but must be {ON_FAILURE} (the engine starts again whatever ends other than with "
                "0) or no. Nothing was started. Correct or unset it."
            )
        shell.start(command)
    except SystemExit as ended:
        code = ended.code
    except UsageError as error:
        shell.say_error(f"error: {error}")
        code = error.exit_code
    if rule == ON_FAILURE and code in FINAL_EXIT_CODES:
        click.echo(
            f"exit code {code} is final: started again, this would end in the same way. It ends with 0 instead, because "
            f"{VARIABLE} is {ON_FAILURE} and the engine would start it again after {code}. Mend the cause, then start it.",
            err=True,
        )
        code = 0
    sys.exit(code if isinstance(code, int) else 1)
