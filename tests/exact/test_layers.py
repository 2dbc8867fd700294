"""Layers, losses and densities by hand: the bits of a graph of ``functions``, on NumPy and with kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from dadc_net.errors import NumericError
from dadc_net.exact import categorical, compiled, functions, gaussian, grid, layers
from dadc_net.exact.array import Array
from tests.exact import oracle

Found = list[Array]
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "every second column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
}
"""How an array may lie in memory."""
SEEDS = st.integers(0, 2**31)
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


def agree(by_graph: Callable[[], Found], by_hand: Callable[[], Found]) -> bool:
    """Whether graph and hand give the same bits on NumPy and with kernels."""
    expected, *others = [*every_way(by_graph), *every_way(by_hand)]
    return all(same(expected, other) for other in others)


def numbers(seed: int, *shape: int, scale: float = 1.0) -> Array:
    drawn: Array = np.random.Generator(np.random.Philox(seed)).normal(size=shape) * scale
    return drawn


def leaf(x: Array) -> Tensor:
    return torch.tensor(x, requires_grad=True)


def derived(leaves: list[Tensor], outputs: list[Tensor], weights: list[Array]) -> Found:
    """Outputs, and the gradients of their sum times ``weights``, each of an output's shape."""
    parts = [(output * torch.from_numpy(weight)).reshape(-1) for output, weight in zip(outputs, weights, strict=True)]
    total = functions.mean(parts[0], 1.0)
    for part in parts[1:]:
        total = total + functions.mean(part, 1.0)
    return [tensor.detach().numpy() for tensor in (*outputs, *torch.autograd.grad(total, leaves))]


class Layer(NamedTuple):
    """A layer to compare."""

    rows: int
    inputs: int
    width: int
    is_hidden: bool
    exponent: int = 0
    scale: int = 0
    wanted: bool = True
    layout: str = "rows"


def layer_agrees(seed: int, one: Layer) -> bool:
    lay, size = LAYOUTS[one.layout], 2.0**one.scale
    x = lay(np.clip(numbers(seed, one.rows, one.inputs), -1.0, 1.0) * 2.0**one.exponent)
    weight, bias = numbers(seed + 1, one.inputs, one.width, scale=size), numbers(seed + 2, one.width)
    gradient = lay(numbers(seed + 3, one.rows, one.width, scale=size))

    def by_graph() -> Found:
        given_ = leaf(x), leaf(weight), leaf(bias)
        y = functions.affine(*given_, one.exponent)
        y = functions.tanh(y) if one.is_hidden else y
        return derived([*given_] if one.wanted else [*given_[1:]], [y], [gradient])

    def by_hand() -> Found:
        if one.is_hidden:
            y = layers.hidden(x, weight, bias, one.exponent)
            slopes = layers.hidden_gradient(x, weight, y, gradient, one.exponent, one.wanted)
        else:
            y = layers.affine(x, weight, bias, one.exponent)
            slopes = layers.affine_gradient(x, weight, gradient, one.exponent, one.wanted)
        return [y, *(slopes if one.wanted else slopes[1:])]

    return agree(by_graph, by_hand)


def distance_agrees(seed: int, rows: int, scale: int) -> bool:
    difference, weights = numbers(seed, rows, scale=2.0 ** min(scale, 2)), numbers(seed + 1, rows, scale=2.0**scale)
    difference[0], difference[-1] = -0.0, -1.0

    def by_graph() -> Found:
        given_ = leaf(difference)
        value = functions.mean(functions.smooth_l1(given_), 7.0, torch.from_numpy(weights))
        return [value.detach().numpy(), torch.autograd.grad(value * 3.0, given_)[0].numpy()]

    def by_hand() -> Found:
        value = layers.mean(layers.smooth_l1(difference), weights, 7.0)
        return [np.array(value), layers.smooth_l1_gradient(layers.mean_gradient(3.0, weights, 7.0), difference)]

    return agree(by_graph, by_hand)


