"""All kinds of prescription families, for the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dadc_net.errors import ProtocolError
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.linear import LinearFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.opportunity import OpportunityFamily
from dadc_net.team.prescriptions import PrescriptionFamily

_KINDS: dict[str, Callable[[Mapping[str, Any]], PrescriptionFamily]] = {
    PrescriptionMenu.kind: PrescriptionMenu.from_plain,
    GibbsFamily.kind: GibbsFamily.from_plain,
    LinearFamily.kind: LinearFamily.from_plain,
    OpportunityFamily.kind: OpportunityFamily.from_plain,
}


def family_from_plain(record: Mapping[str, Any]) -> PrescriptionFamily:
    """The family that ``to_plain`` described.

    Raises:
        ProtocolError: if the record describes none.
    """
    kind = record.get("kind")
    if kind not in _KINDS:
        raise ProtocolError(f"{kind!r} is not a kind of prescription family; known are {', '.join(_KINDS)}")
    return _KINDS[kind](record)
