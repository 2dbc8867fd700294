"""The recurrent scan: a GRU over a batch of sequences, forward, backward through time, and one step for acting.

One step (X units, gates in the order reset, update, candidate; * is elementwise):

    h = keep * x_{t-1}                      keep is 0 where a copy begins, else 1
    s = h W + b                             [E, 3X]
    r = sigmoid(g_r + s_r)
    u = sigmoid(g_u + s_u)
    n = tanh(g_n + r * s_n)
    x_t = round(n + u * (h - n), 2^-24)     the AIS lives on this grid, |x| <= 1

where g [E, 3X] are the input's gate pre-activations, computed for the whole batch beforehand. It is the GRU of
Cho et al. (2014) in the variant that applies the reset gate after the product, as in the torch layer of that name.

The scan runs on NumPy under one autograd node and is differentiable once. Acting calls ``step`` with the same
arithmetic; its bits are those of the scan because every scale that enters the forward pass is fixed or belongs to the
weights. The backward pass takes the scale of each lock-step's gate gradient from that [E, 3X] tensor, whose layout the
protocol fixes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dadc_net.exact import grid
from dadc_net.exact.elementary import TANH_GRID, certain, sigmoid, tanh
from dadc_net.exact.grid import Array, Operand

STATE_GRID = 2.0**-24
_STATE_ROUNDING = grid.rounding_constant(STATE_GRID)
_TANH_ROUNDING = grid.rounding_constant(TANH_GRID)


def step(gates: Array, previous: Array, weight: Operand, bias: Array) -> Array:
    """One lock-step with every transcendental value tested: gates [E, 3X], previous [E, X] (already kept) -> [E, X]."""
    size = previous.shape[1]
    recurrent = grid.product(previous, weight, 0)
    recurrent += bias
    both = sigmoid(gates[:, : 2 * size] + recurrent[:, : 2 * size])
    candidate = tanh(gates[:, 2 * size :] + both[:, :size] * recurrent[:, 2 * size :])
    return grid.round_to_grid(candidate + both[:, size:] * (previous - candidate), STATE_GRID)


@dataclass(frozen=True)
class Trace:
    """What the backward pass needs of a forward scan; all [T, E, X] but ``both`` [T, E, 2X]."""

    states: Array
    kept: Array
    both: Array
    candidate: Array
    recurrent_candidate: Array


def _fast_step(
    gates: Array, kept: Array, weight: Operand, bias: Array, raw: tuple[Array, Array], out: tuple[Array, ...]
) -> None:
    """One lock-step into preallocated buffers, without the rounding tests, which the caller makes for all at once."""
    raw_both, raw_candidate = raw
    both, candidate, recurrent_candidate, state = out
    size = kept.shape[1]
    recurrent = grid.product(kept, weight, 0)
    recurrent += bias
    recurrent_candidate[:] = recurrent[:, 2 * size :]
    np.add(gates[:, : 2 * size], recurrent[:, : 2 * size], out=both)
    both *= 0.5
    np.tanh(both, out=raw_both)
    np.add(raw_both, _TANH_ROUNDING, out=both)
    both -= _TANH_ROUNDING
    both *= 0.5
    both += 0.5
    np.multiply(both[:, :size], recurrent_candidate, out=candidate)
    candidate += gates[:, 2 * size :]
    np.tanh(candidate, out=raw_candidate)
    np.add(raw_candidate, _TANH_ROUNDING, out=candidate)
    candidate -= _TANH_ROUNDING
    np.subtract(kept, candidate, out=state)
    state *= both[:, size:]
    state += candidate
    state += _STATE_ROUNDING
    state -= _STATE_ROUNDING


def forward(gates: Array, keep: Array, start: Array, weight: Array, bias: Array) -> Trace:
    """Run the scan.

    Args:
        gates: [T, E, 3X] input pre-activations.
        keep: [T, E, 1], 0.0 where a copy begins at that lock-step, else 1.0.
        start: [E, X] state before the first lock-step, on the grid 2^-24.
        weight: [X, 3X]; bias: [3X].
    """
    steps, copies, triple = gates.shape
    size = triple // 3
    prepared = grid.operand(weight, size)
    states, kept, candidate, recurrent_candidate, raw_candidate = (np.empty((steps, copies, size)) for _ in range(5))
    both, raw_both = np.empty((steps, copies, 2 * size)), np.empty((steps, copies, 2 * size))
    previous = start
    for t in range(steps):
        np.multiply(previous, keep[t], out=kept[t])
        # Adding zero makes the product of 0 and a negative state +0.0, as it is after any other step.
        kept[t] += 0.0
        out = (both[t], candidate[t], recurrent_candidate[t], states[t])
        _fast_step(gates[t], kept[t], prepared, bias, (raw_both[t], raw_candidate[t]), out)
        previous = states[t]
    rounded = both * 2.0 - 1.0  # exact: recovers the rounded tanh behind both gates
    if not (certain(raw_both, rounded, TANH_GRID).all() and certain(raw_candidate, candidate, TANH_GRID).all()):
        return _careful_forward(gates, keep, start, prepared, bias)
    return Trace(states, kept, both, candidate, recurrent_candidate)


def _careful_forward(gates: Array, keep: Array, start: Array, weight: Operand, bias: Array) -> Trace:
    """The scan with the rounding test at every lock-step: taken when the test on the whole sequence was not certain."""
    size = start.shape[1]
    rows: list[tuple[Array, ...]] = []
    previous = start
    for t in range(gates.shape[0]):
        kept = previous * keep[t] + 0.0
        recurrent = grid.product(kept, weight, 0)
        recurrent += bias
        both = sigmoid(gates[t, :, : 2 * size] + recurrent[:, : 2 * size])
        candidate = tanh(gates[t, :, 2 * size :] + both[:, :size] * recurrent[:, 2 * size :])
        previous = grid.round_to_grid(candidate + both[:, size:] * (kept - candidate), STATE_GRID)
        rows.append((previous, kept, both, candidate, recurrent[:, 2 * size :]))
    return Trace(*(np.stack(column) for column in zip(*rows, strict=True)))


def backward(trace: Trace, keep: Array, weight: Array, gradient: Array) -> tuple[Array, Array, Array]:
    """Gradients of a loss whose gradient with respect to the states is ``gradient`` [T, E, X].

    Returns:
        gradients of the gates [T, E, 3X], of the weight [X, 3X] and of the bias [3X]. The start state gets none: it is
        carried from the batch before and counts as data.
    """
    steps, copies, size = gradient.shape
    reset, update = trace.both[:, :, :size], trace.both[:, :, size:]
    to_candidate = (1.0 - update) * (1.0 - trace.candidate * trace.candidate)
    to_update = (trace.kept - trace.candidate) * (update * (1.0 - update))
    to_reset = trace.recurrent_candidate * (reset * (1.0 - reset))
    transposed = grid.operand(weight.T, 3 * size)
    d_gates, d_recurrent = np.empty((steps, copies, 3 * size)), np.empty((steps, copies, 3 * size))
    future = np.zeros((copies, size))
    for t in range(steps - 1, -1, -1):
        d_state = gradient[t] + future
        d_candidate = d_state * to_candidate[t]
        d_gates[t, :, :size] = d_candidate * to_reset[t]
        d_gates[t, :, size : 2 * size] = d_state * to_update[t]
        d_gates[t, :, 2 * size :] = d_candidate
        d_recurrent[t, :, : 2 * size] = d_gates[t, :, : 2 * size]
        d_recurrent[t, :, 2 * size :] = d_candidate * reset[t]
        future = (d_state * update[t] + grid.product(d_recurrent[t], transposed)) * keep[t]
    flat = d_recurrent.reshape(steps * copies, 3 * size)
    d_weight = grid.product(trace.kept.reshape(steps * copies, size).T, flat, 0)
    return d_gates, d_weight, grid.column_sums(flat)


class _Scan(Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, keep: Array, start: Array, weight: Tensor, bias: Tensor) -> Tensor:
        trace = forward(gates.detach().numpy(), keep, start, weight.detach().numpy(), bias.detach().numpy())
        ctx.trace, ctx.keep, ctx.weight = trace, keep, weight.detach().numpy()
        return torch.from_numpy(trace.states)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        d_gates, d_weight, d_bias = backward(ctx.trace, ctx.keep, ctx.weight, gradients[0].numpy())
        return torch.from_numpy(d_gates), None, None, torch.from_numpy(d_weight), torch.from_numpy(d_bias)


def recurrent_scan(gates: Tensor, keep: Array, start: Array, weight: Tensor, bias: Tensor) -> Tensor:
    """States [T, E, X] of the scan as a torch tensor; shapes as in ``forward``."""
    return _Scan.apply(gates, keep, start, weight, bias)  # type: ignore[no-any-return]
