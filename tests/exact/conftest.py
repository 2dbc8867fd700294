"""Property tests draw the same examples each time and never fail for being slow; every test runs on NumPy and compiled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from dadc_net.exact import compiled

settings.register_profile("project", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("project")


@pytest.fixture(autouse=True, scope="module", params=["numpy", "compiled"])
def arithmetic(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which implementation the tests of a module meet; the third one is the oracle that they compare with."""
    compiled.unload()
    if request.param == "compiled":
        assert compiled.load(), "the tests need the extra 'fast': pip install '.[test]'"
    yield request.param
    compiled.unload()
