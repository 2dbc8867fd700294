"""A user's own kind of prescription family: named by the task's host, loaded by each agent's."""

from __future__ import annotations

from dadc_net.config import RunConfig
from dadc_net.errors import UsageError
from dadc_net.named_code import named_code
from dadc_net.schema import shown
from dadc_net.team.families import is_built_in
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.user_code import name_of


def load_family(name: str) -> None:
    """Make the kind of a user's prescription family known, ``package.module:Class``; only for a name given on this host."""
    kind = named_code(name, "prescription family", "package.module:Class")
    if not (isinstance(kind, type) and issubclass(kind, PrescriptionFamily)):
        raise UsageError(
            f"{name} is {shown(kind)} instead of a class of prescription families. The agent did not start. Derive the "
            "class from dadc_net.team.prescriptions.PrescriptionFamily."
        )


def family_argument(config: RunConfig) -> str:
    """What ``--family`` must be for the agents of this run; empty for a family of this package."""
    family = config.family
    return "" if is_built_in(family) else name_of(type(family))
