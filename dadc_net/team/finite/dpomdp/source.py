"""The lines of a file without what does not matter, and how an error in them is told.

Comments may stand anywhere, lines may be empty, names may be quoted (the dialect of SDMStudio). Line numbers are kept.
"""

from __future__ import annotations

import re
from typing import NoReturn

from dadc_net.errors import UsageError

Line = tuple[int, str]
"""Its number from 1, and its text."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"([^"]*)"')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LONGEST_INDEX = 18
_LARGEST = 1e100
"""A sum of some such numbers is a number still."""
_SPECIFICATION = re.compile(r"[TOR]\s*:")


class Source:
    """A file's text."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines: list[Line] = []
        """Those that say something."""
        for number, raw in enumerate(_LINE_END.split(text), start=1):
            line = raw.partition("#")[0].strip()
            if '"' in line:
                line = self._unquoted(line, number)
            if line:
                self.lines.append((number, line))

    def _unquoted(self, line: str, number: int) -> str:
        for name in _QUOTED.findall(line):
            if not name or any(character in ": \t" for character in name):
                self.fail(number, f'"{name}"', "a name without spaces and colons between the quotes")
        bare = _QUOTED.sub(r" \1 ", line)
        if '"' in bare:
            self.fail(number, '"', "a second quote on the same line")
        return bare.strip()

    def fail(self, line: int, found: str, expected: str) -> NoReturn:
        """Raise UsageError: what stands where, and what was expected."""
        raise UsageError(f"{self.name}, line {line}: found {found}. Expected {expected}. Correct the line.")

    def number(self, token: str, line: int, expected: str = "a number") -> float:
        """The value of ``token``."""
        if not is_number(token):
            self.fail(line, repr(token), expected)
        return float(token)

    def numbers(self, block: list[Line], count: int, what: str) -> list[float]:
        """The ``count`` numbers of ``block``, however they are spread over its lines."""
        values = [self.number(token, line) for line, text in block for token in text.split()]
        if len(values) != count:
            self.fail(block[0][0], f"{len(values)} numbers", f"{count} numbers, {what}")
        return values

    @property
    def last_line(self) -> int:
        """Where a file that is too short ends."""
        return self.lines[-1][0] if self.lines else 1


def is_number(token: str) -> bool:
    """Whether ``token`` is a real number as the format writes it, and not beyond all bounds."""
    return _NUMBER.fullmatch(token) is not None and abs(float(token)) <= _LARGEST


def is_index(token: str) -> bool:
    """Whether ``token`` is a whole number from 0, of a length that could count something."""
    return token.isascii() and token.isdigit() and len(token) <= _LONGEST_INDEX


def is_specification(text: str) -> bool:
    """Whether a line begins a T, O or R specification."""
    return _SPECIFICATION.match(text) is not None