def gaussian_agrees(seed: int, rows: int, columns: int, middle: float, is_one_row: bool, layout: str) -> bool:
    x, mean = (LAYOUTS[layout](numbers(seed + place, rows, columns)) for place in (0, 1))
    logs = np.clip(middle + numbers(seed + 2, rows, columns), -8.0, 8.0)
    logs, gradient = logs[0] if is_one_row else LAYOUTS[layout](logs), numbers(seed + 3, rows)

    def by_graph() -> Found:
        given_ = leaf(mean), leaf(np.broadcast_to(logs, x.shape).copy())
        return derived([*given_], [functions.gaussian_log_density(torch.from_numpy(x), *given_)], [gradient])

    def by_hand() -> Found:
        found = gaussian.forward(x, mean, logs)
        return [found.rows, *gaussian.backward(found, gradient)]

    return agree(by_graph, by_hand)


Weights = tuple[Array | None, Array | None]
"""Of what was drawn and of the entropy; None: nobody asks for it."""


def softmax_by_graph(logits: Array, drawn: NDArray[np.int64], weights: Weights) -> Found:
    given_ = leaf(logits)
    logs = functions.log_softmax(given_)
    both = functions.pick(logs, torch.from_numpy(drawn)), functions.entropy(logs)
    asked = [(output, weight) for output, weight in zip(both, weights, strict=True) if weight is not None]
    gradient = derived([given_], [output for output, _ in asked], [weight for _, weight in asked])[-1]
    # Zeros of either sign are one number in all that follows: every product adds +0.0.
    return [array + 0.0 for array in (*(output.detach().numpy() for output in both), gradient)]


def softmax_by_hand(logits: Array, drawn: NDArray[np.int64], weights: Weights) -> Found:
    found = categorical.forward(logits, drawn)
    given_ = (np.zeros(len(drawn)) if weight is None else weight for weight in weights)
    return [array + 0.0 for array in (found.taken, found.entropy, categorical.backward(found, drawn, *given_))]


def softmax_agrees(
    seed: int, rows: int, entries: int, scale: float, shares: tuple[float | None, float | None], layout: str
) -> bool:
    logits = LAYOUTS[layout](numbers(seed, rows, entries, scale=scale))
    drawn = np.random.Generator(np.random.Philox(seed)).integers(0, entries, rows)
    first, second = (
        None if share is None else numbers(seed + place, rows, scale=share) for place, share in enumerate(shares, start=1)
    )
    return agree(
        lambda: softmax_by_graph(logits, drawn, (first, second)), lambda: softmax_by_hand(logits, drawn, (first, second))
    )


@settings(max_examples=150)
@given(
    SEEDS,
    st.builds(
        Layer,
        rows=st.integers(1, 40),
        inputs=st.integers(1, 6),
        width=st.integers(1, 40),
        is_hidden=st.booleans(),
        exponent=st.sampled_from([0, 3]),
        scale=st.integers(-40, 6),
        wanted=st.booleans(),
        layout=st.sampled_from(list(LAYOUTS)),
    ),
)
def test_a_layer_has_the_bits_of_a_graph(seed: int, one: Layer) -> None:
    assert layer_agrees(seed, one)


@settings(max_examples=80)
@given(SEEDS, st.integers(1, 60), st.integers(-200, 200))
def test_a_mean_distance_has_the_bits_of_a_graph(seed: int, rows: int, scale: int) -> None:
    assert distance_agrees(seed, rows, scale)


@settings(max_examples=80)
@given(SEEDS, st.integers(1, 30), st.integers(1, 6), st.floats(-8.0, 8.0), st.booleans(), st.sampled_from(list(LAYOUTS)))
def test_a_gaussian_has_the_bits_of_a_graph(
    seed: int, rows: int, columns: int, middle: float, is_one_row: bool, layout: str
) -> None:
    assert gaussian_agrees(seed, rows, columns, middle, is_one_row, layout)


