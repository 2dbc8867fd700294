"""The section ``structure`` of a configuration: an information structure's name and its parameters. The name alone may
stand for it, ``structure = "delayed-sharing"``; the run's own ``config.toml`` has the whole section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

STRUCTURE = "structure"


def name_structure(given: dict[str, Any]) -> None:
    """``structure = NAME`` is the section with this name alone."""
    if isinstance(given.get(STRUCTURE), str):
        given[STRUCTURE] = {"name": given[STRUCTURE]}


def drop_other_structure(given: dict[str, Any], named: Sequence[tuple[str, Any]]) -> None:
    """Another structure than a file's does not take over its parameters; ``named``: keys and values beside the file."""
    held = given.get(STRUCTURE)
    names = [value for key, value in named if key in (STRUCTURE, f"{STRUCTURE}.name")]
    if names and isinstance(held, dict) and held.get("name", names[-1]) != names[-1]:
        del given[STRUCTURE]


def structure_name(given: Mapping[str, Any]) -> object:
    """What a configuration calls its structure; empty if nothing."""
    held = given.get(STRUCTURE)
    return held.get("name", "") if isinstance(held, Mapping) else ""
