"""The torch functions: right gradients, right second derivatives, and sums in a stated order."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from dadc_net.exact import canonical, functions, grid, scan
from dadc_net.exact.digest import KeyedDigest, chain, derive_key, digest, keyed


def leaf(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = np.random.Generator(np.random.Philox(seed))
    return torch.from_numpy(generator.uniform(-scale, scale, shape)).requires_grad_()


CASES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]] = {
    "product": (functions.product, torch.matmul, [leaf(4, 3), leaf(3, 2, seed=1)]),
    "affine": (
        lambda x, w, b: functions.affine(x, w, b, 0),
        lambda x, w, b: x @ w + b,
        [leaf(4, 3), leaf(3, 2, seed=1), leaf(2, seed=2)],
    ),
    "column_sums": (functions.column_sums, lambda x: x.sum(0), [leaf(5, 3)]),
    "row_sums": (functions.row_sums, lambda x: x.sum(1), [leaf(5, 3)]),
    "expand_rows": (lambda x: functions.expand_rows(x, 4), lambda x: x.expand(4, 3), [leaf(3)]),
    "expand_columns": (lambda x: functions.expand_columns(x, 4), lambda x: x[:, None].expand(3, 4), [leaf(3)]),
    "mean": (functions.mean, torch.mean, [leaf(6)]),
    "tanh": (functions.tanh, torch.tanh, [leaf(4, 3, scale=2.0)]),
    "exp": (functions.exp, torch.exp, [leaf(4, 3, scale=3.0)]),
    "log": (lambda x: functions.log(x * x + 0.1), lambda x: torch.log(x * x + 0.1), [leaf(4, 3)]),
    "log_softmax": (functions.log_softmax, lambda x: torch.log_softmax(x, 1), [leaf(4, 3, scale=3.0)]),
    "pick": (
        lambda x: functions.pick(x, torch.tensor([2, 0, 1])),
        lambda x: x[torch.arange(3), torch.tensor([2, 0, 1])],
        [leaf(3, 3)],
    ),
    "smooth_l1": (
        functions.smooth_l1,
        lambda x: torch.nn.functional.smooth_l1_loss(x, torch.zeros_like(x), reduction="none"),
        [leaf(6, scale=2.5)],
    ),
    "entropy": (
        lambda x: functions.entropy(functions.log_softmax(x)),
        lambda x: -(torch.log_softmax(x, 1).exp() * torch.log_softmax(x, 1)).sum(1),
        [leaf(4, 3, scale=2.0)],
    ),
    "gaussian": (
        functions.gaussian_log_density,
        lambda x, m, s: (-0.5 * ((x - m) / s.exp()) ** 2 - s - 0.5 * math.log(2.0 * math.pi)).sum(1),
        [leaf(4, 3), leaf(4, 3, seed=1), leaf(4, 3, seed=2)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_gradients_and_second_derivatives_agree_with_plain_torch(name: str) -> None:
    ours, plain, leaves = CASES[name]

    def derivatives(function: Callable[..., Tensor]) -> list[Tensor]:
        value = function(*leaves)
        weights = torch.cos(torch.arange(value.numel(), dtype=torch.float64)).reshape(value.shape)
        first = torch.autograd.grad((value * weights * value).sum(), leaves, create_graph=True)
        second = torch.autograd.grad(torch.stack([(g * g).sum() for g in first]).sum(), leaves, allow_unused=True)
        return [value, *first, *(torch.zeros(1) if s is None else s for s in second)]

    for found, expected in zip(derivatives(ours), derivatives(plain), strict=True):
        assert torch.allclose(found, expected.to(found.dtype), rtol=1e-5, atol=2e-6), name


def test_scan_gradients_agree_with_torch_gru() -> None:
    steps, copies, size = 6, 3, 4
    leaves = gates, weight, bias = leaf(steps, copies, 12, scale=2.0), leaf(size, 12, seed=1), leaf(12, seed=2)
    start = grid.round_to_grid(np.linspace(-0.9, 0.9, 12).reshape(3, 4), scan.STATE_GRID)
    keep = np.ones((steps, copies, 1))
    keep[3, 1] = 0.0

    def plain() -> Tensor:
        states, h = [], torch.from_numpy(start)
        for t in range(steps):
            h = h * torch.from_numpy(keep[t])
            s = h @ weight + bias
            r, u = (torch.sigmoid(gates[t, :, i : i + 4] + s[:, i : i + 4]) for i in (0, 4))
            n = torch.tanh(gates[t, :, 8:] + r * s[:, 8:])
            h = n + u * (h - n)
            states.append(h)
        return torch.stack(states)

    given, matrix, vector = (tensor.detach().numpy() for tensor in leaves)
    ours, expected = scan.forward(given, keep, start, matrix, vector), plain()
    assert np.allclose(ours.states, expected.detach().numpy(), atol=1e-6)
    factor = np.sin(np.arange(ours.states.size)).reshape(ours.states.shape)
    found = scan.backward(ours, keep, matrix, factor)
    for a, b in zip(found, torch.autograd.grad((expected * torch.from_numpy(factor)).sum(), leaves), strict=True):
        assert np.allclose(a, b.numpy(), rtol=1e-4, atol=1e-5)


def test_rows_alone_and_in_a_batch_give_the_same_bits() -> None:
    x, w, b = leaf(40, 5), leaf(5, 3, seed=1), leaf(3, seed=2)
    whole = functions.log_softmax(functions.affine(functions.tanh(x), w, b, 0)).detach().numpy()
    for i in range(40):
        row = functions.log_softmax(functions.affine(functions.tanh(x[i : i + 1]), w, b, 0)).detach().numpy()
        assert row.tobytes() == whole[i : i + 1].tobytes()


def test_fork_adds_in_index_order() -> None:
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    parts = functions.fork(x, 3)
    loss = parts[0] * 1e16 + parts[1] * 1.0 + parts[2] * -1e16
    (gradient,) = torch.autograd.grad(loss.sum(), [x])
    assert gradient.item() == (1e16 + 1.0) + -1e16


def test_mean_takes_vectors_only() -> None:
    with pytest.raises(ValueError, match="vector"):
        functions.mean(leaf(2, 2))


def test_canonical_bytes_tell_values_apart() -> None:
    values: list[object] = [
        None,
        True,
        False,
        0,
        1,
        -1,
        0.0,
        -0.0,
        1.0,
        "",
        "a",
        b"",
        b"a",
        [],
        [1],
        [[1]],
        {},
        {"a": 1},
        {"a": 2},
        np.zeros(2),
        np.zeros((2, 1)),
        np.zeros(2, dtype=np.int64),
        np.array([True, False]),
    ]
    encoded = [canonical.encode(value) for value in values]
    assert len(set(encoded)) == len(values)
    assert canonical.encode({"a": 1, "b": 2}) == canonical.encode({"b": 2, "a": 1})
    assert canonical.encode((1, 2)) == canonical.encode([1, 2])
    for bad, error in (
        (float("nan"), ValueError),
        (np.array([np.nan]), ValueError),
        ({1: 2}, TypeError),
        (1j, TypeError),
    ):
        with pytest.raises(error):
            canonical.encode(bad)


def test_digests_frame_their_parts() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
    assert chain(bytes(32), b"x") != chain(digest(b""), b"x")
    assert keyed(derive_key("a", b"s"), b"x") != keyed(derive_key("b", b"s"), b"x")
    assert len(digest()) == len(derive_key("a", b"")) == 32


@pytest.mark.parametrize("size", [0, 1, 32, 64, 65])
def test_a_keyed_digest_is_the_hmac_of_its_framed_parts_again_and_again(size: int) -> None:
    key, of_key = bytes(range(size)), KeyedDigest(bytes(range(size)))
    for parts in ((), (b"",), (b"a", bytes(100)), (b"a", b"", bytes(32))):
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        assert of_key(*parts) == keyed(key, *parts) == hmac.digest(key, framed, "sha256")
