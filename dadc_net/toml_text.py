"""Plain data as TOML text, of which ``tomllib`` gives back the same data: every value exactly, or an error before use.

The standard library reads TOML and does not write it. TOML is not JSON: its strings hold no surrogate pairs and no control
character, it has no null, and a table inside a value has a notation of its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dadc_net.errors import ConfigError, UsageError

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_TOO_MUCH = (ValueError, RecursionError, TypeError)
"""What Python raises for an integer of more than 4,300 digits, half a surrogate pair, deep nesting, and no plain data."""


def without_none(value: Any) -> Any:
    """``value`` without the keys whose value is None: TOML says "nothing" by leaving the key out."""
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return value


def write_toml(plain: Mapping[str, Any]) -> str:
    """Text of nested mappings: single values first, then a table for each mapping; keys whose value is None are left out.

    Raises:
        ConfigError: if what is read from the text would not be the same, to the sign of a zero and the type of a number.
    """
    try:
        given = without_none(plain)
        lines = [f"{_key(key)} = {_value(value)}" for key, value in given.items() if not isinstance(value, Mapping)]
        for name, section in given.items():
            if isinstance(section, Mapping):
                lines += ["", f"[{_key(name)}]", *(f"{_key(key)} = {_value(value)}" for key, value in section.items())]
        text = "\n".join(lines) + "\n"
        text.encode("utf-8")
    except _TOO_MUCH as error:
        raise ConfigError(
            f"{_culprit(plain)} cannot be written to a configuration file: {error}. A run keeps its configuration as TOML, "
            "and was not begun. Give a value that TOML can hold: numbers, text, true, false, and lists of them."
        ) from error
    return text


def read_toml(text: str) -> dict[str, Any]:
    """What the text says. Raises ValueError (``tomllib.TOMLDecodeError`` is one) for whatever is wrong with it."""
    try:
        # A byte-order mark is no part of the text; editors put one there.
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise ValueError("its lists or tables are nested too deep") from error


def read_toml_file(path: Path) -> dict[str, Any]:
    """What the file says. Raises ValueError for whatever is wrong with it, OSError."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"it is no text in UTF-8 (byte 0x{raw[error.start]:02x} at offset {error.start}). Save it as UTF-8"
        ) from error
    return read_toml(text)


def _culprit(plain: Mapping[str, Any]) -> str:
    """The first key that cannot be written by itself."""
    for name, value in plain.items():
        for key, item in value.items() if isinstance(value, Mapping) else [("", value)]:
            try:
                f"{_key(name)}{_key(key)}{_value(without_none(item))}".encode()
            except _TOO_MUCH:
                return f"{name}.{key}" if key else name
    return "a value"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())}}}"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _string(text: str) -> str:
    return f'"{"".join(map(_character, text))}"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    # Control characters may not stand in a string; the others of these would be taken for the end of a line by some readers.
    return f"\\u{ord(character):04x}" if character < " " or character in "\x7f\x85\u2028\u2029\ufeff" else character


def parse_override(override: str) -> tuple[str, Any]:
    """Key and value of ``--set KEY=VALUE``. Raises UsageError for anything else."""
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"--set {override!r} is not of the form key=value. Nothing was set. Write --set ais.size=16.")
    try:
        found = read_toml(f"value = {text}")
        if list(found) == ["value"]:
            return key.strip(), found["value"]
        raise ValueError("more than one value")
    except ValueError:
        if text and all(character.isalnum() or character in "-_.:/" for character in text):
            return key.strip(), text
        raise UsageError(
            f"--set {override!r} has a value that is not TOML. Nothing was set. "
            'Write numbers as 0.5, lists as [0.75, 0.75], words as "paper" (quoted for your shell).'
        ) from None
