"""Runs a command that kills itself with SIGKILL at an exact point: before or after the n-th call of a function.

    python -m tests.process.kill_point dadc-env ...      with DADC_KILL_POINT=MODULE:NAME:before|after:N

The command is the production command; only the named function is wrapped, so no hook for tests is in the package.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from typing import Any

from tests.process.commands import SCRIPTS

VARIABLE = "DADC_KILL_POINT"


def arm(text: str) -> None:
    """Wrap the function that ``text`` names.

    Raises:
        AttributeError: if there is no such function, so that a renamed one cannot turn a test into one without a fault.
    """
    module, name, when, count = text.rsplit(":", 3)
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    calls = 0

    @functools.wraps(original)
    def wrapped(*positional: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == int(count) and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*positional, **named)
        if calls == int(count) and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, last, staticmethod(wrapped) if isinstance(vars(owner).get(last), staticmethod) else wrapped)


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
