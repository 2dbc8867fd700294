"""The house rules as tests: who may import whom, how large a file may be, what may be called.

The import rules are the proof sketch that actor and critic are decentralised: code that learns cannot name what it must
not see. Every rule is derived from folders, so that a new file is held to the rule of the room that it stands in.
"""

from __future__ import annotations

import ast
import graphlib
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import dadc_net

HOUSE = Path(dadc_net.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))

BESIDE = {"errors", "schema"}
"""Modules beside the rooms that every room may import."""
FILES_BESIDE = {"atomic_file", "descriptors"}
"""Modules beside the rooms that read or write files: for the rooms outside the core."""
CONFIGURATION = {"config", "named_code", "presets", "run_sections", "structure_section", "toml_text", "user_code"}
"""Modules beside the rooms that only those may import who start something."""
_CORE = {"exact", "team", "coordinator", "node"}
_STORED = {*_CORE, "storage", "audit", "secret_files"}
_RUNNING = {*_STORED, *CONFIGURATION, "wire", "runtime"}
ALLOWED = {
    "exact": set(),
    "team": {"exact"},
    "planning": {"exact", "team"},
    "coordinator": {"exact", "team"},
    "node": {"exact", "team", "coordinator"},
    "wire": {"node", "secret_files"},
    "storage": {"exact", "node", "secret_files"},
    "audit": {"exact", "coordinator", "node", "storage"},
    "runtime": {*_STORED, *CONFIGURATION, "wire"},
    "experiment": {*_RUNNING, "planning"},
    "bench": _RUNNING,
    "deployment": set(),
    "cli": {*_RUNNING, "planning", "experiment", "bench", "deployment"},
}
"""Room -> what it may import. ``exact <- team <- {planning, coordinator} <- node <- {wire, storage}``;
``storage <- audit <- runtime <- {experiment, bench} <- cli``; ``deployment <- cli`` knows none of them."""
CORE = {"exact", "team", "planning", "coordinator", "node"}


def _room(path: Path) -> str:
    parts = path.relative_to(HOUSE).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")


def _folder(path: Path) -> str:
    return path.parent.relative_to(HOUSE).as_posix()


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
        beside = BESIDE if room in CORE else BESIDE | FILES_BESIDE
        if target != room and target not in beside | ALLOWED.get(room, set()):
            wrong.append(f"{path.relative_to(HOUSE)} imports {name}")
    return wrong


def test_every_room_has_a_rule() -> None:
    rooms = {_room(path) for path in FILES if path.parent != HOUSE}
    assert rooms == set(ALLOWED)
    graph = {room: allowed - CONFIGURATION for room, allowed in ALLOWED.items()}
    assert circle(graph) == [], "the rule itself goes round"


@pytest.mark.parametrize("path", [p for p in FILES if _room(p) in ALLOWED], ids=lambda p: str(p.relative_to(HOUSE)))
def test_imports_run_one_way(path: Path) -> None:
    assert wrong_imports(path, _room(path), _imports(path)) == []


