"""Runs a command in which the n-th call of a function takes some seconds longer.

    python -m tests.process.slow_point dadc-agent ...      with DADC_SLOW_POINT=MODULE:NAME:N:SECONDS:sleep|hold

``sleep`` lets other threads of the process run meanwhile; ``hold`` does not, like a library that computes for minutes
without giving up the interpreter's lock. The command is the production command; only the named function is wrapped.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import sys
import time
from typing import Any

from tests.process.commands import SCRIPTS

VARIABLE = "DADC_SLOW_POINT"
UPDATE = "dadc_net.node.agent.team_member:TeamMember.advance"
STEP = "dadc_net.node.server.world:World.advance"


def hold(seconds: float) -> None:
    """Sleep without giving up the interpreter's lock."""
    library = ctypes.PyDLL(None)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        library.usleep(int(min(left, 0.5) * 1e6))


def arm(text: str) -> None:
    """Wrap the function that ``text`` names. Raises AttributeError if there is none."""
    module, name, count, seconds, how = text.rsplit(":", 4)
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    wait = {"sleep": time.sleep, "hold": hold}[how]
    calls = 0

    @functools.wraps(original)
    def wrapped(*positional: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == int(count):
            wait(float(seconds))
        return original(*positional, **named)

    setattr(owner, last, wrapped)


def main() -> None:
    """Arm, then be the command."""
    script = sys.argv.pop(1)
    sys.argv[0] = script
    text = os.environ.get(VARIABLE, "")
    if text:
        arm(text)
    entry = importlib.import_module("dadc_net.cli.main")
    getattr(entry, SCRIPTS[script])()


if __name__ == "__main__":
    main()
