"""The house rules as tests: who may import whom, how large a file may be, what may be called.

The import rules are the proof sketch that actor and critic are decentralised: code that learns cannot name what it must
not see.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import dadc_net

HOUSE = Path(dadc_net.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))

ALLOWED = {
    "exact": set(),
    "team": {"exact"},
    "planning": {"exact", "team"},
    "coordinator": {"exact", "team"},
    "node": {"exact", "team", "coordinator"},
    "wire": {"exact", "node"},
    "runtime": {"exact", "team", "planning", "coordinator", "node", "wire"},
    "cli": {"exact", "team", "planning", "coordinator", "node", "wire", "runtime"},
}
BESIDE = {"errors", "sections"}
"""Modules beside the rooms that every room may import."""
OUTER_ROOMS = {"runtime", "cli"}


def _room(path: Path) -> str:
    parts = path.relative_to(HOUSE).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrong_imports(path: Path, room: str, names: Iterator[str]) -> list[str]:
    """Imports of ``path`` that its room does not allow."""
    wrong = []
    for name in names:
        parts = name.split(".")
        if parts[0] != "dadc_net" or len(parts) < 2 or parts[1] == "__version__":
            continue
        target = parts[1]
        if target == room or target in BESIDE or target in ALLOWED.get(room, set()):
            continue
        if room in OUTER_ROOMS and target in {"config", "presets"}:
            continue
        wrong.append(f"{path.relative_to(HOUSE)} imports {name}")
    return wrong


@pytest.mark.parametrize("path", [p for p in FILES if _room(p) in ALLOWED], ids=lambda p: str(p.relative_to(HOUSE)))
def test_imports_run_one_way(path: Path) -> None:
    assert wrong_imports(path, _room(path), _imports(path)) == []


def test_a_wrong_import_would_be_noticed() -> None:
    names = iter(["dadc_net.team.information", "dadc_net.node.agent", "numpy"])
    assert wrong_imports(HOUSE / "coordinator" / "x.py", "coordinator", names) == [
        "coordinator/x.py imports dadc_net.node.agent"
    ]


def test_the_coordinator_cannot_name_local_information() -> None:
    allowed = {"dadc_net.team.spaces", "dadc_net.team.common_record"}
    for path in (p for p in FILES if _room(p) == "coordinator"):
        team = {name for name in _imports(path) if name.startswith("dadc_net.team.")}
        modules = {".".join(name.split(".")[:3]) for name in team}
        assert modules <= allowed, path


def test_only_the_agent_holds_coordinator_and_local_information() -> None:
    def has(path: Path, module: str) -> bool:
        return any(name == module or name.startswith(module + ".") for name in _imports(path))

    node = [p for p in FILES if _room(p) == "node"]
    both = {
        p.name
        for p in node
        if has(p, "dadc_net.node.replica")
        and (has(p, "dadc_net.node.passive_agent") or has(p, "dadc_net.team.information"))
    }
    assert both == {"team_member.py"}
    names = "agent identity independent_replica own_log own_run passive_agent replica team_member watch"
    agents = {f"{name}.py" for name in names.split()}
    agent_side = [p for p in node if p.name in agents]
    assert len(agent_side) == len(agents)
    assert not any(has(p, "dadc_net.team.environment") for p in agent_side)
    # The baseline, whose learner is shown private observations, is a class of its own that nothing else can fall into.
    assert {p.name for p in node if has(p, "dadc_net.node.independent_replica")} == {"team_member.py"}
    server_side = [p for p in node if p.name not in agents]
    assert not any(has(p, "dadc_net.coordinator") for p in server_side)


def test_zmq_only_in_wire() -> None:
    users = {_room(p) for p in FILES if any(name.split(".")[0] == "zmq" for name in _imports(p))}
    assert users == {"wire"}


def test_the_core_does_no_io() -> None:
    banned = {"time", "socket", "os", "subprocess", "multiprocessing", "random", "secrets", "threading", "sqlite3"}
    for path in (p for p in FILES if _room(p) in {"exact", "team", "planning", "coordinator", "node"}):
        used = {name.split(".")[0] for name in _imports(path)} & banned
        assert not used, f"{path.relative_to(HOUSE)} imports {used}"


WALL_CLOCK = {"time", "time_ns", "ctime", "gmtime", "localtime", "strftime", "now", "utcnow", "today"}


def wall_clock_reads(text: str) -> list[str]:
    """Calls in ``text`` that read the wall clock: whatever is due, old or late is told by the monotonic clock alone."""
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [
        f"{call.lineno} {call.value.id}.{call.attr}"
        for call in calls
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name)
        if call.value.id in {"time", "datetime", "date"} and call.attr in WALL_CLOCK
    ]


def test_the_wall_clock_decides_nothing() -> None:
    found = {path.relative_to(HOUSE).as_posix(): wall_clock_reads(path.read_text(encoding="utf-8")) for path in FILES}
    # The only one names a folder after the time of day.
    assert {name: len(calls) for name, calls in found.items() if calls} == {"cli/run.py": 1}
    assert wall_clock_reads("import time\nstarted = time.time()\n") == ["2 time.time"]
    for path in FILES:
        names = {name for name in _imports(path) if name.split(".")[0] in {"time", "datetime"}}
        assert names <= {"time"}, f"{path.relative_to(HOUSE)} imports {names}"


def test_no_global_random_generator() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for call in ("np.random.seed", "np.random.default_rng", "torch.manual_seed", "torch.rand", "import random"):
            assert call not in text, f"{path.relative_to(HOUSE)} uses {call}"


def test_files_and_functions_stay_small() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 70, f"{path.relative_to(HOUSE)}:{node.name} has {length} lines"


def test_every_module_says_what_it_is_for() -> None:
    for path in FILES:
        if path.name != "__init__.py" or path.parent == HOUSE:
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_nothing_is_left_to_do() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "X" + "XX")
    for path in FILES:
        with open(path, "rb") as file:
            comments = [t.string for t in tokenize.tokenize(file.readline) if t.type == tokenize.COMMENT]
        assert not [c for c in comments if any(word in c for word in words)], path


LEARNER = [p for p in FILES if _room(p) in {"exact", "coordinator"}]
BANNED_CALLS = {
    "torch": {
        "sqrt",
        "pow",
        "tanh",
        "sigmoid",
        "softmax",
        "log_softmax",
        "exp",
        "log",
        "matmul",
        "mm",
        "sum",
        "mean",
        "norm",
    },
    "np": {"dot", "einsum", "power", "log1p", "expm1", "random.normal"},
    "math": {"exp", "log", "tanh", "pow", "sin", "cos"},
}


def test_the_learner_calls_no_function_with_host_dependent_bits() -> None:
    # One file takes candidates from the C library, as elementary.py does from NumPy: each goes through the rounding test.
    for path in (p for p in LEARNER if p.relative_to(HOUSE).as_posix() != "exact/compiled/rounding.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.attr not in BANNED_CALLS.get(node.value.id, set()), f"{path.name}:{node.lineno} {node.attr}"


def test_torch_optimisers_and_layers_are_not_used() -> None:
    for path in LEARNER:
        names = set(_imports(path))
        assert not any(name.startswith(("torch.optim", "torch.nn")) for name in names), path
