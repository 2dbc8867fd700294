"""Runs a command and keeps every byte that it receives from the other side, decrypted, as the command itself sees it.

    python -m tests.process.recorder FILE dadc-agent ...

The command is the production command; only the reading of its socket is wrapped.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from tests.process.commands import SCRIPTS


def record(path: Path) -> None:
    """Wrap both sockets: what they return is appended to ``path`` first."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)
    for module, owner in (("agent_socket", "AgentSocket"), ("server_socket", "ServerSocket")):
        kind = getattr(importlib.import_module(f"dadc_net.wire.{module}"), owner)
        original = kind.receive

        def receive(self: Any, *positional: Any, original: Any = original, **named: Any) -> Any:
            found = original(self, *positional, **named)
            for frames in [one.frames for one in found] if found and hasattr(found[0], "frames") else [found or []]:
                file.write(b"".join(frames))
            return found

        kind.receive = receive


def main() -> None:
    """Wrap, then be the command."""
    record(Path(sys.argv.pop(1)))
    script = sys.argv.pop(1)
    sys.argv[0] = script
    getattr(importlib.import_module("dadc_net.cli.main"), SCRIPTS[script])()


if __name__ == "__main__":
    main()
