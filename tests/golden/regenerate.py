"""Write the committed digests anew: ``python tests/golden/regenerate.py REASON``.

The reason is required, because a changed digest is a breaking change: teams that mix the old and the new version diverge.
Put it into the commit message.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dadc_net.exact import golden
from dadc_net.exact.selftest import compute_digests


def main() -> None:
    """Rewrite ``dadc_net/exact/golden.py``."""
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit("give the reason as one argument; it belongs into the commit message too")
    path = Path(golden.__file__)
    head = path.read_text(encoding="utf-8").partition("GOLDEN")[0]
    lines = [f'    "{name}": "{value.hex()}",' for name, value in compute_digests().items()]
    path.write_text(head + "GOLDEN: dict[str, str] = {\n" + "\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"rewrote {path}: {sys.argv[1]}")


if __name__ == "__main__":
    main()
