"""What all tests share: one thread per process, and small configurations that run in a second."""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dadc_net.config import RunConfig, resolve


@pytest.fixture
def small() -> Callable[..., RunConfig]:
    """A run of a few updates: 4 copies, 5 lock-steps per batch, unless said otherwise."""

    def make(updates: int = 3, overrides: Sequence[str] = (), **options: Any) -> RunConfig:
        base = ["learner.num_envs=4", "learner.batch_steps=20", *overrides]
        return resolve("mabc", base, {"updates": updates, **options})

    return make
