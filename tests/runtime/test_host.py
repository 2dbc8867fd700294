"""What a host says of itself, for people, and what a process takes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dadc_net.runtime.host import host_facts


def test_the_host_says_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = host_facts()
    assert {"machine", "system", "python", "numpy", "torch", "blas", "cpu"} <= set(facts)
    assert all(isinstance(value, str) for value in facts.values())

    def refuse(*_: object, **__: object) -> str:
        raise OSError("no such file")

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(np, "show_config", lambda mode: None)
    assert host_facts()["blas"] == "unknown"
    assert host_facts()["cpu"]


THREADS = """
import dadc_net
dadc_net.simulate("mabc", updates=1, settings={"learner.num_envs": 4, "learner.batch_steps": 40})
import torch
print(torch.get_num_threads())
"""


def test_a_run_has_one_thread_of_torch_whenever_that_is_loaded() -> None:
    """With a variable that wants two: without any, it has as many as there are cores."""
    variables = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=100, env=variables)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
