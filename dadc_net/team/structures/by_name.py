"""The built-in information structures by name. Nothing is ever imported for a name that came over the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dadc_net.errors import ConfigError, MismatchError, ProtocolError, UsageError
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


def chosen_structure(own: InformationStructure, chosen: Mapping[str, Any]) -> InformationStructure:
    """The structure of a run: that of its task, with other parameters or not, or a built-in one instead.

    Args:
        own: the task's.
        chosen: ``name`` and parameters, as in the section ``structure`` of a configuration; all may be missing.

    Raises:
        UsageError: for a name that is neither built in nor the task's.
        ConfigError: for a parameter that it does not have, or a value out of range.
    """
    name = chosen.get("name", own.name)
    parameters = {key: value for key, value in chosen.items() if key != "name"}
    if name == own.name:
        if not parameters:
            return own
        if not dataclasses.is_dataclass(own):
            raise ConfigError(
                f"structure has {', '.join(parameters)}, but the task's information structure {name} has no parameters. It "
                "is no dataclass. Remove them."
            )
        return from_plain(type(own), parameters, "structure.", own)
    if name not in BUILT_IN:
        known = sorted({own.name, *BUILT_IN})
        raise UsageError(
            f"structure is {name!r}, which is neither built in nor the task's own. {closest(str(name), known)} Choose one "
            f"of {', '.join(known)}, or name your own class: package.module:Class, FILE.py:Class."
        )
    return structure_by_name(name, parameters)


def structure_from_plain(record: Mapping[str, Any]) -> InformationStructure:
    """The structure that ``to_plain`` described.

    Raises:
        ProtocolError: if the record is not of that form.
        UsageError, ConfigError: as ``structure_by_name``.
    """
    if set(record) != {"name", "parameters"} or not isinstance(record["parameters"], Mapping):
        raise ProtocolError(f"{dict(record)!r} does not describe an information structure: it needs a name and parameters")
    return structure_by_name(str(record["name"]), record["parameters"])


def own_structure(own: InformationStructure, record: Mapping[str, Any]) -> InformationStructure:
    """A user's structure, as its agent loaded it from its own host, with the parameters that the server has.

    Raises:
        MismatchError: if the server has another structure.
        ConfigError: for a parameter that it does not have, or a value out of range.
    """
    if record.get("name") != own.name or not isinstance(record.get("parameters"), Mapping):
        raise MismatchError(
            f"the server's information structure is {dict(record)!r}, this agent was given {own.name!r}. No step was taken. "
            "Start the agent with the --structure of the server's task, or without one if it is built in."
        )
    if not dataclasses.is_dataclass(own):
        return own
    return from_plain(type(own), record["parameters"], "structure.")
