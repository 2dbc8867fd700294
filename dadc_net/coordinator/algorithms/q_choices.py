"""What the critic Q says of a rule psi: summed over a menu, or over samples where theta has several factors.

    menu       expectations and (6) are sums over all M entries
    factored   the number of theta is a product, so expectations are means over q.samples theta drawn from psi with a stream
               of their own; in (6), unless q.gradient = sampled, they are scored, each against the mean of the others

Both are unbiased for one and the same quantity; the second has the variance of its samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.algorithm import Parts
from dadc_net.coordinator.algorithms.registry import QActorCriticSettings
from dadc_net.coordinator.networks.distribution import CategoricalValues
from dadc_net.coordinator.networks.parameters import Gradients
from dadc_net.coordinator.networks.policy import PolicyNetwork
from dadc_net.coordinator.networks.policy_pass import PolicyPass
from dadc_net.coordinator.networks.q import QNetwork
from dadc_net.coordinator.prescription import Factored
from dadc_net.errors import InvariantError
from dadc_net.exact import categorical
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import exp, log_softmax
from dadc_net.exact.grid import row_sums
from dadc_net.exact.streams import Stream


class Gain(NamedTuple):
    """What the actor climbs at n rows, r times over."""

    gain: Array
    """[r n]"""
    entropy: Array
    """[r n]"""
    repeats: int
    """r"""
    back: Callable[[Array, Array, Gradients], None]
    """From gradients with respect to both, [r n] each, those of the policy, which go into the last one."""


class Choices(ABC):
    """Q under psi, with the present parameters of both."""

    sampled: ClassVar[bool]
    """Whether ``expected`` is a mean over samples, so that another address gives other values."""

    def __init__(self, policy: PolicyNetwork, critic: QNetwork, q: QActorCriticSettings) -> None:
        self.policy, self.critic, self.q = policy, critic, q

    @abstractmethod
    def expected(self, states: Array, address: int) -> Array:
        """Mean of Q(x, .) under psi: [n, X] -> [n]; ``address``: of the words that samples are drawn with."""

    @abstractmethod
    def taken(self, states: Array, theta: NDArray[Any]) -> Array:
        """Q(x, theta): [n, X] and [n] or [n, F] -> [n]"""

    @abstractmethod
    def gain(self, states: Array, theta: NDArray[Any], goals: Array, unit: float, address: int) -> Gain:
        """(6) at AIS rows [n, X] where ``theta`` was drawn and ``goals`` [n] followed, Q in units of ``unit``."""


class Enumerated(Choices):
    """A menu."""

    sampled = False

    def expected(self, states: Array, address: int) -> Array:
        return _expectation(self.critic.all(states), exp(log_softmax(self.policy.acting()(states))))

    def taken(self, states: Array, theta: NDArray[Any]) -> Array:
        found: Array = np.take_along_axis(self.critic.all(states), theta[:, None], axis=1)[:, 0]
        return found

    def gain(self, states: Array, theta: NDArray[Any], goals: Array, unit: float, address: int) -> Gain:
        values = self.critic.all(states)
        way = self.policy.forward(states, theta)
        psi = way.psi
        if not isinstance(psi, CategoricalValues):
            raise InvariantError("the exact sum over prescriptions needs a menu")
        found = psi.found
        worth = (values - _expectation(values, found.chances)[:, None] if self.q.baseline else values) / unit
        if self.q.gradient == "sampled":
            return _scored(way, np.take_along_axis(worth, theta[:, None], axis=1)[:, 0], 1)
        corrected = self.q.gradient == "corrected"
        beyond = (goals - np.take_along_axis(values, theta[:, None], axis=1)[:, 0]) / unit if corrected else None

        def back(gain: Array, entropy: Array, into: Gradients) -> None:
            logs = (gain[:, None] * worth) * found.chances + categorical.entropy_gradient(found, entropy)
            if beyond is not None:
                logs[np.arange(len(theta)), theta] += gain * beyond
            way.network.back(categorical.logits_gradient(found, logs), into)

        return Gain(row_sums(found.chances * worth), found.entropy, 1, back)


class Sampled(Choices):
    """Several factors."""

    sampled = True

    def __init__(
        self,
        policy: PolicyNetwork,
        critic: QNetwork,
        q: QActorCriticSettings,
        theta: Factored,
        stream: Stream,
    ) -> None:
        super().__init__(policy, critic, q)
        self._theta, self._stream = theta, stream

    def expected(self, states: Array, address: int) -> Array:
        return _total(self._values(states, self._draw(states, address))) / self.q.samples

    def taken(self, states: Array, theta: NDArray[Any]) -> Array:
        return self.critic.at(states, self._theta.codes(theta))

    def gain(self, states: Array, theta: NDArray[Any], goals: Array, unit: float, address: int) -> Gain:
        drawn = self._draw(states, address)
        values = self._values(states, drawn)
        total, count = _total(values), len(values)
        if self.q.gradient == "sampled":
            taken = self.taken(states, theta)
            worth = taken - total / count if self.q.baseline else taken
            return _scored(self.policy.forward(states, theta), worth / unit, 1)
        # Against the mean of the other samples, which does not depend on the scored one.
        worth = values - (total - values) / max(1, count - 1) if self.q.baseline and count > 1 else values
        scored, repeats = drawn.reshape(-1, drawn.shape[2]), count
        if self.q.gradient == "corrected":
            # One part more, and means over all of them: samples keep their weight, and the chosen one has theirs together.
            repeats = count + 1
            worth = np.concatenate((worth * (repeats / count), ((goals - self.taken(states, theta)) * repeats)[None]))
            scored = np.concatenate((scored, theta))
        way = self.policy.forward(np.tile(states, (repeats, 1)), scored)
        return _scored(way, worth.reshape(-1) / unit, repeats)

    def _draw(self, states: Array, address: int) -> NDArray[Any]:
        """[S, n, F] theta of psi."""
        scores, own = self.policy.acting()(states), self.policy.distribution.own(self.policy.group)
        shape = (self.q.samples, len(states), self._theta.words)
        words = self._stream.bulk(address, shape[0] * shape[1] * shape[2]).reshape(shape)
        return np.stack([self._theta.draw(scores, own, part) for part in words])

    def _values(self, states: Array, drawn: NDArray[Any]) -> Array:
        """Q of samples [S, n, F]: [S, n]"""
        return np.stack([self.taken(states, theta) for theta in drawn])


def _scored(way: PolicyPass, worth: Array, repeats: int) -> Gain:
    """log psi of what ``way`` was asked about, times ``worth`` [r n]."""

    def back(gain: Array, entropy: Array, into: Gradients) -> None:
        way.back(gain * worth, entropy, into)

    return Gain(way.psi.log_density() * worth, way.psi.entropy(), repeats, back)


def choices_over(parts: Parts, policy: PolicyNetwork, critic: QNetwork) -> Choices:
    """The kind that the space of theta asks for."""
    q = parts.settings.section(QActorCriticSettings)
    if isinstance(parts.theta, Factored):
        return Sampled(policy, critic, q, parts.theta, Stream("q/samples", parts.shared_seed))
    return Enumerated(policy, critic, q)


def _expectation(values: Array, chances: Array) -> Array:
    """sum_h chances values over the last axis, in index order: [..., M] -> [...]."""
    total: Array = values[..., 0] * chances[..., 0]
    for entry in range(1, values.shape[-1]):
        total = total + values[..., entry] * chances[..., entry]
    return total


def _total(values: Array) -> Array:
    """Sum over the first axis, in index order: [S, n] -> [n]."""
    total: Array = values[0].copy()
    for one in values[1:]:
        total += one
    return total
