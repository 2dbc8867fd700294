"""Frozen dataclasses as the schema of configuration: from plain data, with errors that name key, value and remedy.

A section is a frozen dataclass whose fields are bool, int, float, str, or tuples of numbers. Ranges are checked by the
dataclass itself in ``__post_init__`` with ``require``; names and types are checked here.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from dadc_net.errors import ConfigError

Section = TypeVar("Section")


def require(condition: bool, key: str, value: object, remedy: str) -> None:
    """Raise ConfigError unless ``condition``: three sentences with the key, its value and what is allowed."""
    if not condition:
        raise ConfigError(f"{key} is {value!r}, which is out of range. It comes from the configuration. {remedy}")


def require_word(key: str, word: str, known: tuple[str, ...]) -> None:
    """Raise ConfigError unless ``word`` is one of ``known``."""
    if word not in known:
        raise ConfigError(
            f"{key} is {word!r}, which does not exist. {closest(word, known)} Choose one of {', '.join(known)}."
        )


def closest(word: str, known: Iterable[str]) -> str:
    """A did-you-mean sentence, or the list of what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names) or 'none'}."


def flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of sections with the section's name before them: ``ais.size``."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        found.update({f"{key}.{name}": item for name, item in value.items()} if isinstance(value, Mapping) else {key: value})
    return found


def differences(held: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """In which keys two configurations differ, with both values: ``updates = 300 (given 301)``; empty if in none."""
    before, now = flat(held), flat(given)
    keys = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)]
    return ", ".join(f"{key} = {before.get(key, 'absent')!r} (given {now.get(key, 'absent')!r})" for key in keys)


def from_plain(kind: type[Section], mapping: Mapping[str, Any], prefix: str, base: Section | None = None) -> Section:
    """Build the section ``kind`` from plain data.

    Args:
        mapping: key -> value; keys that are absent keep the value of ``base`` (or the field's default).
        prefix: written before each key in messages, such as ``env.``.

    Raises:
        ConfigError: for an unknown key, a missing key without default, or a value of the wrong type or range.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise ConfigError(f"There is no key {prefix}{key}. {closest(key, fields)} Remove it or correct its name.")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = convert(hints[name], mapping[name], prefix + name)
        elif base is not None:
            values[name] = getattr(base, name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"The key {prefix}{name} is missing. It has no default. Add it to the configuration.")
    return kind(**values)


def convert(hint: Any, value: Any, key: str) -> Any:
    """``value`` as the type ``hint``: exact types, except that an integer may stand for a float."""
    if typing.get_origin(hint) is tuple:
        return _convert_tuple(hint, value, key)
    if isinstance(hint, types.UnionType):
        for option in typing.get_args(hint):
            if option is type(None) and value is None:
                return None
            if option is not type(None):
                return convert(option, value, key)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_plain(typing.cast("type[Any]", hint), value, key + ".")
    if typing.get_origin(hint) is dict and isinstance(value, Mapping):
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(
            f"{key} is {value!r}, which is not of type {getattr(hint, '__name__', hint)}. It comes from the "
            'configuration. Values are written in TOML syntax: 1, 0.5, true, "text", [0.75, 0.75].'
        )
    if hint is float and not math.isfinite(value):
        raise ConfigError(f"{key} is {value!r}. Every number of a configuration must be finite. Give a finite value.")
    return value


def _convert_tuple(hint: Any, value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{key} is {value!r}, but it must be a list. It comes from the configuration. Write [a, b].")
    items = typing.get_args(hint)
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(convert(items[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if len(items) != len(value):
        raise ConfigError(
            f"{key} is {list(value)!r}, which has {len(value)} entries. It must have {len(items)}. "
            "Correct the list in the configuration."
        )
    return tuple(
        convert(item_hint, item, f"{key}[{i}]") for i, (item_hint, item) in enumerate(zip(items, value, strict=True))
    )


def to_plain(section: object) -> dict[str, Any]:
    """The section as plain data: nested dicts, tuples as lists; ``from_plain`` gives it back."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return value

    result: dict[str, Any] = plain(section)
    return result
