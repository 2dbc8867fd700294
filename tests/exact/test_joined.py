"""Functions under one node: the bits of the functions that they stand for, on NumPy and with kernels, forwards and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dadc_net.errors import NumericError
from dadc_net.exact import compiled, functions
from dadc_net.exact.array import Array
from tests.exact import oracle

Found = list[Array]
_DOUBTFUL_EXP, _DOUBTFUL_TANH = -6.494615323316052, 3.725290298461916e-08
"""Within 64 ulp of the middle between two grid points."""


@pytest.fixture(autouse=True, scope="module")
def arithmetic() -> Iterator[None]:
    """Each test says itself which implementation it means."""
    yield
    compiled.unload()


def every_way(compute: Callable[[], Found]) -> list[Found]:
    """What NumPy and what the kernels give."""
    compiled.unload()
    plain = compute()
    assert compiled.load()
    return [plain, compute()]


def same(a: Found, b: Found) -> bool:
    return len(a) == len(b) and all(oracle.same_bits(x, y) for x, y in zip(a, b, strict=True))


def derived(leaves: list[Tensor], outputs: list[Tensor], weights: list[Tensor]) -> Found:
    """Outputs, and the gradients of their weighted sum."""
    total = functions.mean(outputs[0] * weights[0], 1.0)
    for output, weight in zip(outputs[1:], weights[1:], strict=True):
        total = total + functions.mean(output * weight, 1.0)
    gradients = torch.autograd.grad(total, leaves)
    return [tensor.detach().numpy() for tensor in (*outputs, *gradients)]


def numbers(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.from_numpy(np.random.Generator(np.random.Philox(seed)).normal(size=shape) * scale)


def tanh_of_affine(x: Tensor, weight: Tensor, bias: Tensor, exponent: int) -> Tensor:
    return functions.tanh(functions.affine(x, weight, bias, exponent))


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 6), st.integers(1, 40), st.integers(-40, 6), st.booleans())
def test_a_tanh_layer_has_the_bits_of_its_parts(
    seed: int, rows: int, inputs: int, width: int, scale: int, data: bool
) -> None:
    def found(layer: Callable[..., Tensor]) -> Found:
        x = numbers(seed, rows, inputs).clamp(-1.0, 1.0).requires_grad_(not data)
        weight = numbers(seed + 1, inputs, width, scale=2.0**scale).requires_grad_()
        bias = numbers(seed + 2, width).requires_grad_()
        y = layer(x, weight, bias, 0)
        leaves = [weight, bias] if data else [x, weight, bias]
        return derived(leaves, [y.reshape(-1)], [numbers(seed + 3, rows * width, scale=2.0**scale)])

    expected, *others = [*every_way(lambda: found(tanh_of_affine)), *every_way(lambda: found(functions.hidden))]
    assert all(same(expected, other) for other in others)


@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.integers(1, 40),
    st.integers(1, 20),
    st.sampled_from([1e-30, 1.0, 30.0, 1e6]),
    st.sampled_from([(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (2.0**-200, 2.0**90)]),
)
def test_a_softmax_has_the_bits_of_its_parts(
    seed: int, rows: int, entries: int, scale: float, shares: tuple[float, float]
) -> None:
    drawn = torch.from_numpy(np.random.Generator(np.random.Philox(seed)).integers(0, entries, rows))
    weights = [numbers(seed + place, rows, scale=share) for place, share in enumerate(shares, start=1)]

    def in_parts(logits: Tensor) -> tuple[Tensor, Tensor]:
        logs = functions.log_softmax(logits)
        return functions.pick(logs, drawn), functions.entropy(logs)

    def found(both: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Found:
        logits = numbers(seed, rows, entries, scale=scale).requires_grad_()
        # Zeros of either sign are one number in all that follows: every product adds +0.0.
        return [array + 0.0 for array in derived([logits], list(both(logits)), weights)]

    expected, *others = [
        *every_way(lambda: found(in_parts)),
        *every_way(lambda: found(lambda logits: functions.categorical(logits, drawn))),
    ]
    assert all(same(expected, other) for other in others)


def test_only_one_of_the_two_may_be_asked_for() -> None:
    drawn = torch.tensor([1, 0, 2])
    for asked in (0, 1):
        logits = numbers(5, 3, 4).requires_grad_()
        logs = functions.log_softmax(logits)
        expected = functions.pick(logs, drawn) if asked == 0 else functions.entropy(logs)
        one = derived([logits], [functions.categorical(logits, drawn)[asked]], [numbers(6, 3)])
        assert same(one, derived([logits], [expected], [numbers(6, 3)]))
        assert np.abs(one[1]).max() > 1e-3


def test_values_and_gradients_agree_with_plain_torch() -> None:
    drawn = torch.tensor([1, 0, 2, 3, 3])
    x, weight, bias = numbers(1, 5, 3).clamp(-1.0, 1.0), numbers(2, 3, 4).requires_grad_(), numbers(3, 4).requires_grad_()
    ours = functions.categorical(functions.hidden(x, weight, bias, 0) * 3.0, drawn)
    logs = torch.log_softmax(torch.tanh(x @ weight + bias) * 3.0, dim=1)
    theirs = logs[torch.arange(5), drawn], -(logs.exp() * logs).sum(dim=1)
    for found, expected in zip(ours, theirs, strict=True):
        assert torch.allclose(found, expected, rtol=1e-5, atol=2e-6)
    gradients = torch.autograd.grad(functions.mean(ours[0], 1.0) + functions.mean(ours[1], 0.5), [weight, bias])
    plain = torch.autograd.grad(theirs[0].sum() + 2.0 * theirs[1].sum(), [weight, bias])
    for found, expected in zip(gradients, plain, strict=True):
        assert torch.allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_what_a_kernel_doubts_is_settled_on_numpy() -> None:
    logits, zeros = np.array([[0.0, _DOUBTFUL_EXP, -1.0]]), torch.zeros((2, 2), dtype=torch.float64)
    bias = torch.from_numpy(np.array([_DOUBTFUL_TANH, 0.5]))

    def found() -> Found:
        taken, entropy = functions.categorical(torch.from_numpy(logits), torch.tensor([1]))
        return [taken.numpy(), entropy.numpy(), functions.hidden(zeros, zeros, bias, 0).numpy()]

    plain, fast = every_way(found)
    assert same(plain, fast)
    assert fast[2][0, 0] == oracle.tanh(_DOUBTFUL_TANH)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_either_way(wrong: float) -> None:
    for load in (compiled.unload, compiled.load):
        load()
        with pytest.raises(NumericError), np.errstate(all="ignore"):
            functions.categorical(torch.tensor([[0.0, wrong]], dtype=torch.float64), torch.tensor([0]))
        logits = numbers(1, 2, 3).requires_grad_()
        taken, _ = functions.categorical(logits, torch.tensor([0, 1]))
        with pytest.raises(NumericError):
            torch.autograd.grad(functions.mean(taken, 1.0, torch.tensor([1.0, wrong], dtype=torch.float64)), logits)
        with pytest.raises(NumericError):
            functions.hidden(torch.full((1, 2), 1.5, dtype=torch.float64), numbers(2, 2, 2), numbers(3, 2), 0)


def test_what_is_not_among_the_entries_is_refused_either_way() -> None:
    for load in (compiled.unload, compiled.load):
        load()
        assert functions.categorical(numbers(1, 2, 3), torch.tensor([0, 2]))[0].shape == (2,)
        with pytest.raises(IndexError):
            functions.categorical(numbers(1, 2, 3), torch.tensor([0, 3]))


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(-200, 200))
def test_a_weighted_mean_has_the_bits_of_its_parts(seed: int, rows: int, scale: int) -> None:
    def found(compute: Callable[[Tensor, Tensor], Tensor]) -> Found:
        x, weights = numbers(seed, rows, scale=2.0**scale).requires_grad_(), numbers(seed + 1, rows)
        value = compute(x, weights)
        return [value.detach().numpy(), torch.autograd.grad(value * 3.0, x)[0].numpy()]

    in_parts = every_way(lambda: found(lambda x, weights: functions.mean(x * weights, 7.0)))
    whole = every_way(lambda: found(lambda x, weights: functions.mean(x, 7.0, weights)))
    assert all(same(in_parts[0], other) for other in (*in_parts[1:], *whole))