def test_a_wrong_import_would_be_noticed() -> None:
    names = iter(["dadc_net.team.structures.structure", "dadc_net.node.messages", "numpy"])
    assert wrong_imports(HOUSE / "coordinator" / "x.py", "coordinator", names) == [
        "coordinator/x.py imports dadc_net.node.messages"
    ]
    bench = iter(["dadc_net.bench.memory_journal"])
    assert wrong_imports(HOUSE / "runtime" / "x.py", "runtime", bench)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Names that stand in a circle of ``graph`` (name -> names it points to), in order; empty where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def _module(path: Path) -> str:
    parts = path.relative_to(HOUSE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _targets(path: Path, modules: set[str]) -> set[str]:
    """Modules of the house that ``path`` imports; of a package, the member that is named."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (members & modules) or {node.module}
    return found & modules - {_module(path)}


def test_no_modules_import_one_another_in_a_circle() -> None:
    modules = {_module(path) for path in FILES}
    graph = {_module(path): _targets(path, modules) for path in FILES}
    assert graph["dadc_net.exact.grid"] >= {"dadc_net.exact.array", "dadc_net.exact.compiled"}
    assert circle(graph) == []


def test_a_circle_would_be_noticed() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_the_coordinator_cannot_name_local_information() -> None:
    allowed = {"dadc_net.team.spaces", "dadc_net.team.common_record"}
    allowed |= {"dadc_net.team.used_choices"}  # What z tells of local values that everybody knows by then.
    for path in (p for p in FILES if _room(p) == "coordinator"):
        team = {name for name in _imports(path) if name.startswith("dadc_net.team.")}
        modules = {".".join(name.split(".")[:3]) for name in team}
        assert modules <= allowed, path


def _has(path: Path, module: str) -> bool:
    return any(name == module or name.startswith(module + ".") for name in _imports(path))


AGENT_SIDE = [p for p in FILES if _folder(p).startswith("node/agent")]
SERVER_SIDE = [p for p in FILES if _folder(p).startswith("node/server")]
BOTH_SIDES = [p for p in FILES if _folder(p) == "node"]


def test_agent_and_server_never_import_each_other() -> None:
    assert len(AGENT_SIDE) > 5
    assert len(SERVER_SIDE) > 5
    for path in (*AGENT_SIDE, *BOTH_SIDES):
        assert not _has(path, "dadc_net.node.server"), path
    for path in (*SERVER_SIDE, *BOTH_SIDES):
        assert not _has(path, "dadc_net.node.agent"), path
    # What both share are messages and rows: neither a learner nor a problem.
    for path in BOTH_SIDES:
        assert not _has(path, "dadc_net.coordinator"), path
        assert not _has(path, "dadc_net.team.environment"), path


def test_the_server_holds_no_learner_and_the_agent_no_environment() -> None:
    assert not any(_has(p, "dadc_net.coordinator") for p in SERVER_SIDE)
    assert not any(_has(p, "dadc_net.team.environment") for p in AGENT_SIDE)


def test_only_the_team_member_holds_coordinator_and_local_information() -> None:
    agent = "dadc_net.node.agent"
    both = {
        p.name
        for p in AGENT_SIDE
        if _has(p, f"{agent}.replica") and (_has(p, f"{agent}.passive_agents") or _has(p, "dadc_net.team.structures"))
    }
    assert both == {"team_member.py"}
    # The baseline, whose learner is shown private observations, is a class of its own that nothing else can fall into.
    assert {p.name for p in AGENT_SIDE if _has(p, f"{agent}.independent_replica")} == {"team_member.py"}


def test_zmq_only_in_wire() -> None:
    users = {_room(p) for p in FILES if any(name.split(".")[0] == "zmq" for name in _imports(p))}
    assert users == {"wire"}


IO_MODULES = {
    *("asyncio", "concurrent", "ctypes", "datetime", "fcntl", "io", "logging", "mmap", "multiprocessing", "os", "pathlib"),
    *("pickle", "platform", "random", "resource", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3"),
    *("subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid"),
}
"""Modules that read or change the world outside of a process's own numbers, or depend on when something is done."""
IO_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}


