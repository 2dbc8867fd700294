"""One engine and one image for all tests of the lane."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers import engine


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """Name of the image, on an engine that answers; one that was started here ends with the tests."""
    started = None if engine.answers() else engine.start()
    try:
        yield engine.image()
    finally:
        if started is not None:
            started.terminate()
            started.wait(60)
