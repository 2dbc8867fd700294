"""Prescription families by kind, for the wire: those of this package, and those whose module this process has imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dadc_net.errors import ProtocolError, UsageError
from dadc_net.schema import closest
from dadc_net.team.factored import FactoredFamily
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.linear import LinearFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.neural import NeuralFamily
from dadc_net.team.opportunity import OpportunityFamily
from dadc_net.team.prescriptions import PrescriptionFamily

ENTRIES_MAX = 2**22
"""Numbers of theta, at most: 32 MiB for each copy."""
BUILT_IN: tuple[type[PrescriptionFamily], ...] = (
    *(PrescriptionMenu, FactoredFamily, GibbsFamily, LinearFamily, NeuralFamily, OpportunityFamily),
)


def is_built_in(family: PrescriptionFamily) -> bool:
    """Whether every agent knows the family by its kind."""
    return type(family) in BUILT_IN


def family_from_plain(record: Mapping[str, Any]) -> PrescriptionFamily:
    """The family that ``to_plain`` described. Nothing is ever imported for a kind that came over the network.

    Raises:
        UsageError: for a kind that this process does not know.
        ProtocolError: if the record describes none of its kind.
    """
    kind, kinds = str(record.get("kind")), PrescriptionFamily.kinds
    if kind not in kinds:
        raise UsageError(
            f"there is no kind {kind!r} of prescription family. {closest(kind, kinds)} An agent loads a user's family only "
            "from its own --family MODULE:CLASS."
        )
    family = kinds[kind].from_plain(record)
    if is_built_in(family):
        _check_size(family)
    return family


def _check_size(family: PrescriptionFamily) -> None:
    """Raises ProtocolError for tables or maps that nobody has: the record came from another party."""
    given = {key: one for key, one in vars(family).items() if isinstance(one, int | float) and not isinstance(one, bool)}
    counts = [value for value in given.values() if isinstance(value, int)]
    bound = given.get("bound", 1.0)
    if min([1, *counts]) < 1 or math.prod(counts) > ENTRIES_MAX or not (math.isfinite(bound) and bound > 0):
        raise ProtocolError(
            f"the prescription family {family.kind} is said to have {given}. Its numbers are at least 1, their product is "
            f"at most {ENTRIES_MAX}, its bound is positive, and nothing was computed. Give the task fewer values or actions."
        )
