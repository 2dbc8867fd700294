"""Neural prescriptions: a network whose weights are theta, with the bits of what its formula says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dadc_net.errors import ProtocolError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.families import family_from_plain
from dadc_net.team.linear import LinearFamily
from dadc_net.team.neural import NeuralFamily
from dadc_net.team.spaces import BoxSpace

NEURAL = NeuralFamily(name="n", tables=2, features=2, num_actions=3, bound=5.0, own_actions=(3, 2), units=4)
STREAM = Stream("test", seed_bytes(0))
BOTH = np.array([1, 2])


def theta_of(family: NeuralFamily, copies: int) -> np.ndarray:
    return 10.0 * STREAM.uniforms(0, copies, family.space.columns) - 5.0


def test_it_is_the_formula() -> None:
    theta, phi = theta_of(NEURAL, 3), 2.0 * STREAM.uniforms(1, 3, 4).reshape(3, 2, 2) - 1.0
    found = NEURAL.vector_weights(theta, BOTH, phi)
    assert found.shape == (3, 2, 3)
    assert (found[:, 1, 2] == 0).all()
    for e in range(3):
        for k in range(2):
            own = theta[e].reshape(2, -1)[k]
            first, second = own[:12].reshape(4, 3), own[12:].reshape(3, 5)
            hidden = np.tanh(first[:, :2] @ phi[e, k] + first[:, 2])
            logits = (second[:, :4] @ hidden + second[:, 4])[: NEURAL.own_actions[k]]
            expected = np.exp(logits) / np.exp(logits).sum()
            given = found[e, k] / found[e, k].sum()
            np.testing.assert_allclose(given[: len(expected)], expected, atol=1e-6)


def test_copies_and_agents_do_not_touch_one_another() -> None:
    theta, phi = theta_of(NEURAL, 4), 2.0 * STREAM.uniforms(2, 4, 4).reshape(4, 2, 2) - 1.0
    together = NEURAL.vector_weights(theta, BOTH, phi)
    for e in range(4):
        for k in range(2):
            alone = NEURAL.vector_weights(theta[e : e + 1], BOTH[k : k + 1], phi[e : e + 1, k : k + 1])
            assert (alone[0, 0] == together[e, k]).all()


def test_it_can_do_what_no_linear_map_can() -> None:
    """Exclusive or of two signs: right at all four corners, where a linear map is right at three."""
    first = 5.0 * np.array([[1.0, 1.0, -1.0], [-1.0, -1.0, -1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    second = np.array([[5.0, 5.0, 0.0, 0.0, 5.0], [-5.0, -5.0, 0.0, 0.0, -5.0]])
    family = NeuralFamily(name="n", tables=1, features=2, num_actions=2, bound=5.0, units=4)
    theta = np.concatenate((first.ravel(), second.ravel()))[None].repeat(4, axis=0)
    assert family.space.contains(theta)
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    weights = family.vector_weights(theta, BOTH[:1], corners[:, None])
    assert weights[:, 0].argmax(axis=1).tolist() == [0, 1, 1, 0]
    linear = LinearFamily(name="l", tables=1, features=2, num_actions=2, bound=5.0)
    for draw in range(200):
        maps = 10.0 * STREAM.uniforms(3 + draw, 1, 6).repeat(4, axis=0) - 5.0
        assert linear.vector_weights(maps, BOTH[:1], corners[:, None])[:, 0].argmax(axis=1).tolist() != [0, 1, 1, 0]


def test_it_travels_and_nonsense_is_refused() -> None:
    plain = NEURAL.to_plain()
    assert family_from_plain(plain) == NEURAL
    NEURAL.require_local(BoxSpace((0.0, 0.0), (1.0, 1.0)), "s")
    for wrong in ({"units": "many"}, {"own_actions": 3}, {"bound": None}):
        with pytest.raises(ProtocolError, match="does not describe a neural family"):
            family_from_plain({**plain, **wrong})
    for wrong in ({"units": 2**40}, {"units": 0}, {"bound": math.inf}):
        with pytest.raises(ProtocolError, match="is said to have"):
            family_from_plain({**plain, **wrong})
    assert family_from_plain(replace(NEURAL, tables=1).to_plain()) != NEURAL
