"""Write committed digests anew: ``python -m tests.golden.regenerate REASON [PART ...]``.

Parts: ``primitives`` (with the learners of the self-test), ``trace``, any run by name (``trpo``, ``'demand-response ppo'``),
``long`` (100,000 updates, five minutes or more). None named: all. ``short`` stands for all but ``long``. The reason is
required, because a changed digest is a breaking change: teams that mix the old and the new version diverge. Put it into the
commit message. A new algorithm changes nothing of the others: ``regenerate REASON primitives NAME`` adds it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType

from dadc_net.coordinator import golden as learner_golden
from dadc_net.coordinator.known_answers import LEARNERS
from dadc_net.exact import golden as arithmetic_golden
from dadc_net.exact.selftest import ARITHMETIC, KnownAnswers, compute_digests
from tests.golden import learners, trace
from tests.golden.learners import RUNS

LONG = "long"
SHORT = ("primitives", "trace", *RUNS)


def write_golden(module: ModuleType, answers: KnownAnswers) -> None:
    """Rewrite a module's ``GOLDEN``, in its file and in this process, which the parts after it need."""
    path = Path(str(module.__file__))
    head = path.read_text(encoding="utf-8").partition("GOLDEN")[0]
    module.GOLDEN.clear()
    module.GOLDEN.update((name, value.hex()) for name, value in compute_digests([answers]).items())
    lines = [f'    "{name}": "{value}",' for name, value in module.GOLDEN.items()]
    path.write_text(head + "GOLDEN: dict[str, str] = {\n" + "\n".join(lines) + "\n}\n", encoding="utf-8")


def parts_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The reason, and the parts to write in the order in which they need one another."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.regenerate")
    parser.add_argument("reason", help="belongs into the commit message too")
    parser.add_argument("part", nargs="*", choices=[*SHORT, LONG, "short", []], default=[])
    given = parser.parse_args(arguments)
    if not given.reason.strip() or given.reason in (*SHORT, LONG, "short"):
        parser.error("the reason comes first, in words")
    wanted = set(given.part or [*SHORT, LONG])
    wanted |= set(SHORT) if "short" in wanted else set()
    return given.reason, [part for part in (*SHORT, LONG) if part in wanted]


def main() -> None:
    """Primitives first: everything else needs a self-test that passes."""
    reason, parts = parts_of(sys.argv[1:])
    if "primitives" in parts:
        write_golden(arithmetic_golden, ARITHMETIC)
        write_golden(learner_golden, LEARNERS)
    if "trace" in parts:
        trace.TRACE.write_text(trace.make_trace(), encoding="utf-8")
    learners.write([part for part in parts if part in (*RUNS, LONG)])
    print(f"rewrote {', '.join(parts)}: {reason}")


if __name__ == "__main__":
    main()
