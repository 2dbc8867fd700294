"""Frozen dataclasses as the schema of configuration: from plain data, with errors that name key, value and remedy.

A section is a frozen dataclass whose fields are bool, int, float, str, or tuples of these. What else a user's own defaults
hold (NumPy's numbers, paths) is made plain before it is used, so that a run computes with what its folder says. Which values
are allowed stands in the type hints, and is checked whenever a section is made, whoever makes it:

    @dataclass(frozen=True)
    class PpoSettings(Checked, section="ppo"):
        epochs: Annotated[int, Range(1, 1000)] = 4
        kind: Literal["clip", "penalty"] = "clip"

What concerns several fields at once is checked in ``__post_init__`` with ``require``, after that of ``Checked``.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np

from dadc_net.errors import ConfigError

Section = TypeVar("Section")
_MOST_SHOWN = 500
_NUMPY_KINDS: dict[type[Any], tuple[type[Any], ...]] = {
    bool: (np.bool_,),
    int: (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    float: (np.float16, np.float32, np.float64),
}


def require(condition: bool, key: str, value: object, remedy: str) -> None:
    """Raise ConfigError unless ``condition``: three sentences with the key, its value and what is allowed."""
    if not condition:
        raise ConfigError(f"{key} is {shown(value)}, which is out of range. It comes from the configuration. {remedy}")


def shown(value: object) -> str:
    """``value`` for a sentence: its beginning, if it is long."""
    try:
        text = repr(value)
    except ValueError:  # An integer of more than 4,300 digits.
        return f"a {type(value).__name__} that is too long to show"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def require_word(key: str, word: str, known: tuple[str, ...]) -> None:
    """Raise ConfigError unless ``word`` is one of ``known``."""
    if word not in known:
        raise ConfigError(
            f"{key} is {word!r}, which does not exist. {closest(word, known)} Choose one of {', '.join(known)}."
        )


@dataclasses.dataclass(frozen=True)
class Range:
    """In a type hint: the numbers from ``low`` to ``high``, both included unless ``above`` leaves ``low`` out."""

    low: float
    high: float = math.inf
    remedy: str = ""
    """What to give instead, as a sentence; made from the two ends where it is not said."""
    above: bool = False
    or_zero: bool = False
    """Whether 0 is allowed besides."""

    def check(self, key: str, value: Any) -> None:
        """Raise ConfigError for a value outside."""
        inside = self.low <= value <= self.high and not (self.above and value == self.low)
        inside |= self.or_zero and value == 0
        require(inside, key, value, self.remedy or f"Give {self.low} to {self.high}.")


class Checked:
    """Base of the sections whose type hints say which values are allowed; see the module."""

    section: ClassVar[str]
    """Name of the section, written before each key in messages."""

    def __init_subclass__(cls, section: str) -> None:
        cls.section = section

    def __post_init__(self) -> None:
        """Raises ConfigError naming the key, its value and what is allowed."""
        for name, hint in _hints(type(self)).items():
            key, value = f"{self.section}.{name}", getattr(self, name)
            if typing.get_origin(hint) is Literal:
                require_word(key, value, typing.get_args(hint))
            if typing.get_origin(hint) is Annotated:
                for extra in hint.__metadata__:
                    extra.check(key, value)


def _hints(kind: Any) -> Mapping[str, Any]:
    """Type hints of the fields of a dataclass, with what stands beside the types."""
    return _found_hints(kind)


@cache
def _found_hints(kind: Any) -> Mapping[str, Any]:
    """Found once, as it takes milliseconds."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


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


_MOST_DIFFERENCES, _MOST_CHARACTERS = 8, 100
"""That a message tells: theta may have thousands of bounds."""


def differences(held: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """In which keys two configurations differ, with both values: ``updates = 300 (given 301)``; empty if in none."""
    before, now = flat(held), flat(given)
    keys = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)]
    told = [f"{key} = {_brief(before.get(key, 'absent'))} (given {_brief(now.get(key, 'absent'))})" for key in keys]
    return ", ".join(told[:_MOST_DIFFERENCES]) + (f" and {more} more" if (more := len(told) - _MOST_DIFFERENCES) > 0 else "")


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 20]}... ({len(text)} characters)"


def sections_of(kind: type[Any]) -> dict[str, type[Checked]]:
    """The fields of a dataclass that are sections themselves."""
    return {name: hint for name, hint in _hints(kind).items() if isinstance(hint, type) and issubclass(hint, Checked)}


def from_plain(kind: type[Section], mapping: Mapping[str, Any], prefix: str, base: Section | None = None) -> Section:
    """Build the section ``kind`` from plain data.

    Args:
        mapping: key -> value; keys that are absent keep the value of ``base`` (or the field's default, made plain: a run
            that is read back from its folder must not compute with another type).
        prefix: written before each key in messages, such as ``env.``.

    Raises:
        ConfigError: for an unknown key, a missing key without default, or a value of the wrong type or range.
    """
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise ConfigError(f"There is no key {prefix}{key}. {closest(key, fields)} Remove it or correct its name.")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in mapping:
            value = mapping[name]
        elif base is not None:
            values[name] = getattr(base, name)
            continue
        elif field.default is not dataclasses.MISSING:
            value = plain(field.default, prefix + name)
        elif field.default_factory is not dataclasses.MISSING:
            value = plain(field.default_factory(), prefix + name)
        else:
            raise ConfigError(f"The key {prefix}{name} is missing. It has no default. Add it to the configuration.")
        values[name] = convert(hints[name], value, prefix + name)
    return kind(**values)


