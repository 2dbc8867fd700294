"""Planning on the learned AIS: equation (3) itself, one step ahead, with a value function fitted to it.

    Q(x, h)   = sum_z' p(z' | x, h) [ r(x, h, z') + gamma g(x, h, z') V(rho(x, z', h)) ]     all z' enumerated
    target    = max_h Q(x, h), with V from a slowly following copy; V is fitted to it by smooth L1
    behaviour = (1 - e) softmax(Q(x, .) / T) + e uniform, e and T falling over the run
    rule      = argmax_h Q(x, h)

p is the state approximator's prediction of the next common observation (P2b), r its prediction of the reward given that
observation, g that the episode goes on (1 unless ``ais.predicts_end``), and rho its encoder (P2a). All are trained on
windows of a replay memory: every common record can be learned from again, whatever rule produced it, because a model of
(z', r) given (x, h) does not depend on the rule. All entries of a menu are looked at; where theta has F factors, the best
one is climbed to factor by factor (``look_ahead``), and each factor's behaviour is that of its choices beside the others
of that theta, with e / F.

Deviation: not in the paper, which learns a critic and an actor from the batch. It needs finite prescriptions and a finite
common space. The value's gradient never enters the encoder, so (4) is still learned on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.ais import StateApproximator
from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.algorithms.registry import PlanningSettings
from dadc_net.coordinator.batch import ENDED_TERMINATED, Batch
from dadc_net.coordinator.look_ahead import Ahead, FactoredLookAhead, LookAhead
from dadc_net.coordinator.memory import ReplayMemory, pick_below
from dadc_net.coordinator.model import LearnedModel
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.networks.regression import Goals
from dadc_net.coordinator.networks.value import ValueNetwork
from dadc_net.coordinator.prescription import Factored
from dadc_net.coordinator.schedule import geometric, step_size
from dadc_net.errors import ConfigError, InvariantError
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import LOG_MIN, log, softmax_weights
from dadc_net.exact.grid import row_sums
from dadc_net.exact.streams import Stream
from dadc_net.team.spaces import FiniteSpace


class AisPlanning(Algorithm):
    """The model is the state approximator; beside it there is only a value function."""

    learns_ais_on_policy = False

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        settings, approximator = self.settings, parts.approximator
        if not isinstance(approximator, StateApproximator):
            raise InvariantError(f"ais-planning was given the encoder {approximator}; settings refuse all but gru")
        if not isinstance(parts.space, FiniteSpace):
            raise InvariantError(f"ais-planning was given {parts.space} for z; settings refuse what is not finite")
        self._approximator, self._space = approximator, parts.space
        self._plan = settings.section(PlanningSettings)
        self.value_network = ValueNetwork(settings.ais.size, self._plan.value_hidden_size, parts.initial("value"))
        copies = settings.learner.num_envs
        capacity = max(settings.learner.batch_lock_steps, self._plan.memory_steps // copies)
        self._past = ReplayMemory(capacity, copies, parts.space, parts.theta, approximator.size)
        self.memory = self._past
        self._replay = Stream("replay", parts.shared_seed)
        self._states = Stream("replay/states", parts.shared_seed)
        self._seen = np.zeros(self._space.num_values, dtype=np.uint8)
        self._factors = parts.theta.factors if isinstance(parts.theta, Factored) else None
        """Of theta; None: it is an entry of a menu."""
        self._beginnings = np.zeros((0, 0), dtype=np.int64)
        if self._factors is not None:
            first = parts.theta.uniform(Stream("planning/beginnings", parts.shared_seed).words(0, 1, parts.theta.words))
            # Each moves every factor on by one choice, so that no choice is left out while there are enough of them.
            self._beginnings = (first + np.arange(self._plan.beginnings)[:, None]) % np.array(self._factors.sizes)

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        return (self.value_network.group,)

    def state(self) -> dict[str, NDArray[Any]]:
        begun = {} if self._factors is None else {"planning/beginnings": self._beginnings}
        return {"value/target": self.value_network.target.values, "model/seen-outcomes": self._seen, **begun}

    def greedy(self) -> Scores:
        return self._ahead(self.value_network.acting()) if self._seen.any() else self._uniform

    def _ahead(self, value: Callable[[Array], Array]) -> Ahead:
        """One step ahead with the present model and ``value``."""
        model = LearnedModel(self._approximator, self._space, np.flatnonzero(self._seen))
        ahead = LookAhead(model, value, self.settings.discount)
        return ahead if self._factors is None else FactoredLookAhead(ahead, self._factors, self._beginnings)

    def value(self) -> Callable[[Array], Array]:
        return self.value_network.acting()

    def behaviour(self, update: int) -> Scores:
        plan, updates = self._plan, self.settings.updates
        temperature = geometric(plan.temperature, plan.final_temperature, update, updates)
        exploration = plan.exploration + (plan.final_exploration - plan.exploration) * (update / updates)
        spans = [slice(0, self.parts.theta.code_size)] if self._factors is None else self._factors.spans
        return _Behaviour(self.greedy(), temperature, exploration, spans)

    def _uniform(self, states: Array) -> Array:
        return np.zeros((len(states), self.parts.theta.code_size))

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """Remember the batch; then ``model_steps`` steps of the model, each followed by steps of the value."""
        if not self.settings.ais.predicts_end and (batch.ended == ENDED_TERMINATED).any():
            raise ConfigError(
                "an episode terminated, but ais.predicts_end is off, so that the algorithm ais-planning has no model of "
                "that: its values would be wrong. Set ais.predicts_end=true."
            )
        plan = self._plan
        memory = self._past
        memory.add(batch)
        self._seen[batch.common_index[1:][batch.valid > 0.0]] = 1
        losses: dict[str, float] = {}
        if not memory.holds(plan.window):
            return losses
        for step in range(plan.model_steps):
            address = (update - 1) * plan.model_steps + step
            windows = memory.windows(self._replay, address, plan.windows, plan.window, plan.warm_up, batch.reward_scale)
            states, losses = self._approximator.improve(windows, self.settings, update)
            losses["value"] = self._improve_value(states[:-1][windows.valid > 0.0], address, update)
        return losses

    def _improve_value(self, reached: Array, address: int, update: int) -> float:
        """Steps of the value at some of the AIS reached [n, X]; the last loss."""
        plan, settings = self._plan, self.settings
        if len(reached) == 0:
            return 0.0
        words = self._states.words(address, 1, plan.states)[0]
        chosen = reached[pick_below(words, len(reached))]
        final = plan.final_value_learning_rate_share
        rate = step_size(settings, "critic", plan.value_learning_rate, final, update)
        target = self._ahead(self.value_network.following()).best(chosen)
        loss, goals = 0.0, Goals(target, np.ones(len(chosen)))
        for _ in range(plan.value_steps):
            loss = self.value_network.fit(chosen, goals, rate, 0.0)
        self.value_network.target.follow(plan.target_rate)
        return loss


class _Behaviour:
    """Logits of (1 - e) softmax(Q / T) + e uniform; over each of F factors by itself, with e / F."""

    def __init__(self, scores: Scores, temperature: float, exploration: float, spans: Sequence[slice]) -> None:
        """``spans`` [F]: where the choices of each factor stand."""
        self._scores, self._temperature, self._spans = scores, temperature, spans
        self._exploration = exploration / len(spans)

    def __call__(self, states: Array) -> Array:
        """AIS [n, X] -> [n, C]."""
        scores = self._scores(states) / self._temperature
        return np.concatenate([self._mixed(scores[:, span]) for span in self._spans], axis=1)

    def _mixed(self, scores: Array) -> Array:
        _, weights = softmax_weights(scores)
        chances = weights / row_sums(weights, exponent=0)[:, None]
        mixed = (1.0 - self._exploration) * chances + self._exploration / scores.shape[1]
        return log(np.maximum(mixed, LOG_MIN))
