"""The corpus, and a few hundred inputs for each target; ``tests.fuzz.run`` tries a million and more."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dadc_net.errors import ProtocolError
from tests.fuzz.inputs import seeds
from tests.fuzz.run import mutated
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.timeout(300)
_FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_whatever_others_made_is_taken_or_refused(name: str) -> None:
    found = seeds(name)
    for one in found:
        TARGETS[name](one)

    changed = st.builds(mutated, st.sampled_from(found), st.builds(random.Random, st.integers()))

    @_FEW
    @given(st.one_of(st.binary(max_size=200), changed))
    def any_input(data: bytes) -> None:
        TARGETS[name](data)

    any_input()


@pytest.mark.parametrize("name", ["report", "status", "metrics", "history", "sweep-result", "collection"])
def test_a_file_of_nothing_but_brackets_is_refused(name: str) -> None:
    """Deeper than JSON is read, and longer than what is tried at random."""
    TARGETS[name](b"[" * 100_000)


def test_a_target_that_raises_something_else_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what the decoder raised once, for a body that is no map."""

    def broken(_frames: list[bytes]) -> None:
        raise TypeError("a body that is no map")

    monkeypatch.setattr("tests.fuzz.targets.decode", broken)
    with pytest.raises(TypeError):
        TARGETS["message"](b"anything")

    def refused(_frames: list[bytes]) -> None:
        raise ProtocolError("no")

    monkeypatch.setattr("tests.fuzz.targets.decode", refused)
    TARGETS["message"](b"anything")
