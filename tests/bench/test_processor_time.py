"""Processor time is that of all descendants, grandchildren too, and of nobody else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dadc_net.bench import processor_time

_BUSY = "import time\nwhile time.process_time() < 0.4: pass\nprint(flush=True)\ninput()"
_PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {_BUSY!r}])"


def test_grandchildren_are_counted_until_they_end() -> None:
    before = processor_time.of_descendants()
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = processor_time.of_descendants()
    after = processor_time.of_descendants()
    assert before is not None
    assert during is not None
    assert during - before >= 0.35
    assert after == pytest.approx(before, abs=0.2)
