"""Normal numbers against the standard library's inverse, and the quadratic form against plain linear algebra."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch

from dadc_net.exact import functions
from dadc_net.exact.normal import inverse_normal, normals
from dadc_net.exact.streams import Stream, seed_bytes


def test_the_inverse_agrees_with_the_standard_library() -> None:
    p = np.concatenate((2.0 ** -np.arange(1.0, 30.0), np.linspace(0.001, 0.999, 999), 1.0 - 2.0 ** -np.arange(2.0, 30.0)))
    expected = np.array([NormalDist().inv_cdf(value) for value in p.tolist()])
    assert np.abs(inverse_normal(p) - expected).max() < 1e-8


def test_the_inverse_is_odd_and_ends_where_the_logarithm_does() -> None:
    p = np.array([0.25, 0.01, 2.0**-20])
    assert np.array_equal(inverse_normal(p), -inverse_normal(1.0 - p))
    assert inverse_normal(np.array([0.5])).tolist() == [0.0]
    ends = normals(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert ends[0] == -ends[1] == inverse_normal(np.array([2.0**-30]))[0]


def test_a_number_is_the_same_alone_and_beside_others() -> None:
    p = np.concatenate((np.linspace(0.001, 0.999, 201), np.array([0.075, 0.925, 2.0**-29])))
    alone = np.concatenate([inverse_normal(p[place : place + 1]) for place in range(p.size)])
    assert alone.tobytes() == inverse_normal(p).tobytes()


@pytest.mark.parametrize("shape", [(20_000, 1), (70, 50, 8), (0, 3)])
def test_many_normals_are_those_of_few(shape: tuple[int, ...]) -> None:
    """Also where words lie apart, as those of a stream whose draws do not fill its blocks."""
    generator = np.random.default_rng(1)
    words = generator.integers(0, 2**64, shape, dtype=np.uint64)[..., :6]
    found = normals(words)
    assert found.shape == words.shape
    alone = np.concatenate([normals(part) for part in np.array_split(words.reshape(-1), 97)])
    assert found.tobytes() == alone.tobytes()


@pytest.mark.parametrize(("copies", "draws"), [(1, 1), (3, 5)])
def test_a_stream_gives_the_normals_of_its_words_at_any_address(copies: int, draws: int) -> None:
    stream, other = (Stream("normals", seed_bytes(1)) for _ in range(2))
    for step in (0, 1, 63, 64, 200, 3):
        found = stream.normals(step, copies, draws)
        assert found.tobytes() == normals(other.words(step, copies, draws)).tobytes()
        assert not found.flags.writeable, "whoever wrote into it would change the stream"


def test_normals_have_the_moments_of_a_standard_normal() -> None:
    z = normals(Stream("normals", seed_bytes(1)).words(0, 100, 1000))
    assert z.shape == (100, 1000)
    assert all(abs(float((z**power).mean()) - moment) < 0.1 for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)))
    assert abs(float((np.abs(z) > 1.959964).mean()) - 0.05) < 0.003


@pytest.mark.parametrize("size", [1, 2, 6])
def test_the_triangular_form_and_its_gradient(size: int) -> None:
    rng = np.random.Generator(np.random.Philox(size))
    entries = rng.normal(size=(7, size * (size + 1) // 2))
    difference = rng.normal(size=(7, size))
    weights = rng.normal(size=7)
    mine = [torch.from_numpy(x.copy()).requires_grad_() for x in (entries, difference)]
    plain = [torch.from_numpy(x.copy()).requires_grad_() for x in (entries, difference)]
    found = functions.triangular_form(*mine)
    lower = torch.zeros(7, size, size, dtype=torch.float64)
    lower[:, *np.tril_indices(size)] = plain[0]
    expected = -0.5 * (torch.einsum("nij,ni->nj", lower, plain[1]) ** 2).sum(dim=1)
    assert np.allclose(found.detach(), expected.detach(), atol=1e-12)
    (found * torch.from_numpy(weights)).sum().backward()
    (expected * torch.from_numpy(weights)).sum().backward()
    for one, other in zip(mine, plain, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert np.allclose(one.grad, other.grad, atol=1e-12)


def test_a_row_of_the_triangular_form_is_the_same_alone() -> None:
    rng = np.random.Generator(np.random.Philox(9))
    lower, difference = torch.from_numpy(rng.normal(size=(5, 21))), torch.from_numpy(rng.normal(size=(5, 6)))
    together = functions.triangular_form(lower, difference)
    alone = torch.cat([functions.triangular_form(lower[i : i + 1], difference[i : i + 1]) for i in range(5)])
    assert np.array_equal(together.numpy(), alone.numpy())
