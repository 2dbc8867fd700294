"""The built-in information structures by name. Nothing is ever imported for a name that came over the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dadc_net.errors import ProtocolError, UsageError
from dadc_net.schema import closest, from_plain
from dadc_net.team.structures.delayed import DelayedSharing, FullSharing
from dadc_net.team.structures.own_memory import ControlSharing, MeanFieldSharing, NoSharing
from dadc_net.team.structures.periodic import PeriodicSharing
from dadc_net.team.structures.structure import InformationStructure

BUILT_IN: dict[str, type[InformationStructure]] = {
    kind.name: kind for kind in (DelayedSharing, PeriodicSharing, ControlSharing, MeanFieldSharing, FullSharing, NoSharing)
}


def is_built_in(structure: InformationStructure) -> bool:
    """Whether agents know the structure by its record alone."""
    return BUILT_IN.get(structure.name) is type(structure)


def structure_by_name(name: str, parameters: Mapping[str, Any] | None = None) -> InformationStructure:
    """A built-in structure with parameters as in ``--set structure.delay_steps=2``; the others keep their defaults.

    Raises:
        UsageError: for a name that is not built in.
        ConfigError: for a parameter that it does not have, or a value out of range.
    """
    if name not in BUILT_IN:
        raise UsageError(
            f"there is no built-in information structure {name!r}. {closest(name, BUILT_IN)} An agent loads a user's "
            "structure only from its own --structure MODULE:NAME."
        )
    return from_plain(BUILT_IN[name], parameters or {}, "structure.")


def structure_from_plain(record: Mapping[str, Any]) -> InformationStructure:
    """The structure that ``to_plain`` described.

    Raises:
        ProtocolError: if the record is not of that form.
        UsageError, ConfigError: as ``structure_by_name``.
    """
    if set(record) != {"name", "parameters"} or not isinstance(record["parameters"], Mapping):
        raise ProtocolError(f"{dict(record)!r} does not describe an information structure: it needs a name and parameters")
    return structure_by_name(str(record["name"]), record["parameters"])
