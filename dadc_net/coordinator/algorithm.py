"""The skeleton that every algorithm fills in.

The learner owns what all algorithms share: the encoder, the batch, acting, digests, the order of updates. An algorithm
adds its networks, says how it scores prescriptions, and improves from a batch. It is one file in ``algorithms`` and one
entry in ``algorithms.registry``.

    parameters     groups of tensors beside the state approximator's, digested and saved with it
    state          further arrays that later bits depend on: target networks, counters
    kept           arrays that later updates depend on, and the rule does not
    memory         a replay memory, for those that learn from more than the present batch
    behaviour(n)   scores of the behaviour after n updates: logits, from whose softmax the coordinator draws, or means
    own(n)         what psi has beside scores: deviation of a Gaussian, coupling of several factors
    greedy()       scores of the learned rule; what the rule plays is the entry with the largest, or the mean
    value()        V_{xi, phi, vartheta} of Theorem 5
    improve        one update from a batch and its AIS
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.encoder import Encoder
from dadc_net.coordinator.memory import ReplayMemory
from dadc_net.coordinator.networks.distribution import Distribution
from dadc_net.coordinator.networks.distribution_over import distribution_over
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.prescription import ThetaSpace
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream
from dadc_net.team.spaces import Space

Scores = Callable[[Array], Array]
"""AIS [n, X] -> a number for each entry of a menu or choice of a factor, or for each dimension of theta: [n, C]; a row alone
gives the bits that it gives in a batch."""


class Parts(NamedTuple):
    """What an algorithm is made from."""

    settings: CoordinatorSettings
    space: Space
    """Of the common observation."""
    theta: ThetaSpace
    approximator: Encoder
    shared_seed: bytes

    @property
    def distribution(self) -> Distribution:
        """psi as a distribution of theta."""
        return distribution_over(self.theta, self.settings.gaussian, self.settings.factored)

    def initial(self, component: str) -> Stream:
        """The stream that a component's first parameters are drawn from."""
        return Stream(f"initial-parameters/{component}", self.shared_seed)


class Algorithm(ABC):
    """One algorithm at work; see the module."""

    learns_ais_on_policy: ClassVar[bool] = True
    """Whether the learner trains the state approximator on each batch; False: the algorithm does it, from memory."""
    memory: ReplayMemory | None = None

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.settings = parts.settings

    @property
    @abstractmethod
    def groups(self) -> tuple[ParameterGroup, ...]:
        """The parameters that it adds, in the order of the digest; the first is what sabotage breaks in tests."""

    @abstractmethod
    def behaviour(self, update: int) -> Scores:
        """Scores of the behaviour after ``update`` updates, prepared with the present parameters."""

    def own(self, update: int) -> Array:
        """What a draw of the behaviour after ``update`` updates needs beside scores: see ``ThetaSpace.draw``."""
        return np.zeros(0)

    @abstractmethod
    def greedy(self) -> Scores:
        """Scores of the learned rule with the present parameters."""

    @abstractmethod
    def value(self) -> Callable[[Array], Array]:
        """The critic's value of the rule with the present parameters: AIS [n, X] -> [n]."""

    @abstractmethod
    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """Update ``update`` (1..) from a batch with its AIS [T+1, E, X]; losses by name."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Further arrays of the learner's state by full name, not copied; empty for most."""
        return {}

    def kept(self) -> dict[str, NDArray[Any]]:
        """Arrays by full name, not copied, that later updates depend on and the learned rule does not; empty for most."""
        return {}

    def restore_state(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take ``state`` from a snapshot, in place; neither parameters nor the memory."""
        for name, array in self.state().items():
            array[...] = snapshot[name]
