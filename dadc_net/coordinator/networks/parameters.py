"""A group of parameters that one loss trains: xi of the state approximator, or phi and vartheta of critic and actor.

All tensors of a group are views of one flat float64 vector, so that an optimiser step, a digest or a checkpoint is one
operation on one array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dadc_net.errors import NumericError
from dadc_net.exact import canonical
from dadc_net.exact.adam import Adam, clip_norm
from dadc_net.exact.array import Array
from dadc_net.exact.digest import digest
from dadc_net.exact.streams import Stream

Shape = tuple[int, ...]


class Gradients:
    """Gradients of a group's tensors on the way, by name; those of several passes of one network add up."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def add(self, name: str, gradient: Array) -> None:
        """Count ``gradient`` as a part of that of tensor ``name``."""
        known = self.arrays.get(name)
        self.arrays[name] = gradient if known is None else known + gradient


class ParameterGroup:
    """Named tensors of one component, their flat vector and their Adam state."""

    def __init__(self, component: str, shapes: Mapping[str, Shape], initial: Stream) -> None:
        """Draw every tensor uniformly from +-1 / sqrt(fan in), torch's default for linear and GRU layers.

        Args:
            component: first part of every tensor's full name, such as ``ais``.
            shapes: tensor name -> shape; ``layer.weight`` is [fan in, fan out], ``layer.bias`` follows its weight.
            initial: stream whose lock-step is the tensor's index in the group and whose draws are its elements.
        """
        self.component = component
        self.size = sum(math.prod(shape) for shape in shapes.values())
        self.values: Array = np.empty(self.size)
        self.arrays: dict[str, Array] = {}
        self.slices: dict[str, slice] = {}
        """Tensor name -> its part of ``values``."""
        start = 0
        fan_in = 1
        for index, (name, shape) in enumerate(shapes.items()):
            stop = start + math.prod(shape)
            self.slices[name] = slice(start, stop)
            fan_in = shape[0] if name.endswith(".weight") else fan_in
            bound = 1.0 / math.sqrt(fan_in)
            uniform = initial.uniforms(index, 1, stop - start)[0]
            self.values[start:stop] = (2.0 * uniform - 1.0) * bound
            self.arrays[name] = self.values[start:stop].reshape(shape)
            start = stop
        self.adam = Adam(size=self.size)
        self._plain = False
        self._bound = 0.0

    def set_step_rule(self, optimiser: str, bound: float) -> None:
        """How steps are made: ``adam`` or ``sgd``, and projected onto |parameter| <= bound (0: not)."""
        self._plain, self._bound = optimiser == "sgd", bound
        self._project()

    def flat(self, gradients: Gradients) -> Array:
        """Gradients of all tensors as one vector [P]; 0 for tensors that a loss does not depend on.

        Raises:
            NumericError: naming the tensor whose gradient is not finite.
        """
        joined = np.zeros(self.size)
        for name, gradient in gradients.arrays.items():
            joined[self.slices[name]] = gradient.reshape(self.arrays[name].shape).reshape(-1)
        self._refuse_non_finite(joined, "gradient")
        return joined

    def descend(self, gradients: Gradients, learning_rate: Array | float, largest_norm: float) -> float:
        """One step against ``gradients`` of a loss, clipped to ``largest_norm`` (0: not); the norm they had.

        ``learning_rate``: one number, or one per parameter [P].

        Raises:
            NumericError: naming the tensor whose gradient, or value after the step, is not finite.
        """
        return self.step(self.flat(gradients), learning_rate, largest_norm)

    def step(self, flat: Array, learning_rate: Array | float, largest_norm: float) -> float:
        """One step against the gradient ``flat`` [P], which is spoilt; as ``descend``."""
        norm = clip_norm(flat, largest_norm) if largest_norm > 0.0 else 0.0
        try:
            if self._plain:
                self.values -= learning_rate * flat
                self._refuse_non_finite(self.values, "value")
            else:
                self.adam.step(self.values, flat, learning_rate)
        except NumericError:
            self._refuse_non_finite(self.values, "value")
            raise
        self._project()
        return norm

    def assign(self, values: Array) -> None:
        """Take ``values`` [P] as they are, projected onto the box if there is one.

        Raises:
            NumericError: naming the tensor whose value is not finite.
        """
        self.values[...] = values
        self._refuse_non_finite(self.values, "value")
        self._project()

    def _project(self) -> None:
        if self._bound > 0.0:
            np.clip(self.values, -self._bound, self._bound, out=self.values)

    def _refuse_non_finite(self, flat: Array, what: str) -> None:
        if np.isfinite(flat).all():
            return
        for name, part in self.slices.items():
            if not np.isfinite(flat[part]).all():
                raise NumericError(
                    f"the {what} of {self.component}/{name} is NaN or infinite. Every replica stops here with the same "
                    "message. Lower the learning rate, or clip with a positive gradient_norm."
                )

    def tensor_digests(self) -> dict[str, bytes]:
        """Full name -> digest, of each parameter tensor and of the optimiser's state."""
        named: dict[str, Array] = dict(self.arrays)
        named |= {"adam.first": self.adam.first, "adam.second": self.adam.second, "adam.powers": self.adam.powers}
        return {f"{self.component}/{name}": digest(canonical.encode_array(array)) for name, array in named.items()}

    def snapshot(self) -> dict[str, Array]:
        """Full name -> copy of each parameter tensor and of the optimiser's state."""
        named: dict[str, Array] = dict(self.arrays)
        named |= {"adam.first": self.adam.first, "adam.second": self.adam.second, "adam.powers": self.adam.powers}
        return {f"{self.component}/{name}": array.copy() for name, array in named.items()}

    def parameters(self) -> dict[str, Array]:
        """Full name -> each parameter tensor, not copied; without the optimiser's state."""
        return {f"{self.component}/{name}": array for name, array in self.arrays.items()}

    def restore_parameters(self, snapshot: Mapping[str, Array]) -> None:
        """Take the parameters from ``snapshot``, in place; the optimiser's state stays as it is."""
        for name, array in self.parameters().items():
            array[...] = snapshot[name]

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Take parameters and optimiser state from ``snapshot``, in place."""
        self.restore_parameters(snapshot)
        for name, array in (
            ("first", self.adam.first),
            ("second", self.adam.second),
            ("powers", self.adam.powers),
        ):
            array[...] = snapshot[f"{self.component}/adam.{name}"]


class TargetCopy:
    """A copy of a group's parameters that follows them slowly; it is part of the learner's state."""

    def __init__(self, group: ParameterGroup) -> None:
        self._group = group
        self.values: Array = group.values.copy()
        self.arrays: dict[str, Array] = {
            name: self.values[part].reshape(group.arrays[name].shape) for name, part in group.slices.items()
        }

    def follow(self, rate: float) -> None:
        """Move by ``rate`` of the distance to the group's present values."""
        self.values += rate * (self._group.values - self.values)
