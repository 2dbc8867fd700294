"""The measure of an update counts what it says: batches one after the other, and every part of an update once."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.bench.updates import batches, parts


def test_a_batch_has_an_update_and_acting() -> None:
    measured = list(islice(batches("actor-critic", 64), 3))
    assert len(measured) == 3
    assert all(update > 0.0 and acting > 0.0 for update, acting in measured)


GRAPH = {"graph nodes", "torch, backwards"}


@pytest.mark.parametrize(("algorithm", "graph"), [("actor-critic", set()), ("naf-dqn", GRAPH)])
def test_the_parts_of_an_update_are_all_of_it(algorithm: str, graph: set[str]) -> None:
    shares = parts(algorithm, 64)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert {"layers", "likelihoods", "products and sums", "recurrent scan", "optimiser", "digests"} <= set(shares)
    assert GRAPH & set(shares) == graph
