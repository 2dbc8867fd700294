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

Acting calls ``step`` with the same arithmetic; its bits are those of the scan because every scale that enters the forward
pass is fixed or belongs to the weights. The backward pass takes the scale of each lock-step's gate gradient from that
[E, 3X] tensor, whose layout the protocol fixes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dadc_net.exact import compiled, elementary, grid
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import TANH_GRID, doubts, sigmoid, tanh
from dadc_net.exact.grid import Operand

_STATE_BITS = 24
STATE_GRID = math.ldexp(1.0, -_STATE_BITS)
_STATE_ROUNDING = grid.rounding_constant(STATE_GRID)
_TANH_ROUNDING = grid.rounding_constant(TANH_GRID)
_HALF_ROUNDING = 0.5 * _TANH_ROUNDING


def step(gates: Array, previous: Array, weight: Operand, bias: Array) -> Array:
    """One lock-step with every transcendental value tested: gates [E, 3X], previous [E, X] (already kept) -> [E, X]."""
    return _tested_step(gates, previous, weight, bias)[-1]


def _tested_step(gates: Array, kept: Array, weight: Operand, bias: Array) -> tuple[Array, Array, Array, Array]:
    """Both gates [E, 2X], candidate, recurrent part of the candidate, state (all [E, X]) of one lock-step."""
    size = kept.shape[1]
    recurrent = grid.product(kept, weight, 0)
    recurrent += bias
    both = sigmoid(gates[:, : 2 * size] + recurrent[:, : 2 * size])
    candidate = tanh(gates[:, 2 * size :] + both[:, :size] * recurrent[:, 2 * size :])
    state = grid.round_to_grid(candidate + both[:, size:] * (kept - candidate), STATE_GRID)
    return both, candidate, recurrent[:, 2 * size :], state


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What the backward pass needs of a forward scan; all [T, E, X] but ``both`` [T, E, 2X]."""

    states: Array
    kept: Array
    both: Array
    candidate: Array
    recurrent_candidate: Array


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A forward scan at work: its inputs, its trace so far, and the library's tanh values before rounding."""

    gates: Array
    keep: Array
    start: Array
    weight: Operand
    bias: Array
    """Without negative zeros, so that the sign of a zero that comes out of BLAS ends here."""
    short: bool
    """Whether states enter the product as they are."""
    trace: Trace
    raw_both: Array
    raw_candidate: Array

    def steps_from(self, first: int) -> None:
        """Lock-steps ``first`` .. T-1 without the rounding tests, which are made for all of them at once."""
        trace = self.trace
        previous = self.start if first == 0 else trace.states[first - 1]
        for t in range(first, self.gates.shape[0]):
            kept = trace.kept[t]
            np.multiply(previous, self.keep[t], out=kept)
            self._untested_step(t, kept)
            previous = trace.states[t]
        # Adding zero makes the product of 0 and a negative state +0.0, as it is after any other step. Until here its
        # sign had no effect: rounding gives every state +0.0, and adding the bias ends it in the gates.
        trace.kept[first:] += 0.0

    def _untested_step(self, t: int, kept: Array) -> None:
        gates = self.gates[t]
        both, candidate, recurrent_candidate, state = self._row(t)
        size = kept.shape[1]
        # Up to 32 units an operand has at least the 24 bits of the grid that states live on: rounding changes nothing.
        recurrent = kept @ self.weight.values if self.short else grid.product(kept, self.weight, 0)
        recurrent += self.bias
        recurrent_candidate[:] = recurrent[:, 2 * size :]
        np.add(gates[:, : 2 * size], recurrent[:, : 2 * size], out=both)
        both *= 0.5
        raw = np.tanh(both, out=self.raw_both[t])
        # 0.5 round(raw) + 0.5, where the halves of the rounding constant are taken before the subtraction: all exact.
        np.add(raw, _TANH_ROUNDING, out=both)
        both *= 0.5
        both -= _HALF_ROUNDING - 0.5
        np.multiply(both[:, :size], recurrent_candidate, out=candidate)
        candidate += gates[:, 2 * size :]
        np.tanh(candidate, out=self.raw_candidate[t])
        np.add(self.raw_candidate[t], _TANH_ROUNDING, out=candidate)
        candidate -= _TANH_ROUNDING
        np.subtract(kept, candidate, out=state)
        state *= both[:, size:]
        state += candidate
        state += _STATE_ROUNDING
        state -= _STATE_ROUNDING

    def _row(self, t: int) -> tuple[Array, Array, Array, Array]:
        trace = self.trace
        return trace.both[t], trace.candidate[t], trace.recurrent_candidate[t], trace.states[t]

    def doubtful(self, first: int) -> list[int]:
        """Lock-steps from ``first`` on that hold a value which its rounding test cannot vouch for."""
        rounded = self.trace.both[first:] * 2.0 - 1.0  # exact: recovers the rounded tanh behind both gates
        in_both = doubts(self.raw_both[first:], rounded, TANH_GRID, 1.0)
        in_candidate = doubts(self.raw_candidate[first:], self.trace.candidate[first:], TANH_GRID, 1.0)
        wide, narrow = rounded[0].size, self.raw_candidate[0].size
        return [first + int(t) for t in np.union1d(in_both // wide, in_candidate // narrow)]

    def settle(self, t: int) -> bool:
        """Do lock-step ``t`` again with its tests; whether a bit of it changed."""
        tested = _tested_step(self.gates[t], self.trace.kept[t], self.weight, self.bias)
        changed = False
        for present, defined in zip(self._row(t), tested, strict=True):
            if not np.array_equal(present, defined):
                present[:] = defined
                changed = True
        return changed


def forward(gates: Array, keep: Array, start: Array, weight: Array, bias: Array) -> Trace:
    """Run the scan, compiled where the kernels are loaded.

    Args:
        gates: [T, E, 3X] input pre-activations.
        keep: [T, E, 1], 0.0 where a copy begins at that lock-step, else 1.0.
        start: [E, X] state before the first lock-step, on the grid 2^-24.
        weight: [X, 3X]; bias: [3X].

    Raises:
        NumericError: if a pre-activation is NaN.
    """
    steps, copies, triple = gates.shape
    size = triple // 3
    states, kept, candidate, recurrent_candidate = (np.empty((steps, copies, size)) for _ in range(4))
    trace = Trace(
        states=states,
        kept=kept,
        both=np.empty((steps, copies, 2 * size)),
        candidate=candidate,
        recurrent_candidate=recurrent_candidate,
    )
    prepared, bias = grid.operand(weight, size), bias + 0.0
    if compiled.kernels is not None:
        _forward_compiled(compiled.kernels.scan_forward, trace, gates, keep, start, prepared, bias)
        return trace
    short = grid.operand_bits(size) >= _STATE_BITS
    raw_both, raw_candidate = np.empty((steps, copies, 2 * size)), np.empty((steps, copies, size))
    run = _Run(
        gates=gates,
        keep=keep,
        start=start,
        weight=prepared,
        bias=bias,
        short=short,
        trace=trace,
        raw_both=raw_both,
        raw_candidate=raw_candidate,
    )
    first = 0
    while first < steps:
        run.steps_from(first)
        # A doubtful value is nearly always right all the same. Only where it is not does what follows it change.
        wrong = next((t for t in run.doubtful(first) if run.settle(t)), steps)
        first = wrong + 1
    return trace


def _forward_compiled(
    scan: Callable[..., int], trace: Trace, gates: Array, keep: Array, start: Array, weight: Operand, bias: Array
) -> None:
    """The scan by its kernel, which stops at every lock-step with a doubtful value; that one is done with tests."""
    rounding = grid.rounding_constant(math.ldexp(1.0, -grid.operand_bits(start.shape[1])))
    rows = (trace.states, trace.kept, trace.both, trace.candidate, trace.recurrent_candidate)
    steps, first = gates.shape[0], 0
    inputs = tuple(map(np.ascontiguousarray, (gates, keep, start, weight.values, bias)))
    while (t := scan(first, *inputs, rounding, *rows, elementary.TOLERANCE)) < steps:
        tested = _tested_step(gates[t], trace.kept[t], weight, bias)
        trace.both[t], trace.candidate[t], trace.recurrent_candidate[t], trace.states[t] = tested
        first = t + 1


def backward(trace: Trace, keep: Array, weight: Array, gradient: Array) -> tuple[Array, Array, Array]:
    """Gradients of a loss whose gradient with respect to the states is ``gradient`` [T, E, X].

    Returns:
        gradients of the gates [T, E, 3X], of the weight [X, 3X] and of the bias [3X]. The start state gets none: it is
        carried from the batch before and counts as data.
    """
    steps, copies, size = gradient.shape
    transposed = grid.operand(weight.T, 3 * size)
    d_gates, d_recurrent = np.empty((steps, copies, 3 * size)), np.empty((steps, copies, 3 * size))
    if not _backward_compiled(trace, keep, transposed, gradient, d_gates, d_recurrent):
        _backward_steps(trace, keep, transposed, gradient, d_gates, d_recurrent)
    flat = d_recurrent.reshape(steps * copies, 3 * size)
    _, right, d_bias = grid.gradient_parts(flat, as_left=False)
    return d_gates, grid.product(trace.kept.reshape(steps * copies, size).T, right, 0), d_bias


def _backward_compiled(
    trace: Trace, keep: Array, transposed: Operand, gradient: Array, d_gates: Array, d_recurrent: Array
) -> bool:
    """Whether the kernel did it: there is one, and every number was finite."""
    if compiled.kernels is None:
        return False
    done: bool = compiled.kernels.scan_backward(
        trace.kept, trace.both, trace.candidate, trace.recurrent_candidate, np.ascontiguousarray(keep),
        np.ascontiguousarray(transposed.values), grid.operand_bits(transposed.terms), np.ascontiguousarray(gradient),
        d_gates, d_recurrent, d_recurrent.reshape(d_recurrent.shape[0], -1).view(np.int64),
    )  # fmt: skip
    return done


def _backward_steps(
    trace: Trace, keep: Array, transposed: Operand, gradient: Array, d_gates: Array, d_recurrent: Array
) -> None:
    """Gradients of the gates and of the recurrent part, both [T, E, 3X], lock-step by lock-step from the last."""
    steps, copies, size = gradient.shape
    reset, update = trace.both[:, :, :size], trace.both[:, :, size:]
    to_candidate = (1.0 - update) * (1.0 - trace.candidate * trace.candidate)
    to_update = (trace.kept - trace.candidate) * (update * (1.0 - update))
    to_reset = trace.recurrent_candidate * (reset * (1.0 - reset))
    future = np.zeros((copies, size))
    for t in range(steps - 1, -1, -1):
        row, recurrent = d_gates[t], d_recurrent[t]
        d_state = gradient[t] + future
        d_candidate = np.multiply(d_state, to_candidate[t], out=row[:, 2 * size :])
        np.multiply(d_candidate, to_reset[t], out=row[:, :size])
        np.multiply(d_state, to_update[t], out=row[:, size : 2 * size])
        recurrent[:, : 2 * size] = row[:, : 2 * size]
        np.multiply(d_candidate, reset[t], out=recurrent[:, 2 * size :])
        d_state *= update[t]
        d_state += grid.product(recurrent, transposed)
        np.multiply(d_state, keep[t], out=future)
