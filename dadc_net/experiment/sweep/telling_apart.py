"""Runs of different configurations are different curves, of different problems different panels; labels say what differs.

Seeds do not distinguish, and neither does what changes no result: ``runtime`` and how a rule was valued.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dadc_net.schema import flat, shown

_OF_A_PROBLEM = ("task", "discount", "structure.", "env.")
_IGNORED = ("preset", "runtime.", "evaluation.")
_ABSENT = "none"
SINGLE = "single"
"""The key of a record that is a run by itself: nobody gave it a panel."""


def told_apart(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``records`` with curves, panels and labels of their own where their ``configuration`` differs.

    Curves of a sweep keep the panel that its file gives them.
    """
    found = [dict(record) for record in records]
    for panel in _groups(found, ("panel",)):
        runs = [record for record in panel if record.get(SINGLE)]
        _name(runs, ("panel",), lambda key: key.startswith(_OF_A_PROBLEM))
    for curve in _groups(found, ("panel", "curve")):
        _name(curve, ("curve", "label"), lambda _: True)
    return found


def _groups(records: Sequence[dict[str, Any]], keys: tuple[str, ...]) -> list[list[dict[str, Any]]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    return list(groups.values())


def _name(records: Sequence[dict[str, Any]], fields: tuple[str, ...], counts: Callable[[str], bool]) -> None:
    """Add to ``fields`` what differs among the records in the keys that ``counts``, if anything does."""
    flattened = [_relevant(record.get("configuration", {}), counts) for record in records]
    keys = list(dict.fromkeys(key for one in flattened for key in one))
    differing = [key for key in keys if len({repr(one.get(key)) for one in flattened}) > 1]
    if not differing:
        return
    for record, one in zip(records, flattened, strict=True):
        said = ", ".join(f"{key} {shown(one[key]) if key in one else _ABSENT}" for key in differing)
        for field in fields:
            record[field] = f"{record[field]}: {said}"


def _relevant(configuration: Mapping[str, Any], counts: Callable[[str], bool]) -> dict[str, Any]:
    return {key: value for key, value in flat(configuration).items() if not key.startswith(_IGNORED) and counts(key)}
