"""The encoder rho over a batch, forwards and back: tanh layer, gate layer and recurrent scan.

With truncation the scan goes in stretches of lock-steps between which no gradient flows: truncated backpropagation through
time.
"""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.exact import scan
from dadc_net.exact.array import Array

_TOWER = Tower(("encoder.input",), "encoder.gates")
_WEIGHT, _BIAS = "encoder.recurrent.weight", "encoder.recurrent.bias"


class EncoderPass:
    """x_0 .. x_T of a batch, and what takes their gradient back."""

    def __init__(self, group: ParameterGroup, batch: Batch, truncation: int) -> None:
        """``truncation``: lock-steps of a stretch; 0: the whole batch is one."""
        records, copies, inputs = batch.inputs.shape
        self._keep, self._weight = batch.keep, group.arrays[_WEIGHT]
        self._tower = _TOWER.forward(group, batch.inputs.reshape(records * copies, inputs))
        gates = self._tower.outputs.reshape(records, copies, -1)
        stretch = truncation or records
        self._stretches = [slice(first, first + stretch) for first in range(0, records, stretch)]
        self._traces: list[scan.Trace] = []
        start = batch.start
        for part in self._stretches:
            self._traces.append(scan.forward(gates[part], batch.keep[part], start, self._weight, group.arrays[_BIAS]))
            start = self._traces[-1].states[-1]
        self.states: Array = _joined([trace.states for trace in self._traces])
        """[T+1, E, X]"""

    def back(self, gradient: Array, into: Gradients) -> None:
        """From the gradient [T+1, E, X] of the states those of the parameters, which go ``into``."""
        gates: list[Array] = []
        for part, trace in zip(self._stretches, self._traces, strict=True):
            d_gates, d_weight, d_bias = scan.backward(trace, self._keep[part], self._weight, gradient[part])
            gates.append(d_gates)
            into.add(_WEIGHT, d_weight)
            into.add(_BIAS, d_bias)
        joined = _joined(gates)
        self._tower.back(joined.reshape(-1, joined.shape[2]), into)


def _joined(parts: list[Array]) -> Array:
    """[t, E, n] of each stretch -> [T+1, E, n]."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