def outside_world(text: str) -> list[str]:
    """What in ``text`` reaches beyond its own numbers: imports and calls, also of methods that open files."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in IO_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in IO_MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name in IO_CALLS or method in {"read_text", "read_bytes", "write_text", "write_bytes", "tofile", "fromfile"}:
                found.append(f"{name or method}()")
            owner = node.func.value if isinstance(node.func, ast.Attribute) else None
            if isinstance(owner, ast.Name) and owner.id in {"np", "torch"} and method in {"load", "save", "savez"}:
                found.append(f"{owner.id}.{method}()")
    return found


@pytest.mark.parametrize("room", sorted(CORE))
def test_the_core_does_no_io(room: str) -> None:
    for path in (p for p in FILES if _room(p) == room):
        assert outside_world(path.read_text(encoding="utf-8")) == [], path.relative_to(HOUSE)


def test_io_would_be_noticed() -> None:
    assert outside_world("import math\nfrom dataclasses import dataclass\nx = math.ldexp(1.0, 3)\n") == []
    for text, found in {
        "import platform": "platform",
        "from pathlib import Path": "pathlib",
        "import logging": "logging",
        "from os import path": "os",
        "text = open('/proc/cpuinfo').read()": "open()",
        "facts = cpuinfo.read_text()": "read_text()",
        "arrays = np.load('x.npz')": "np.load()",
    }.items():
        assert outside_world(text) == [found]


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
    # One names a folder after the time of day, one dates what happened for people, one writes such a date out.
    told = {"experiment/run_folders.py": 1, "runtime/history.py": 1, "experiment/page/run_sections.py": 2}
    assert {name: len(calls) for name, calls in found.items() if calls} == told
    assert wall_clock_reads("import time\nstarted = time.time()\n") == ["2 time.time"]
    for path in FILES:
        names = {name for name in _imports(path) if name.split(".")[0] in {"time", "datetime"}}
        assert names <= {"time"}, f"{path.relative_to(HOUSE)} imports {names}"


def test_no_global_random_generator() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for call in ("np.random.seed", "np.random.default_rng", "torch.manual_seed", "torch.rand"):
            assert call not in text, f"{path.relative_to(HOUSE)} uses {call}"
        assert "random" not in _imports(path), f"{path.relative_to(HOUSE)} imports random"


def fields_given_by_place(text: str) -> list[str]:
    """Dataclasses in ``text`` with three or more fields of one type whose fields can be given by place: no type checker
    sees two of them swapped."""
    found = []
    for node in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)):
        decorators = [ast.unparse(one) for one in node.decorator_list]
        if any(one.startswith("dataclass") and "kw_only=True" not in one for one in decorators):
            types = Counter(ast.unparse(one.annotation) for one in node.body if isinstance(one, ast.AnnAssign))
            if max(types.values(), default=0) >= 3:
                found.append(node.name)
    return found


def test_many_fields_of_one_type_are_given_by_name() -> None:
    for path in FILES:
        assert fields_given_by_place(path.read_text(encoding="utf-8")) == [], path.relative_to(HOUSE)
    row = "class Row:\n    a: bytes\n    b: bytes\n    c: bytes\n"
    assert fields_given_by_place(f"@dataclass(frozen=True)\n{row}") == ["Row"]
    assert fields_given_by_place(f"@dataclass(frozen=True, kw_only=True)\n{row}") == []


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
_TORCH = {"sqrt", "pow", "tanh", "sigmoid", "softmax", "log_softmax", "exp", "log", "matmul", "mm", "sum", "mean", "norm"}
_NUMPY = {
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp", "power", "float_power", "cbrt", "hypot"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "arctanh", "sum", "nansum", "mean", "average", "std", "var"),
    *("cumsum", "prod", "cumprod", "dot", "vdot", "inner", "matmul", "tensordot", "einsum", "trapezoid"),
}
_MATH = {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "pow", "sin", "cos", "hypot", "fsum", "dist"}
HOST_DEPENDENT = {"torch": _TORCH, "np": _NUMPY, "math": _MATH}
"""Functions whose bits a library, a processor or a number of threads may decide."""
_METHODS = {"sum", "mean", "std", "var", "prod", "cumsum", "dot", "matmul", "mm", "norm", "exp", "log", "tanh", "sigmoid"}
_SPECIFIED = {"functions", "layers", "elementary", "slow", "grid"}
"""Modules whose functions of these names are the specified ones."""
LICENSED = {
    "exact/acting.py": {"@": "both operands were rounded onto a grid"},
    "exact/compiled/likelihood.py": {"math.log": "a candidate for the rounding test"},
    "exact/elementary.py": dict.fromkeys(("np.exp", "np.log", "np.tanh"), "a candidate for the rounding test"),
    "exact/entering.py": dict.fromkeys(("np.exp", "np.tanh"), "a candidate for the rounding test"),
    "exact/grid.py": dict.fromkeys(("@", "np.matmul", "np.sum"), "its subject: terms on a grid"),
    "exact/scan.py": {"@": "both operands were rounded onto a grid", "np.tanh": "a candidate for the rounding test"},
    "exact/slow.py": {".exp": "of decimal arithmetic"},
    "exact/streams.py": {"np.cumsum": "of integers", "np.sum": "counts truth values"},
    "coordinator/advantage.py": {".sum": "counts truth values"},
    "coordinator/ais.py": {".sum": "counts truth values; in a diagnostic, of eigenvalues"},
    "coordinator/ais_losses.py": {".sum": "counts truth values"},
    "coordinator/algorithms/actor_critic.py": {".sum": "counts truth values"},
    "coordinator/algorithms/q_actor_critic.py": {".sum": "counts truth values"},
    "coordinator/memory.py": {"np.cumsum": "of truth values"},
    "coordinator/networks/naf.py": {".sum": "of zeros and ones"},
    "coordinator/networks/regression.py": {"np.sum": "counts truth values"},
}
"""File -> what it may use all the same, and why the bits are one all the same."""


def host_dependent(text: str) -> set[str]:
    """What in ``text`` has bits that a host may decide: operators, functions of libraries, methods of arrays."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            found.add("@")
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner in HOST_DEPENDENT:
                found |= {f"{owner}.{node.attr}"} if node.attr in HOST_DEPENDENT[owner] else set()
            elif owner not in _SPECIFIED and node.attr in _METHODS:
                found.add(f".{node.attr}")
    return found


@pytest.mark.parametrize("path", LEARNER, ids=lambda p: str(p.relative_to(HOUSE)))
def test_the_learner_calls_no_function_with_host_dependent_bits(path: Path) -> None:
    used = host_dependent(path.read_text(encoding="utf-8"))
    assert used == set(LICENSED.get(path.relative_to(HOUSE).as_posix(), {}))


def test_a_host_dependent_bit_would_be_noticed() -> None:
    assert {HOUSE / name for name in LICENSED} <= set(LEARNER)
    assert host_dependent("y = functions.tanh(x); z = np.sqrt(y) + elementary.exp(y) + layers.mean(y, w, 3.0)") == set()
    for text, found in {
        "y = np.exp(x)": "np.exp",
        "y = x @ w": "@",
        "y @= w": "@",
        "y = x.sum()": ".sum",
        "y = self._values.mean(axis=0)": ".mean",
        "y = torch.tanh(x)": "torch.tanh",
        "y = math.log(x)": "math.log",
    }.items():
        assert host_dependent(text) == {found}


def test_torch_optimisers_and_layers_are_not_used() -> None:
    for path in LEARNER:
        names = set(_imports(path))
        assert not any(name.startswith(("torch.optim", "torch.nn")) for name in names), path
