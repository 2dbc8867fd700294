"""Derivatives of a policy network: against finite differences, plain torch, and in bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import Node

from dadc_net.exact import elementary, functions
from dadc_net.exact.array import Array
from tests.exact import oracle

X, HIDDEN, ENTRIES, ROWS = 4, 6, 3, 30
SHAPES = ((X, HIDDEN), (HIDDEN,), (HIDDEN, ENTRIES), (ENTRIES,))


def parameters(seed: int = 0) -> list[Tensor]:
    generator = np.random.Generator(np.random.Philox(seed))
    return [torch.from_numpy(generator.normal(size=shape)).requires_grad_() for shape in SHAPES]


def data() -> tuple[Tensor, Tensor]:
    generator = np.random.Generator(np.random.Philox(99))
    return torch.from_numpy(generator.uniform(-1, 1, (ROWS, X))), torch.from_numpy(generator.integers(0, ENTRIES, ROWS))


def exact_loss(weights: list[Tensor]) -> Tensor:
    x, index = data()
    trunk = functions.tanh(functions.affine(x, weights[0], weights[1], 0))
    logs = functions.fork(functions.log_softmax(functions.affine(trunk, weights[2], weights[3], 0)), 2)
    return functions.mean(functions.pick(logs[0], index)) + functions.mean(functions.entropy(logs[1])) * 0.3


def plain_loss(weights: list[Tensor]) -> Tensor:
    x, index = data()
    logs = torch.log_softmax(torch.tanh(x @ weights[0] + weights[1]) @ weights[2] + weights[3], 1)
    return logs[torch.arange(ROWS), index].mean() - (logs.exp() * logs).sum(1).mean() * 0.3


def product_with_hessian(loss: Callable[[list[Tensor]], Tensor], vectors: list[Tensor]) -> list[Tensor]:
    weights = parameters()
    first = torch.autograd.grad(loss(weights), weights, create_graph=True)
    dots = [functions.mean((g * v).reshape(-1), 1.0) for g, v in zip(first, vectors, strict=True)]
    return list(torch.autograd.grad(dots[0] + dots[1] + (dots[2] + dots[3]), weights))


def relative_error(found: list[Tensor], expected: list[Tensor]) -> float:
    a, b = (torch.cat([t.detach().reshape(-1) for t in tensors]) for tensors in (found, expected))
    return float((a - b).abs().max() / b.abs().max())


def test_gradients_agree_with_finite_differences() -> None:
    """Central differences of plain torch in float64, so that neither the function's grid nor its graph helps."""
    weights = parameters()
    found = torch.autograd.grad(exact_loss(weights), weights)
    step = 1e-5
    for weight, gradient in zip(weights, found, strict=True):
        flat, slopes = weight.detach().reshape(-1), gradient.reshape(-1)
        for i in range(flat.numel()):
            kept = flat[i].item()
            flat[i] = kept + step
            above = plain_loss(weights).item()
            flat[i] = kept - step
            below = plain_loss(weights).item()
            flat[i] = kept
            assert abs((above - below) / (2 * step) - slopes[i].item()) < 1e-6


def test_hessian_times_vector_agrees_with_plain_torch() -> None:
    vectors = [w.detach() for w in parameters(1)]
    assert relative_error(product_with_hessian(exact_loss, vectors), product_with_hessian(plain_loss, vectors)) < 1e-6


def test_hessian_times_vector_is_repeatable_in_bits() -> None:
    vectors = [w.detach() for w in parameters(1)]
    first, second = (product_with_hessian(exact_loss, vectors) for _ in range(2))
    assert all(oracle.same_bits(a, b) for a, b in zip(first, second, strict=True))


def exact_logits(weights: list[Tensor]) -> Tensor:
    x, _ = data()
    return functions.affine(functions.tanh(functions.affine(x, weights[0], weights[1], 0)), weights[2], weights[3], 0)


def plain_logits(weights: list[Tensor]) -> Tensor:
    return torch.tanh(data()[0] @ weights[0] + weights[1]) @ weights[2] + weights[3]


def jacobian_times(function: Callable[[list[Tensor]], Tensor], vectors: list[Tensor]) -> Tensor:
    """Twice backwards gives forwards: what a Fisher-vector product is made of."""
    weights = parameters()
    values = function(weights)
    dummy = torch.ones_like(values).requires_grad_()
    pulled = torch.autograd.grad(functions.mean((values * dummy).reshape(-1), 1.0), weights, create_graph=True)
    dots = [functions.mean((p * v).reshape(-1), 1.0) for p, v in zip(pulled, vectors, strict=True)]
    return torch.autograd.grad(dots[0] + dots[1] + (dots[2] + dots[3]), dummy)[0]


