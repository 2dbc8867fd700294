"""The table of faults names all of them, and only tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "tests" / "FAULTS.md"
NUMBER_OF_FAULTS = 71
NUMBER_OF_SECRETS = 8
"""Rows S1 ..: what must not be seen."""


def rows() -> list[list[str]]:
    """Cells of each fault's row."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if re.match(r"\| S?\d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named_tests(cell: str) -> list[str]:
    return re.findall(r"`(tests/[\w/]+\.py::\w+)`", cell)


def exists(name: str) -> bool:
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8")) if (ROOT / path).is_file() else ast.Module([], [])
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(tree))


def test_every_fault_has_a_row() -> None:
    numbers = [str(number) for number in range(1, NUMBER_OF_FAULTS + 1)]
    assert [row[0] for row in rows()] == numbers + [f"S{number}" for number in range(1, NUMBER_OF_SECRETS + 1)]
    assert all(len(row) == 4 and row[1] for row in rows())


def test_every_fault_has_a_test_that_exists_or_a_reason() -> None:
    without = [row[0] for row in rows() if not named_tests(row[3]) and not row[3].startswith("not covered: ")]
    assert without == []
    missing = [name for row in rows() for name in named_tests(row[3]) if not exists(name)]
    assert missing == []


def test_a_missing_test_would_be_noticed() -> None:
    assert not exists("tests/test_fault_table.py::test_that_is_not_there")
    assert not exists("tests/no_such_file.py::test_every_fault_has_a_row")
    assert named_tests("`tests/a.py::test_b` (L), `tests/c/d.py::test_e`") == ["tests/a.py::test_b", "tests/c/d.py::test_e"]
