"""What a host says of itself, for people."""

from __future__ import annotations

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