def test_jacobian_times_vector_agrees_with_plain_torch() -> None:
    vectors = [w.detach() for w in parameters(1)]
    assert relative_error([jacobian_times(exact_logits, vectors)], [jacobian_times(plain_logits, vectors)]) < 1e-6


def leads_to(node: Node, leaf: Tensor | None, known: dict[Node, bool]) -> bool:
    """Whether the engine runs ``node`` when asked for the gradient of ``leaf`` (of anything if None)."""
    if node not in known:
        ends = getattr(node, "variable", None)
        below = [leads_to(n, leaf, known) for n, _ in node.next_functions if n is not None]
        known[node] = any(below) or (ends is not None and (leaf is None or ends is leaf))
    return known[node]


def meeting(root: Tensor, leaf: Tensor | None = None) -> int:
    """The largest number of gradients that the engine adds at one place on the way from ``root`` to ``leaf``."""
    assert root.grad_fn is not None
    counts: dict[tuple[Node, int], int] = {}
    seen, waiting = {root.grad_fn}, [root.grad_fn]
    known: dict[Node, bool] = {}
    while waiting:
        for node, output in waiting.pop().next_functions:
            if node is None or not leads_to(node, leaf, known):
                continue
            counts[node, output] = counts.get((node, output), 0) + 1
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return max(counts.values())


def test_at_most_two_gradients_meet() -> None:
    assert meeting(exact_loss(parameters())) <= 2
    x = torch.ones(2, 3, dtype=torch.float64).requires_grad_()
    y = functions.tanh(x)
    assert meeting(functions.mean(functions.row_sums(y * y + y))) == 3  # the control


def test_at_most_two_gradients_meet_in_a_jacobian_times_vector() -> None:
    """With respect to the vector only: the rest of the graph is not run."""
    x, _ = data()
    weights = parameters()
    trunk = functions.tanh(functions.affine(x, weights[0], weights[1], 0))
    logs = functions.log_softmax(functions.affine(trunk, weights[2], weights[3], 0))
    dummy = torch.ones_like(logs).requires_grad_()
    pulled = torch.autograd.grad(functions.mean((logs * dummy).reshape(-1), 1.0), weights, create_graph=True)
    dots = [functions.mean(p.reshape(-1), 1.0) for p in pulled]
    assert meeting(dots[0] + dots[1] + (dots[2] + dots[3]), dummy) <= 2


def test_contributions_in_another_order_would_show() -> None:
    """The control of ``fork``: three contributions to one tensor do not add up to the same bits in every order."""
    x = torch.tensor([0.1], dtype=torch.float64).requires_grad_()
    factors = (1e16, 3.0, -1e16)
    sums = set()
    for order in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        parts = functions.fork(x, 3)
        total = parts[0] * factors[order[0]] + parts[1] * factors[order[1]] + parts[2] * factors[order[2]]
        sums.add(torch.autograd.grad(functions.mean(total), x)[0].item())
    assert len(sums) == 2


def test_a_part_of_a_fork_may_stay_unused() -> None:
    x = torch.ones(2, dtype=torch.float64).requires_grad_()
    parts = functions.fork(x, 3)
    (gradient,) = torch.autograd.grad(functions.mean(parts[1] * 4.0), x)
    assert gradient.tolist() == [2.0, 2.0]


def test_divide_and_its_derivatives() -> None:
    a, b = (torch.tensor(v, dtype=torch.float64).requires_grad_() for v in ([1.0, -3.0, 0.3], [7.0, 0.1, -2.0]))
    quotient = functions.divide(a, b)
    first = torch.autograd.grad(functions.mean(quotient, 1.0), [a, b], create_graph=True)
    assert oracle.same_bits(first[0].detach(), [1.0 / v for v in b.tolist()])
    assert oracle.same_bits(
        first[1].detach(), [-((1.0 / v) * (u / v)) for u, v in zip(a.tolist(), b.tolist(), strict=True)]
    )
    (second,) = torch.autograd.grad(functions.mean(first[1], 1.0), b)
    assert torch.allclose(second, 2 * a.detach() / b.detach() ** 3)


@pytest.mark.parametrize("bad", [8.5, -8.5, float("nan")])
def test_a_log_deviation_outside_its_domain_is_refused(bad: float) -> None:
    from dadc_net.errors import NumericError

    x = torch.zeros(2, 1, dtype=torch.float64)
    with pytest.raises(NumericError, match="log-deviation"):
        functions.gaussian_log_density(x, x, torch.tensor([[0.0], [bad]], dtype=torch.float64))


def test_the_slow_path_forced_gives_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients() -> list[Array]:
        weights = parameters()
        return [g.numpy() for g in torch.autograd.grad(exact_loss(weights), weights)]

    plain = gradients()
    monkeypatch.setattr(elementary, "TOLERANCE", 1.0)
    assert all(oracle.same_bits(a, b) for a, b in zip(gradients(), plain, strict=True))
