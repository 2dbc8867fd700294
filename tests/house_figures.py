"""The house in figures: ``python -m tests.house_figures`` prints one table of the tree it is run in.

Lines, medians and largest pieces are counted with ``ast``; one lock-step without an update is followed through a team in
memory (K = 2, E = 4, NumPy), between two steps of its environment. A room is a folder of the package. Names that a reading
of the house found not to explain themselves are counted by their definitions.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import dadc_net
from dadc_net.config import resolve

HOUSE = Path(dadc_net.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
_CLASSES = (
    "Tip OwnLog Pace Watch Farewell ServerPlan TeamEnvironment Problem Round Fingerprint StateOf StateAt Nursery "
    "CommonObservation OnGraph Frozen"
)
_NAMES = (
    "node/journal.py node/pace.py node/watch.py node/farewell.py node/tip.py node/own_log.py node/own_run.py "
    "coordinator/demands.py coordinator/learner.py runtime/party.py runtime/deliveries.py sections.py"
)
OBSCURE = frozenset(_CLASSES.split())
"""Classes whose names said too little."""
OBSCURE_FILES = frozenset(_NAMES.split())
"""Files whose names did."""


class Piece(NamedTuple):
    """A file or function and its number of lines."""

    lines: int
    name: str


def functions(path: Path) -> Iterator[Piece]:
    """Every function and method of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Piece((node.end_lineno or node.lineno) - node.lineno + 1, f"{_relative(path)}:{node.name}")


def _relative(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def _module(path: Path) -> str:
    parts = path.relative_to(HOUSE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree: ast.AST, known: Iterable[str]) -> set[str]:
    """Those of the ``known`` modules that a file imports anywhere: at its top, for types, by name, or in a function."""
    known, found = set(known), set[str]()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in whole]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "import_module":
            names = [str(part.value) for part in node.args if isinstance(part, ast.Constant)]
        found |= {name for name in names if name in known}
    return found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another, largest first (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(arrows.get(node, ())):
            if target not in order:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(arrows):
        if node not in order:
            visit(node)
    return sorted(found, key=len, reverse=True)


def import_circles() -> list[list[str]]:
    """Circles of imports in the package, counting those for types as well."""
    names = {_module(path): path for path in FILES}
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in names.items()}
    return circles({name: imported_modules(tree, names) - {name} for name, tree in trees.items()})


class Walk(NamedTuple):
    """What one lock-step ran through."""

    files: int
    functions: int
    calls: int
    changes_of_file: int


def one_lock_step(which: int = 3) -> Walk:
    """Follow lock-step ``which`` of a small team in memory, from one step of the environment to the next."""
    from tests.team_in_memory import Team

    team = Team(resolve("mabc", ["learner.num_envs=4", "learner.batch_steps=40"], {"updates": 1}))
    met: list[tuple[str, str]] = []
    steps = 0

    def follow(frame: FrameType, event: str, _: Any) -> None:
        nonlocal steps
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(HOUSE)):
            return
        steps += code.co_name == "advance" and code.co_filename.endswith("team/multi_access_broadcast.py")
        if steps == which:
            met.append((code.co_filename, code.co_qualname))

    sys.setprofile(follow)
    try:
        team.run()
    finally:
        sys.setprofile(None)
    files = [name for name, _ in met]
    changes = sum(one != other for one, other in pairwise(files))
    return Walk(len(set(files)), len(set(met)), len(met), changes)


def obscure_names() -> list[str]:
    """Classes and files of the lists above that are still there."""
    classes = {
        node.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    return sorted((classes & OBSCURE) | ({_relative(path) for path in FILES} & OBSCURE_FILES))


def figures() -> dict[str, str]:
    """Every figure by its name."""
    sizes = [Piece(len(path.read_text(encoding="utf-8").splitlines()), _relative(path)) for path in FILES]
    sizes = [size for size in sizes if size.lines]
    pieces = [piece for path in FILES for piece in functions(path)]
    total = sum(size.lines for size in sizes)
    rooms = Counter[str]()
    for size in sizes:
        rooms[size.name.split("/")[0] if "/" in size.name else "beside the rooms"] += size.lines
    (room, lines), walk, loops, names = rooms.most_common(1)[0], one_lock_step(), import_circles(), obscure_names()
    longest = sorted(pieces, reverse=True)
    return {
        "files": str(len(sizes)),
        "lines": str(total),
        "median file": f"{statistics.median(size.lines for size in sizes):g}",
        "longest file": f"{max(sizes).lines} ({max(sizes).name})",
        "functions": str(len(pieces)),
        "median function": f"{statistics.median(piece.lines for piece in pieces):g}",
        "longest function": f"{longest[0].lines} ({longest[0].name})",
        "biggest room": f"{room}, {lines} lines, {100 * lines / total:.0f} %",
        "a lock-step: files, functions": f"{walk.files}, {walk.functions}",
        "a lock-step: calls, changes of file": f"{walk.calls}, {walk.changes_of_file}",
        "circles of imports": f"{len(loops)}" + "".join(f"; {' - '.join(loop)}" for loop in loops),
        "names that say too little": f"{len(names)}" + (f" ({', '.join(names)})" if names else ""),
    }


def main() -> None:
    """Print the table."""
    found = figures()
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name:{width}}  {value}")


if __name__ == "__main__":
    main()
