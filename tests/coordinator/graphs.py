"""The learner's networks as torch graphs of ``exact.functions``: what it takes back by hand is compared with them.

Axis letters: n rows, T lock-steps, E copies, X size of the AIS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.factors import Factors
from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.prescription import Theta
from dadc_net.exact import functions, gaussian, scan
from dadc_net.exact.acting import INPUT_EXPONENT, RELU_MAX
from dadc_net.exact.array import Array

Leaves = dict[str, Tensor]
"""A group's tensors by name."""


def leaves(group: ParameterGroup) -> Leaves:
    """The present parameters, where a graph begins."""
    return {name: torch.from_numpy(array).requires_grad_() for name, array in group.arrays.items()}


def gradient(loss: Tensor, p: Leaves) -> Array:
    """Of all tensors as one vector [P], as ``ParameterGroup.flat``."""
    found = torch.autograd.grad(loss, list(p.values()), retain_graph=True, materialize_grads=True)
    joined: Array = np.concatenate([one.numpy().reshape(-1) for one in found])
    return joined


def linear(p: Leaves, name: str, x: Tensor, exponent: int = INPUT_EXPONENT) -> Tensor:
    """Layer ``name`` at x [n, fan_in]."""
    return functions.affine(x, p[f"{name}.weight"], p[f"{name}.bias"], exponent)


def features(p: Leaves, tower: Tower, x: Tensor) -> Tensor:
    """The hidden layers of ``tower`` at x [n, fan_in]."""
    for name, exponent in zip(tower.hidden, tower.exponents(), strict=False):
        before = linear(p, name, x, exponent)
        x = functions.tanh(before) if tower.activation == "tanh" else before.clamp(0.0, RELU_MAX)
    return x


def outputs(p: Leaves, tower: Tower, x: Tensor) -> Tensor:
    """The whole of ``tower`` at x [n, fan_in]."""
    return linear(p, tower.output, features(p, tower, x), tower.exponents()[-1])


def head(p: Leaves, name: str, known: Tensor) -> Tensor:
    """A head of the state approximator at what is known [n, K]."""
    return outputs(p, Tower((f"{name}.hidden",), f"{name}.output"), known)


class _Scan(Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, keep: Array, start: Array, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.keep, ctx.weight = keep, weight.detach().numpy()
        ctx.trace = scan.forward(gates.detach().numpy(), keep, start, ctx.weight, bias.detach().numpy())
        return torch.from_numpy(ctx.trace.states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gates, weight, bias = scan.backward(ctx.trace, ctx.keep, ctx.weight, gradients[0].numpy())
        return torch.from_numpy(gates), None, None, torch.from_numpy(weight), torch.from_numpy(bias)


def states(p: Leaves, batch: Batch, truncation: int) -> Tensor:
    """x_0 .. x_T of a batch [T+1, E, X]; between stretches of ``truncation`` lock-steps no gradient flows."""
    records, copies, inputs = batch.inputs.shape
    tower = Tower(("encoder.input",), "encoder.gates")
    gates = outputs(p, tower, torch.from_numpy(batch.inputs.reshape(-1, inputs))).reshape(records, copies, -1)
    recurrent = gates, p["encoder.recurrent.weight"], p["encoder.recurrent.bias"]
    length = truncation or records
    firsts = range(0, records, length)
    parts, start = list[Tensor](), batch.start
    for first, *shares in zip(firsts, *(functions.fork(tensor, len(firsts)) for tensor in recurrent), strict=True):
        part = slice(first, first + length)
        parts.append(_Scan.apply(shares[0][part], batch.keep[part], start, *shares[1:]))  # type: ignore[no-untyped-call]
        start = parts[-1].detach().numpy()[-1]
    return torch.cat(parts)


def log_probability(p: Leaves, sizes: Sequence[int], known: Tensor, codes: Array) -> Tensor:
    """Of common observations with ``codes``, column after column, each of so many values or a number (0): [n]."""
    before, total = linear(p, "transition.hidden", known), torch.empty(0)
    parts = np.split(codes, np.cumsum([size or 1 for size in sizes])[:-1], axis=1)
    for place, (size, part) in enumerate(zip(sizes, parts, strict=True), start=1):
        if place > 1:
            seen = torch.from_numpy(np.ascontiguousarray(parts[place - 2]))
            before = before + functions.product(seen, p[f"transition.seen.{place}.weight"], INPUT_EXPONENT)
        name = f"transition.output.{place}"
        given = linear(p, name if f"{name}.weight" in p else "transition.output", functions.tanh(before))
        if size:
            found = functions.pick(functions.log_softmax(given), torch.from_numpy(part.argmax(axis=1)))
        else:
            mean, spread = functions.fork(given, 2)
            log_deviation = functions.tanh(spread[:, 1:]) * 2.0 - 2.0
            found = functions.gaussian_log_density(torch.from_numpy(part.copy()), mean[:, :1], log_deviation)
        total = found if place == 1 else total + found
    return total


def psi(p: Leaves, sizes: tuple[int, ...], given: Tensor, drawn: Theta, credit: Array | None) -> tuple[Tensor, Tensor]:
    """Log-density of ``drawn`` and entropy, [n] both, of outputs ``given`` [n, C].

    ``sizes`` of the factors; of a menu one, of a box none.
    """
    rows, chosen = len(drawn), torch.from_numpy(drawn)
    if not sizes:
        logs = functions.expand_rows(p["log-deviation"], rows)
        entropy = functions.row_sums(logs + (gaussian.HALF_LOG_TWO_PI + 0.5))
        return functions.gaussian_log_density(chosen, given, logs), entropy
    if len(sizes) == 1:
        logs = functions.log_softmax(given)
        return functions.pick(logs, chosen), functions.entropy(logs)
    factors, densities, entropies = Factors(sizes), list[Tensor](), list[Tensor]()
    coupling = p["coupling"] * torch.from_numpy(factors.earlier)
    logits = given + functions.product(torch.from_numpy(factors.codes(drawn)), coupling, INPUT_EXPONENT)
    for alike in factors.alike:
        logs = functions.log_softmax(logits[:, torch.from_numpy(alike.columns)].reshape(-1, alike.size))
        taken = functions.pick(logs, chosen[:, torch.from_numpy(alike.factors)].reshape(-1)).reshape(rows, -1)
        densities.append(taken if credit is None else taken * torch.from_numpy(credit[:, alike.factors]))
        entropies.append(functions.entropy(logs).reshape(rows, -1))
    return functions.row_sums(torch.cat(densities, dim=1)), functions.row_sums(torch.cat(entropies, dim=1))
