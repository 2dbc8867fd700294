"""A user's own kind of prescription family: named by the task's host, loaded by each agent's."""

from __future__ import annotations

import importlib

from dadc_net.config import RunConfig
from dadc_net.errors import UsageError
from dadc_net.schema import shown
from dadc_net.team.families import is_built_in
from dadc_net.team.prescriptions import PrescriptionFamily


def load_family(name: str) -> None:
    """Make the kind of a user's prescription family known, ``package.module:Class``; only for a name given on this host."""
    module_name, _, attribute = name.partition(":")
    try:
        kind = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UsageError(
            f"the prescription family {name} cannot be loaded: {error}. It is read as package.module:Class. Check that the "
            "module can be imported from here."
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, PrescriptionFamily)):
        raise UsageError(
            f"{name} is {shown(kind)} instead of a class of prescription families. The agent did not start. Derive the "
            "class from dadc_net.team.prescriptions.PrescriptionFamily."
        )


def family_argument(config: RunConfig) -> str:
    """What ``--family`` must be for the agents of this run; empty for a family of this package."""
    family = config.family
    return "" if is_built_in(family) else f"{type(family).__module__}:{type(family).__qualname__}"