@settings(max_examples=120)
@given(
    SEEDS,
    st.integers(1, 40),
    st.integers(1, 20),
    st.sampled_from([1e-30, 1.0, 30.0, 1e6]),
    st.sampled_from([(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (2.0**-200, 2.0**90), (1.0, None), (None, 1.0)]),
    st.sampled_from(list(LAYOUTS)),
)
def test_a_softmax_has_the_bits_of_a_graph(
    seed: int, rows: int, entries: int, scale: float, shares: tuple[float | None, float | None], layout: str
) -> None:
    assert softmax_agrees(seed, rows, entries, scale, shares, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_softmax_has_its_bits_however_logits_lie_in_memory(layout: str) -> None:
    """A kernel looks for the largest gradient through a flat view, which an array of columns does not have."""
    logits, drawn, weights = numbers(1, 6, 5, scale=3.0), np.array([4, 0, 2, 2, 1, 3]), (numbers(2, 6), numbers(3, 6))
    laid = LAYOUTS[layout](logits)
    assert laid.flags.c_contiguous == (layout == "rows")
    expected = every_way(lambda: softmax_by_hand(logits, drawn, weights))
    found = every_way(lambda: softmax_by_hand(laid, drawn, weights))
    assert all(same(one, expected[0]) for one in (*expected, *found))


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 60), st.integers(-200, 200))
def test_a_weighted_mean_has_the_bits_of_its_parts(seed: int, rows: int, scale: int) -> None:
    x, weights = numbers(seed, rows, scale=2.0**scale), numbers(seed + 1, rows)

    def found(compute: Callable[[Tensor, Tensor], Tensor]) -> Found:
        given_ = leaf(x)
        value = compute(given_, torch.from_numpy(weights))
        return [value.detach().numpy(), torch.autograd.grad(value * 3.0, given_)[0].numpy()]

    in_parts = every_way(lambda: found(lambda x, weights: functions.mean(x * weights, 7.0)))
    whole = every_way(lambda: found(lambda x, weights: functions.mean(x, 7.0, weights)))
    by_hand = every_way(lambda: [np.array(layers.mean(x, weights, 7.0)), layers.mean_gradient(3.0, weights, 7.0)])
    assert all(same(in_parts[0], other) for other in (*in_parts[1:], *whole, *by_hand))


class Control(NamedTuple):
    """A function by hand, the same formula in another order, and what has to notice it."""

    module: ModuleType
    function: str
    other: Callable[..., Any]
    agrees: Callable[[], bool]


def _other_density(found: gaussian.Density, gradient: Array) -> tuple[Array, Array]:
    z = found.standardised
    return gradient[:, None] * (z / found.deviation), gradient[:, None] * (z * z - 1.0)


def _other_affine(x: Array, weight: Array, gradient: Array, _exponent: int, _wanted: bool) -> layers.LayerGradient:
    return layers.LayerGradient(grid.product(gradient, weight.T), grid.product(x.T, gradient), gradient.sum(axis=0))


CONTROLS = {
    "a linear layer": Control(layers, "affine_gradient", _other_affine, lambda: layer_agrees(3, Layer(9, 4, 3, False))),
    "a tanh layer": Control(
        grid,
        "hidden_gradient_parts",
        lambda gradient, y, as_left: grid.gradient_parts(gradient - gradient * y * y, as_left),
        lambda: layer_agrees(3, Layer(9, 4, 200, True)),  # Rounding onto a grid hides most of it.
    ),
    "a mean": Control(
        layers, "mean_gradient", lambda slope, weights, count: slope * weights / count, lambda: distance_agrees(3, 20, 0)
    ),
    "a Gaussian": Control(gaussian, "backward", _other_density, lambda: gaussian_agrees(3, 9, 2, -1.0, False, "rows")),
    "an entropy": Control(
        categorical,
        "entropy_gradient",
        lambda found, gradient: -gradient[:, None] * (found.chances * (found.logs + 1.0)),
        lambda: softmax_agrees(3, 9, 5, 1.0, (1.0, 1.0), "rows"),
    ),
}


