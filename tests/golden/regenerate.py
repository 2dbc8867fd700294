"""Write all committed digests anew: ``python -m tests.golden.regenerate REASON``.

The reason is required, because a changed digest is a breaking change: teams that mix the old and the new version
diverge. Put it into the commit message.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dadc_net.exact import golden
from dadc_net.exact.selftest import compute_digests


def write_primitives() -> None:
    """Rewrite ``dadc_net/exact/golden.py``, and the digests that this process has already imported from it."""
    path = Path(golden.__file__)
    head = path.read_text(encoding="utf-8").partition("GOLDEN")[0]
    golden.GOLDEN.clear()
    golden.GOLDEN.update((name, value.hex()) for name, value in compute_digests().items())
    lines = [f'    "{name}": "{value}",' for name, value in golden.GOLDEN.items()]
    path.write_text(head + "GOLDEN: dict[str, str] = {\n" + "\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    """Primitives first: the trace needs a self-test that passes."""
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit("give the reason as one argument; it belongs into the commit message too")
    write_primitives()
    from tests.golden import learners, trace

    trace.TRACE.write_text(trace.make_trace(), encoding="utf-8")
    learners.write()
    print(f"rewrote primitives, trace and learner digests: {sys.argv[1]}")


if __name__ == "__main__":
    main()