def convert(hint: Any, value: Any, key: str) -> Any:
    """``value`` as the type ``hint``: exact types, except that an integer may stand for a float, and text for a path.

    Raises:
        ConfigError: if it is not of that type, or the type is none that a configuration has.
    """
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return convert(hint.__origin__, value, key)
    if origin is Literal and all(isinstance(word, str) for word in typing.get_args(hint)):
        return convert(str, value, key)  # Which words there are is checked where the section is made.
    if origin in (types.UnionType, typing.Union):
        return _convert_union(typing.get_args(hint), value, key)
    if origin is tuple or hint is tuple:
        return _convert_tuple(hint, value, key)
    if origin is list and isinstance(value, list | tuple):
        (item,) = typing.get_args(hint)
        return [convert(item, one, f"{key}[{i}]") for i, one in enumerate(value)]
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_plain(typing.cast("type[Any]", hint), value, key + ".")
    if origin is dict and isinstance(value, Mapping):
        return dict(value)
    if origin is typing.Literal and value in typing.get_args(hint):
        return value
    if hint is typing.Any:
        return value
    if not isinstance(hint, type):
        raise _not_of_type(key, value, str(hint))
    return _convert_single(hint, value, key)


def _convert_single(hint: type[Any], value: Any, key: str) -> Any:
    if issubclass(hint, np.generic):
        return _convert_numpy(hint, value, key)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = _to_float(value, key)
    if issubclass(hint, PurePath) and isinstance(value, str):
        value = hint(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _not_of_type(key, value, hint.__name__)
    if hint is float and not math.isfinite(value):
        raise _not_finite(key, value)
    return value


def _not_finite(key: str, value: float) -> ConfigError:
    return ConfigError(f"{key} is {value!r}. Every number of a configuration must be finite. Give a finite value.")


def _convert_numpy(hint: type[Any], value: Any, key: str) -> Any:
    """A number in the type that a user chose: it is written as Python's, and computed with as the user's."""
    kinds = [kind for kind in (bool, int, float) if issubclass(hint, _NUMPY_KINDS[kind])]
    if not kinds:
        raise _not_of_type(key, value, hint.__name__)
    given = convert(kinds[0], value, key)
    try:
        with np.errstate(over="ignore"):
            found = hint(given)
    except OverflowError:
        raise _not_of_type(key, value, hint.__name__) from None
    if not np.isfinite(found):
        raise _not_of_type(key, value, hint.__name__)
    return found


def _not_of_type(key: str, value: Any, name: str) -> ConfigError:
    return ConfigError(
        f"{key} is {shown(value)}, which is not of type {name}. It comes from the "
        'configuration. Values are written in TOML syntax: 1, 0.5, true, "text", [0.75, 0.75].'
    )


def _to_float(value: int, key: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ConfigError(
            f"{key} is an integer of {value.bit_length()} bits, which no float can hold. It comes from the configuration. "
            "Give a number of magnitude below 1.8e308."
        ) from error


def _convert_union(options: tuple[Any, ...], value: Any, key: str) -> Any:
    """``value`` as the first of the types that takes it."""
    if value is None and type(None) in options:
        return None
    refusals = []
    for option in options:
        if option is type(None):
            continue
        try:
            return convert(option, value, key)
        except ConfigError as error:
            refusals.append(error)
    raise refusals[-1]


def _convert_tuple(hint: Any, value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{key} is {value!r}, but it must be a list. It comes from the configuration. Write [a, b].")
    items = (Any, Ellipsis) if hint is tuple else typing.get_args(hint)
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


def to_plain(section: object, prefix: str = "") -> dict[str, Any]:
    """The section as plain data: nested dicts, tuples as lists; ``from_plain`` gives it back.

    Raises:
        ConfigError: for a value that is no plain data; ``prefix`` is written before its key.
    """
    return {
        field.name: plain(getattr(section, field.name), prefix + field.name)
        for field in dataclasses.fields(section)  # type: ignore[arg-type]
        if field.init
    }


def plain(value: Any, key: str) -> Any:
    """``value`` in the types that a configuration file has: bool, int, float, str, lists, mappings; None as it is.

    NumPy's numbers and arrays, paths, and subclasses of these types (an enumeration's members) become what they stand for.

    Raises:
        ConfigError: for anything else.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise _not_finite(key, value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain(value, key + ".")
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "biufU" and value.dtype != np.longdouble:
        return plain(value.tolist(), key)
    if isinstance(value, tuple | list):
        return [plain(item, f"{key}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {str.__str__(name): plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    raise ConfigError(
        f"{key} is {shown(value)}, a {type(value).__name__}. A run keeps its configuration as TOML, which has no such "
        "thing, and was not begun. Give the task's parameters plain types: bool, int, float, str, and tuples of them."
    )
