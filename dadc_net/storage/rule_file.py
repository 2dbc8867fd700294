"""A learned rule as one small file: what ``dadc export`` writes, and what an agent keeps of the rule that it began with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dadc_net.errors import ConfigError, CorruptStateError, ProtocolError, UsageError, foreign_words
from dadc_net.node.agent.starting_rule import StartingRule
from dadc_net.storage import arrays_file
from dadc_net.storage.run_folder import START_FILE

_KIND = "learned rule 1"
_FIELDS: dict[str, type[Any]] = {"settings": dict, "structure": dict, "family": dict, "update": int, "agents": dict}


def save_rule(path: Path, rule: StartingRule) -> None:
    """Write ``rule`` to ``path``, replacing it in one step."""
    meta = {name: getattr(rule, name) for name in _FIELDS}
    arrays_file.save(path, dict(rule.arrays), {"kind": _KIND, **meta})


def load_rule_file(path: Path) -> StartingRule:
    """The rule in ``path``.

    Raises:
        UsageError: if the file holds something else.
        CorruptStateError: if it is damaged.
    """
    if path.stat().st_size > 2**30:
        raise UsageError(f"{path} has more than a gigabyte. A learned rule has not. Give a file that dadc export made.")
    arrays, meta = arrays_file.load(path)
    if meta.get("kind") != _KIND:
        raise UsageError(
            f"{path} holds no learned rule of this version: its kind is {meta.get('kind')!r}, not {_KIND!r}. Nothing was "
            "started. Give a file that dadc export made, or the folder of a run."
        )
    return rule_of_meta(meta, arrays, str(path))


def rule_of_meta(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], where: str) -> StartingRule:
    """The rule that a file or a checkpoint tells: ``arrays``, and what ``meta`` says of them.

    Raises:
        CorruptStateError: if it tells none, although its digest is right.
    """
    wrong = [name for name, kind in _FIELDS.items() if type(meta.get(name)) is not kind]
    try:
        if wrong:
            raise ValueError(f"{', '.join(wrong)} of it are missing or of another type")
        rule = StartingRule(arrays=arrays, **{name: meta[name] for name in _FIELDS})
        rule.check_form()
    except (ConfigError, ProtocolError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise CorruptStateError(
            f"{where} is damaged: {foreign_words(str(error))}. Nothing was read from it. Export the rule again, or give the "
            "folder of a run."
        ) from error
    return rule


def kept_rule(folder: Path) -> StartingRule | None:
    """The rule that the run of the agent in ``folder`` began with; None: with none."""
    path = folder / START_FILE
    return load_rule_file(path) if path.exists() else None
