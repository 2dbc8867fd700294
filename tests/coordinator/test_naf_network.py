"""The quadratic critic: what it plays and values, against the graph's Q and plain linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dadc_net.config import resolve
from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.naf import NafNetwork
from dadc_net.coordinator.networks.parameters import Gradients
from dadc_net.coordinator.networks.regression import Goals
from dadc_net.coordinator.prescription import Box, Corners, theta_space
from dadc_net.errors import ConfigError
from dadc_net.exact import functions
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.spaces import BoxSpace
from tests.coordinator import graphs

LOW, HIGH = np.array([-1.0, 0.0, 2.0]), np.array([1.0, 5.0, 3.0])
SQUARE = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)])


def network(kind: type[Box], size: int = 3, scale: float = 3.0) -> NafNetwork:
    """A critic whose peaks lie inside the box here and outside there."""
    box = kind(LOW[:size], HIGH[:size])
    made = NafNetwork(4, 8, box, Tower.named("hidden", 2, "output"), Stream("naf", seed_bytes(3)))
    made.group.values[...] *= scale
    return made


def states(count: int = 50) -> Array:
    drawn: Array = np.random.Generator(np.random.Philox(5)).uniform(-1.0, 1.0, (count, 4))
    return drawn


def q(made: NafNetwork, x: Array, codes: Array) -> Array:
    found: Array = made.forward(x, codes).values.detach().numpy()
    return found


def peaks(made: NafNetwork, x: Array) -> Array:
    found: Array = made._tower.acting(made.group)(x)[:, 1 : 1 + made.size]
    return found


def test_the_peak_is_played_at_the_nearest_point_and_valued_there() -> None:
    made, x = network(Box), states()
    peak = peaks(made, x)
    outside = (np.abs(peak) > 1.0).any(axis=1)
    assert 0 < outside.sum() < len(x)
    inside = np.clip(peak, -1.0, 1.0)
    theta = made.rule()(x)
    assert np.allclose(theta, (LOW + HIGH) / 2 + (HIGH - LOW) / 2 * inside, atol=1e-15)
    assert (theta >= LOW).all()
    assert (theta <= HIGH).all()
    values = made.values(made.group)(x)
    assert np.array_equal(values, q(made, x, inside))
    # V would promise more than can be played: by nothing where mu is inside the box, and by something where it is not.
    promised = made._tower.acting(made.group)(x)[:, 0] - values
    assert (promised[outside] > 0.0).all()
    assert (promised[~outside] == 0.0).all()


def test_the_best_corner_is_played_and_valued() -> None:
    made, x = network(Corners), states()
    corners = np.array([[a, b, c] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)])
    each = np.stack([q(made, x, np.tile(corner, (len(x), 1))) for corner in corners], axis=1)
    best = corners[each.argmax(axis=1)]
    assert len(np.unique(each.argmax(axis=1))) > 2
    assert np.array_equal(made.rule()(x), np.where(best > 0.0, HIGH, LOW))
    assert np.array_equal(made.values(made.group)(x), each.max(axis=1))
    # It is not the corner next to the peak: that one is worth less in places.
    nearest = q(made, x, np.where(peaks(made, x) >= 0.0, 1.0, -1.0))
    assert (nearest < each.max(axis=1)).any()


def test_of_two_equal_corners_the_first_is_played() -> None:
    made = network(Corners)
    made.group.values[...] = 0.0
    assert np.array_equal(made.rule()(states(2)), np.tile(LOW, (2, 1)))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_its_gradient_has_the_bits_of_a_graph(activation: str) -> None:
    """Also where a rectifier is at either of its ends, and beyond."""
    tower = Tower.named("hidden", 2, "output", activation=activation)
    made = NafNetwork(4, 8, Box(LOW, HIGH), tower, Stream("naf", seed_bytes(3)))
    made.group.arrays["hidden.bias"][:4] = 0.0, 8.0, 9.0, -9.0
    x, rng = states(), np.random.Generator(np.random.Philox(6))
    x[0] = 0.0
    codes, target, counted = rng.uniform(-1, 1, (50, 3)), rng.normal(size=50), (rng.random(50) < 0.7).astype(np.float64)
    way, goals, gradients = made.forward(x, codes), Goals(target, counted, 20.0), Gradients()
    way.back(goals.gradient(way.values.detach().numpy()), gradients)
    p = graphs.leaves(made.group)
    outputs = functions.fork(graphs.outputs(p, tower, torch.from_numpy(x)), 3)
    form = functions.triangular_form(made._lower(outputs[2][:, 4:]), torch.from_numpy(codes) - outputs[1][:, 1:4])
    distance = functions.smooth_l1(outputs[0][:, 0] + form - torch.from_numpy(target))
    loss = functions.mean(distance, 20.0, torch.from_numpy(counted))
    assert made.group.flat(gradients).tobytes() == graphs.gradient(loss, p).tobytes()


@pytest.mark.parametrize("kind", [Box, Corners])
def test_a_row_alone_gives_its_bits(kind: type[Box]) -> None:
    made, x = network(kind), states()
    for function in (made.rule(), made.values(made.target)):
        assert np.array_equal(function(x), np.concatenate([function(x[i : i + 1]) for i in range(len(x))]))


def test_the_target_keeps_its_own_values() -> None:
    made, x = network(Corners), states()
    before = made.values(made.target)(x)
    made.group.values[...] *= 0.5
    assert np.array_equal(made.values(made.target)(x), before)
    assert not np.array_equal(made.values(made.group)(x), before)
    made.target.follow(1.0)
    assert np.allclose(made.values(made.target)(x), made.values(made.group)(x))


@pytest.mark.parametrize("seed", range(8))
def test_at_the_corners_of_a_square_the_quadratic_is_any_function(seed: int) -> None:
    """Why corners are played where Q is not concave: four values in, the same four out."""
    wanted = np.random.Generator(np.random.Philox(seed)).normal(size=4)
    linear, product = SQUARE.T @ wanted / 4, (SQUARE[:, 0] * SQUARE[:, 1]) @ wanted / 4
    curvature = np.array([[-1.0, 0.0], [0.0, -1.0]]) * (abs(product) + 0.1)
    curvature[0, 1] = curvature[1, 0] = product
    peak = -np.linalg.solve(curvature, linear)
    lower = np.linalg.cholesky(-curvature)
    entries = np.tile([lower[0, 0], lower[1, 0], lower[1, 1]], (4, 1))
    found = functions.triangular_values(entries, SQUARE - peak)
    assert np.allclose(found - found.mean(), wanted - wanted.mean(), atol=1e-12)


def words(count: int, size: int) -> NDArray[np.uint64]:
    drawn: NDArray[np.uint64] = Stream("corners", seed_bytes(2)).words(0, count, size)
    return drawn


def test_only_corners_are_drawn_and_played() -> None:
    corners, box = Corners(LOW, HIGH), Box(LOW, HIGH)
    centre = np.tile((LOW + HIGH) / 2, (4000, 1))
    drawn = corners.draw(centre + 0.1, np.ones(3), words(4000, 3))
    assert set(np.unique((drawn - LOW) / (HIGH - LOW)).tolist()) == {0.0, 1.0}
    assert np.array_equal(corners.played(drawn), drawn)
    assert set(np.unique(corners.codes(drawn)).tolist()) == {-1.0, 1.0}
    # On the side on which the box's own draw lies.
    assert np.array_equal(drawn == HIGH, box.draw(centre + 0.1, np.ones(3), words(4000, 3)) >= centre)
    assert np.array_equal(corners.greedy((LOW + HIGH)[None] / 2, np.ones(2)), HIGH[None])


def test_noise_turns_a_dimension_over_as_often_as_a_normal_passes_the_centre() -> None:
    corners = Corners(LOW, HIGH)
    drawn = corners.draw(np.tile(LOW, (20_000, 1)), 0.6 * corners.half_width, words(20_000, 3))
    assert np.abs((drawn == HIGH).mean(axis=0) - 0.0478).max() < 0.006


def test_the_space_has_corners_only_when_they_are_played() -> None:
    record = BoxSpace((0.0, 0.0), (1.0, 1.0)).to_plain()
    assert type(theta_space(record)) is Box
    assert type(theta_space(record, corners=True)) is Corners
    plays = resolve("mabc", ["naf.plays=corners"], {"algorithm": "naf-dqn"}).settings
    other = resolve("mabc", ["naf.plays=corners", "prescriptions=opportunity"], {"algorithm": "ppo"}).settings
    assert (plays.plays_corners, other.plays_corners) == (True, False)
    assert plays.theta_space == record


def test_what_cannot_be_played_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"naf\.plays is 'corner', which does not exist\. .*Choose one of peak, corners"):
        resolve("mabc", ["naf.plays=corner"], {"algorithm": "naf-dqn"})


def test_of_many_dimensions_no_single_turn_betters_the_corner_that_is_played() -> None:
    size = 12
    box = Corners(np.zeros(size), np.ones(size))
    made = NafNetwork(4, 8, box, Tower.named("hidden", 2, "output"), Stream("naf", seed_bytes(3)))
    made.group.values[...] *= 2.0
    x = states(6)
    played = made.rule()(x)
    assert set(np.unique(played).tolist()) == {0.0, 1.0}
    code = 2.0 * played - 1.0
    worth = q(made, x, code)
    assert np.array_equal(made.values(made.group)(x), worth)
    turned = [q(made, x, code * np.where(np.arange(size) == entry, -1.0, 1.0)) for entry in range(size)]
    assert (np.max(turned, axis=0) <= worth + 1e-9).all()
    nearest = q(made, x, np.where(peaks(made, x) >= 0.0, 1.0, -1.0))
    assert (worth >= nearest).all()
    assert (worth > nearest).any()
    assert np.array_equal(played, np.concatenate([made.rule()(x[i : i + 1]) for i in range(len(x))]))
