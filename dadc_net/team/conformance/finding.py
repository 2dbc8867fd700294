"""A finding: one broken rule, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Finding(NamedTuple):
    """One broken rule."""

    rule: str
    """Short name of the rule, such as ``copies`` or ``(L1)``."""
    message: str
    """What is wrong, where, and what to do: three sentences."""

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


def collect(rule: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of ``check``; code under test that raises is a finding too, under ``rule``."""
    found: list[Finding] = []
    try:
        for finding in check():
            found.append(finding)
    except Exception as error:
        message = (
            f"the code under test raised {type(error).__name__}: {error}. This happened while the rule {rule!r} was "
            "checked. Call it with the arguments that the contract allows and see where it fails."
        )
        found.append(Finding(rule, message))
    return found
