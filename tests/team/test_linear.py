"""Linear prescriptions: on one-hot codes they are tables, and each copy and agent has its own map."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.errors import InvariantError, UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.families import family_from_plain
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.linear import LinearFamily
from dadc_net.team.spaces import BoxSpace, FiniteSpace

LINEAR = LinearFamily(name="l", tables=2, features=3, num_actions=4, bound=5.0, own_actions=(4, 2))
STREAM = Stream("test", seed_bytes(0))


def test_on_one_hot_codes_it_is_a_table() -> None:
    logits = 10.0 * STREAM.uniforms(0, 5, 24).reshape(5, 2, 3, 4) - 5.0
    maps = np.concatenate((logits.transpose(0, 1, 3, 2), np.zeros((5, 2, 4, 1))), axis=3)
    table = GibbsFamily(name="g", tables=2, local_values=3, num_actions=4, bound=5.0, own_actions=(4, 2))
    expected = table.probabilities(logits.reshape(5, -1))
    for value in range(3):
        phi = np.broadcast_to(LINEAR.look_up(FiniteSpace((3,)), np.array([[value]])), (5, 2, 3))
        weights = LINEAR.vector_weights(maps.reshape(5, -1), np.array([1, 2]), phi)
        # A table's weights are coarser, by up to e^10, beside an action that an agent does not have.
        np.testing.assert_allclose(weights / weights.sum(axis=2, keepdims=True), expected[:, :, value], atol=3e-5)
        assert (weights[:, 1, 2:] == 0).all()
        other = maps.copy()
        other[:, 0] = 0.0
        changed = LINEAR.vector_weights(other.reshape(5, -1), np.array([1, 2]), phi)
        assert (changed[:, 1] == weights[:, 1]).all()
        assert (changed[:, 0] != weights[:, 0]).any()


def test_a_measurement_decides_and_extremes_have_weights() -> None:
    box = BoxSpace((-2.0,) * 3, (2.0,) * 3)
    theta = np.full((2, 2, 4, 4), -5.0)
    theta[:, :, 1] = 5.0
    phi = np.stack([LINEAR.look_up(box, np.full((2, 3), 2.0)), LINEAR.look_up(box, np.full((2, 3), -2.0))])
    weights = LINEAR.vector_weights(theta.reshape(2, -1), np.array([1, 2]), phi)
    assert weights[0].argmax(axis=1).tolist() == [1, 1]
    assert (weights.sum(axis=2) >= 1).all()
    assert (weights.sum(axis=2) <= 2**32).all()
    assert set(weights[1].argmax(axis=1).tolist()) == {0}


def test_it_travels_and_refuses_what_is_too_wide() -> None:
    assert family_from_plain(LINEAR.to_plain()) == LINEAR
    LINEAR.require_local(BoxSpace((0.0,) * 3, (1.0,) * 3), "s")
    with pytest.raises(UsageError, match=r"has 4 numbers.*maps of 3"):
        LINEAR.require_local(BoxSpace((0.0,) * 4, (1.0,) * 4), "s")
    with pytest.raises(InvariantError, match="no random words"):
        LINEAR.draw(np.zeros((1, 32)), np.array([1]), np.zeros((1, 1, 3)))
