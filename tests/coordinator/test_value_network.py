"""The value's gradient by hand has the bits of a graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.regression import Goals
from dadc_net.coordinator.networks.value import ValueNetwork
from dadc_net.exact import functions
from dadc_net.exact.streams import Stream, seed_bytes
from tests.coordinator import graphs


def network(layers: int = 1, exponent: int = 0) -> ValueNetwork:
    return ValueNetwork(4, 6, Stream("initial-parameters/value", seed_bytes(3)), layers, exponent)


@pytest.mark.parametrize("largest_norm", [0.0, 0.01])
@pytest.mark.parametrize(("layers", "exponent"), [(1, 0), (2, 3)])
def test_a_step_has_the_bits_of_the_graph(largest_norm: float, layers: int, exponent: int) -> None:
    rng = np.random.Generator(np.random.Philox(4))
    states = np.round(rng.uniform(-1, 1, (30, 4)) * 2.0 ** (24 + exponent)) / 2**24
    goals, counted = rng.normal(size=30) * 2, (rng.random(30) < 0.7).astype(np.float64)
    by_hand, by_graph = network(layers, exponent), network(layers, exponent)
    tower = Tower.named("hidden", layers, "output", exponent)
    for _ in range(3):
        p = graphs.leaves(by_graph.group)
        values = graphs.outputs(p, tower, torch.from_numpy(states)).reshape(-1)
        distance = functions.smooth_l1(values - torch.from_numpy(goals)) * torch.from_numpy(counted)
        expected = functions.mean(distance, float(counted.sum()))
        by_graph.group.step(graphs.gradient(expected, p), 0.05, largest_norm)
        found = by_hand.fit(states, Goals(goals, counted), 0.05, largest_norm)
        assert found == expected.item()
        assert by_hand.group.tensor_digests() == by_graph.group.tensor_digests()


def test_rows_that_do_not_count_do_not_matter() -> None:
    rng = np.random.Generator(np.random.Philox(5))
    states, counted = np.round(rng.uniform(-1, 1, (8, 4)) * 2**24) / 2**24, np.array([1.0, 0.0] * 4)
    one, other = network(), network()
    goals = rng.normal(size=8)
    one.fit(states, Goals(goals, counted), 0.05, 0.0)
    other.fit(states, Goals(goals + 3.0 * (1.0 - counted), counted), 0.05, 0.0)
    assert np.array_equal(one.group.values, other.group.values)
    other.fit(states, Goals(goals + 3.0 * counted, counted), 0.05, 0.0)
    one.fit(states, Goals(goals, counted), 0.05, 0.0)
    assert not np.array_equal(one.group.values, other.group.values)
