"""Q of all entries of a menu, which is found in parts, has the bits of Q of each of them."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.coordinator.networks.q import QNetwork
from dadc_net.exact import compiled
from dadc_net.exact.acting import PreparedTower
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes

ENTRIES, ROWS, SIZE = 7, 40, 5


def both(exponent: int) -> tuple[Array, Array]:
    """Q [n, M] in parts, and pair by pair."""
    network = QNetwork(SIZE, 6, ENTRIES, Stream("critic", seed_bytes(3)), exponent)
    network.group.assign(network.group.values * 4.0)
    draws = np.random.Generator(np.random.Philox(4)).uniform(-1.0, 1.0, (ROWS, SIZE)) * 2.0**exponent
    states = np.round(draws * 2.0**24) / 2**24
    pairs = np.repeat(states, ENTRIES, axis=0), np.tile(np.eye(ENTRIES), (ROWS, 1))
    return network.all(states), network.at(*pairs).reshape(ROWS, ENTRIES)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("exponent", [0, 3])
def test_q_in_parts_has_the_bits_of_q(fast: bool, exponent: int) -> None:
    compiled.unload()
    assert not fast or compiled.load()
    in_parts, one_by_one = both(exponent)
    compiled.unload()
    assert in_parts.tobytes() == one_by_one.tobytes()
    assert np.ptp(in_parts, axis=1).max() > 0.1


def test_parts_that_are_not_rounded_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(self: PreparedTower, x: Array) -> Array:
        weight, bias = self.hidden[0].weight.values, self.hidden[0].bias
        fed = (x @ weight[: x.shape[1]])[:, None, :] + weight[x.shape[1] :] + bias
        return self.output(np.tanh(fed).reshape(-1, bias.size)).reshape(len(x), ENTRIES, -1)

    monkeypatch.setattr(PreparedTower, "before_each_code", plain)
    in_parts, one_by_one = both(0)
    assert np.allclose(in_parts, one_by_one, atol=1e-5)
    assert in_parts.tobytes() != one_by_one.tobytes()