@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
def test_another_order_of_the_same_formula_would_be_noticed(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    assert control.agrees()
    monkeypatch.setattr(control.module, control.function, control.other)
    assert not control.agrees()


@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
def test_one_wrong_bit_would_be_noticed(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(control.module, control.function)

    def wrong(*arguments: object) -> object:
        result = original(*arguments)
        last = (result if isinstance(result, np.ndarray) else result[-1]).reshape(-1)
        last.view(np.uint64)[np.argmax(np.abs(last))] ^= 1
        return result

    monkeypatch.setattr(control.module, control.function, wrong)
    assert not control.agrees()


def test_values_and_gradients_agree_with_plain_torch() -> None:
    drawn, x, weight, bias = np.array([1, 0, 2, 3, 3]), np.clip(numbers(1, 5, 3), -1.0, 1.0), numbers(2, 3, 4), numbers(3, 4)
    y = layers.hidden(x, weight, bias, 0)
    found = categorical.forward(3.0 * y, drawn)
    gradient = 3.0 * categorical.backward(found, drawn, np.ones(5), 2.0 * np.ones(5))
    slopes = layers.hidden_gradient(x, weight, y, gradient, 0, wanted=True)
    leaves = [leaf(x), leaf(weight), leaf(bias)]
    logs = torch.log_softmax(torch.tanh(leaves[0] @ leaves[1] + leaves[2]) * 3.0, dim=1)
    theirs = logs[torch.arange(5), torch.from_numpy(drawn)], -(logs.exp() * logs).sum(dim=1)
    gradients = torch.autograd.grad(theirs[0].sum() + 2.0 * theirs[1].sum(), leaves)
    for mine, other in zip((found.taken, found.entropy, *slopes), (*theirs, *gradients), strict=True):
        assert np.allclose(mine, other.detach().numpy(), rtol=1e-5, atol=2e-6)


def test_what_a_kernel_doubts_is_settled_on_numpy() -> None:
    logits, zeros = np.array([[0.0, _DOUBTFUL_EXP, -1.0]]), np.zeros((2, 2))

    def found() -> Found:
        softmax = categorical.forward(logits, np.array([1]))
        return [softmax.taken, softmax.entropy, layers.hidden(zeros, zeros, np.array([_DOUBTFUL_TANH, 0.5]), 0)]

    plain, fast = every_way(found)
    assert same(plain, fast)
    assert fast[2][0, 0] == oracle.tanh(_DOUBTFUL_TANH)


WAYS = pytest.mark.parametrize("way", [compiled.unload, compiled.load], ids=["numpy", "compiled"])


@WAYS
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_either_way(wrong: float, way: Callable[[], object]) -> None:
    way()
    drawn, x, weight, bad = np.array([0, 1]), np.full((2, 2), 0.5), numbers(2, 2, 3), np.array([1.0, wrong])
    found, gradient = categorical.forward(numbers(1, 2, 3), drawn), np.tile(bad[:, None], 3)
    refused: list[Callable[[], object]] = [
        lambda: categorical.forward(np.array([[0.0, wrong]]), np.array([0])),
        lambda: categorical.backward(found, drawn, bad, np.zeros(2)),
        lambda: categorical.backward(found, drawn, np.zeros(2), bad),
        lambda: layers.affine_gradient(x, weight, gradient, 0, wanted=False),
        lambda: layers.hidden_gradient(x, weight, np.zeros((2, 3)), gradient, 0, wanted=True),
        lambda: layers.mean(bad, np.ones(2), 2.0),
    ]
    for compute in refused:
        with pytest.raises(NumericError), np.errstate(all="ignore"):
            compute()


@WAYS
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_exceeds_its_scale_or_its_domain_is_refused_either_way(layout: str, way: Callable[[], object]) -> None:
    way()
    weight, bias = numbers(2, 2, 2), numbers(3, 2)
    for layer in (layers.affine, layers.hidden):
        assert layer(LAYOUTS[layout](np.full((2, 2), -2.0)), weight, bias, 1).shape == (2, 2)
        for wrong in (1.5, -1.5, math.nan):
            with pytest.raises(NumericError):
                layer(LAYOUTS[layout](np.array([[0.0, 0.5], [wrong, 0.0]])), weight, bias, 0)
    for log_deviation in (8.5, -8.5, math.nan):
        with pytest.raises(NumericError, match="a log-deviation is outside"):
            gaussian.forward(np.zeros((1, 2)), np.zeros((1, 2)), np.array([0.0, log_deviation]))


@WAYS
def test_what_is_not_among_the_entries_is_refused_either_way(way: Callable[[], object]) -> None:
    way()
    assert categorical.forward(numbers(1, 2, 3), np.array([0, 2])).taken.shape == (2,)
    with pytest.raises(IndexError):
        categorical.forward(numbers(1, 2, 3), np.array([0, 3]))
