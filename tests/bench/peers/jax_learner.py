"""A recurrent actor-critic as one would write it for a compiler: the yardstick for what this package's learner costs.

Encoder, heads, losses, clipping, optimiser, batch and schedules are those of the preset ``actor-critic`` of the multi-access
broadcast problem, in float32; acting, environment and update are one program, of which one call makes many updates. Nothing
of it is exact: another processor gives other bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from tests.bench.peers import jax_channel as channel
from tests.bench.peers.jax_channel import Channel

Parameters = dict[str, tuple[jax.Array, jax.Array]]
"""layer -> weight [I, O] and bias [O]"""


class Adam(NamedTuple):
    """Moments of one group of parameters."""

    first: Parameters
    second: Parameters


class Learner(NamedTuple):
    """Everything that an update changes."""

    encoder: Parameters
    policy: Parameters
    encoder_moments: Adam
    policy_moments: Adam
    channel: Channel
    state: jax.Array
    """[E, X] before the present record"""
    code: jax.Array
    """[E, M] of the prescription before"""
    key: jax.Array
    update: jax.Array


class Rows(NamedTuple):
    """A batch of T steps; [T, E, ..]."""

    inputs: jax.Array
    keep: jax.Array
    entry: jax.Array
    outcome: jax.Array
    """at the record before the step"""
    reward: jax.Array
    """of the step"""
    ended: jax.Array
    """whether the record after the step is an episode's last"""
    valid: jax.Array


def start(settings: CoordinatorSettings, inputs: int, seed: int) -> Learner:
    """Parameters uniform within 1 / sqrt(fan-in), as torch's are."""
    size, hidden, entries = settings.ais.size, settings.learner.hidden_size, channel.ENTRIES
    random, copies = np.random.default_rng(seed), settings.learner.num_envs

    def made(**layers: tuple[int, int]) -> Parameters:
        return {name: _layer(random, *both) for name, both in layers.items()}

    encoder = made(
        input=(inputs, size),
        gates=(size, 3 * size),
        recurrent=(size, 3 * size),
        reward=(size + entries, size),
        reward_output=(size, 1),
        transition=(size + entries, size),
        transition_output=(size, channel.OUTCOMES),
    )
    policy = made(
        trunk=(size, hidden), actor=(hidden, entries), critic=(hidden, hidden), critic_output=(hidden, 1)
    )
    moments = [Adam(*(jax.tree.map(jnp.zeros_like, group) for _ in range(2))) for group in (encoder, policy)]
    memory = jnp.zeros((copies, size)), jnp.zeros((copies, entries))
    return Learner(encoder, policy, *moments, channel.begin(copies), *memory, jax.random.key(seed), jnp.int32(0))


def _layer(random: np.random.Generator, inputs: int, outputs: int) -> tuple[jax.Array, jax.Array]:
    limit = inputs**-0.5
    weight, bias = random.uniform(-limit, limit, (inputs, outputs)), random.uniform(-limit, limit, outputs)
    return jnp.asarray(weight, jnp.float32), jnp.asarray(bias, jnp.float32)


def _linear(group: Parameters, name: str, values: jax.Array) -> jax.Array:
    weight, bias = group[name]
    return values @ weight + bias


def encode(encoder: Parameters, inputs: jax.Array, keep: jax.Array, state: jax.Array) -> jax.Array:
    """x_t [n, X] from inputs [n, I], 0 where an episode begins [n, 1], and x_{t-1} [n, X]."""
    state = state * keep
    gates = _linear(encoder, "gates", jnp.tanh(_linear(encoder, "input", inputs)))
    return _gated(encoder, gates, state)


def _gated(encoder: Parameters, gates: jax.Array, state: jax.Array) -> jax.Array:
    size = state.shape[-1]
    own = _linear(encoder, "recurrent", state)
    reset = jax.nn.sigmoid(gates[..., :size] + own[..., :size])
    update = jax.nn.sigmoid(gates[..., size : 2 * size] + own[..., size : 2 * size])
    new = jnp.tanh(gates[..., 2 * size :] + reset * own[..., 2 * size :])
    return (1.0 - update) * new + update * state


def logits(policy: Parameters, states: jax.Array) -> jax.Array:
    """Of the prescriptions [.., M]."""
    return _linear(policy, "actor", jnp.tanh(_linear(policy, "trunk", states)))


def values(policy: Parameters, states: jax.Array) -> jax.Array:
    """V(x) [..]."""
    trunk = jnp.tanh(_linear(policy, "trunk", states))
    return _linear(policy, "critic_output", jnp.tanh(_linear(policy, "critic", trunk)))[..., 0]


def _smooth_l1(difference: jax.Array) -> jax.Array:
    size = jnp.abs(difference)
    return jnp.where(size < 1.0, 0.5 * size * size, size - 0.5)


def _scanned(encoder: Parameters, inputs: jax.Array, keep: jax.Array, state: jax.Array) -> jax.Array:
    """x [T, E, X] of inputs [T, E, I]; all that needs no state is done at once."""
    gates = _linear(encoder, "gates", jnp.tanh(_linear(encoder, "input", inputs)))

    def step(state: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        state = _gated(encoder, row[0], state * row[1])
        return state, state

    return jax.lax.scan(step, state, (gates, keep), unroll=2)[1]


def _adam(
    group: Parameters, moments: Adam, gradient: Parameters, rate: jax.Array, count: jax.Array, most: float
) -> tuple[Parameters, Adam]:
    if most > 0.0:
        norm = jnp.sqrt(sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(gradient)))
        gradient = jax.tree.map(lambda leaf: leaf * jnp.minimum(1.0, most / (norm + 1e-6)), gradient)
    first = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, moments.first, gradient)
    second = jax.tree.map(lambda old, new: 0.999 * old + 0.001 * new * new, moments.second, gradient)
    scale, spread = 1.0 / (1.0 - 0.9**count), 1.0 / (1.0 - 0.999**count)
    moved = jax.tree.map(
        lambda old, m, v: old - rate * (m * scale) / (jnp.sqrt(v * spread) + 1e-8), group, first, second
    )
    return moved, Adam(first, second)


class Program:
    """The compiled program for one configuration."""

    def __init__(self, settings: CoordinatorSettings, features: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """``features`` [O, F] of every value of z."""
        self._settings = settings
        self._features = jnp.asarray(features, jnp.float32)
        self.inputs = features.shape[1] + channel.ENTRIES
        self._steps = settings.learner.batch_lock_steps

    def run(self, learner: Learner, updates: int) -> Learner:
        """So many updates; to be compiled."""
        return jax.lax.scan(lambda carry, _: (self._update(carry), None), learner, None, updates)[0]

    def _act(self, learner: Learner, draws: jax.Array) -> tuple[Learner, Rows]:
        now = learner.channel
        keep = jnp.where(now.step == 0, 0.0, 1.0) * jnp.ones((len(now.outcome), 1))
        inputs = jnp.concatenate((self._features[now.outcome], learner.code * keep), 1)
        state = encode(learner.encoder, inputs, keep, learner.state)
        reached = jnp.cumsum(jax.nn.softmax(logits(learner.policy, state)), 1)
        entry = jnp.sum(reached < draws[:, 3:], 1).clip(0, channel.ENTRIES - 1)
        following = channel.advance(now, entry, draws[:, :3])
        valid = jnp.where(channel.ends(now), 0.0, 1.0) * jnp.ones(len(entry))
        ended = jnp.where(channel.ends(following), 1.0, 0.0) * jnp.ones(len(entry))
        rows = Rows(inputs, keep, entry, now.outcome, following.reward, ended, valid)
        code = jax.nn.one_hot(entry, channel.ENTRIES)
        return learner._replace(channel=following, state=state, code=code), rows

    def _update(self, learner: Learner) -> Learner:
        settings, before = self._settings, learner.state
        copies = settings.learner.num_envs
        key, drawn = jax.random.split(learner.key)
        draws = jax.random.uniform(drawn, (self._steps, copies, channel.DRAWS + 1))
        learner, rows = jax.lax.scan(self._act, learner, draws)
        now, share = learner.channel, 1.0 - learner.update / settings.updates
        keep = jnp.where(now.step == 0, 0.0, 1.0) * jnp.ones((1, copies, 1))
        last = jnp.concatenate((self._features[now.outcome], learner.code * keep[0]), 1)
        seen = jnp.concatenate((rows.inputs, last[None])), jnp.concatenate((rows.keep, keep))
        outcomes = jnp.concatenate((rows.outcome[1:], now.outcome[None]))
        losses = jax.grad(self._encoder_loss, has_aux=True)
        gradient, states = losses(learner.encoder, seen, before, rows, outcomes)
        targets = self._targets(learner.policy, states, rows)
        policy_gradient = jax.grad(self._policy_loss)(learner.policy, states[:-1], rows, *targets, share)
        count = learner.update + 1
        ais, own = settings.ais, settings.learner
        rates = ais.learning_rate * share, own.learning_rate * share
        encoder = _adam(learner.encoder, learner.encoder_moments, gradient, rates[0], count, ais.gradient_norm)
        policy = _adam(learner.policy, learner.policy_moments, policy_gradient, rates[1], count, own.gradient_norm)
        return Learner(encoder[0], policy[0], encoder[1], policy[1], now, learner.state, learner.code, key, count)

    def _encoder_loss(
        self,
        encoder: Parameters,
        seen: tuple[jax.Array, jax.Array],
        before: jax.Array,
        rows: Rows,
        outcomes: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """L_AIS (P1, P2b), and the states [T+1, E, X]."""
        states = _scanned(encoder, *seen, before)
        known = jnp.concatenate((states[:-1], jax.nn.one_hot(rows.entry, channel.ENTRIES)), 2)
        count, weight = jnp.maximum(1.0, rows.valid.sum()), self._settings.ais.reward_loss_weight
        reward = _linear(encoder, "reward_output", jnp.tanh(_linear(encoder, "reward", known)))[..., 0]
        scores = _linear(encoder, "transition_output", jnp.tanh(_linear(encoder, "transition", known)))
        logs = jnp.take_along_axis(jax.nn.log_softmax(scores), outcomes[..., None], 2)[..., 0]
        losses = weight * _smooth_l1(reward - rows.reward) - (1.0 - weight) * logs
        return (losses * rows.valid).sum() / count, states

    def _targets(self, policy: Parameters, states: jax.Array, rows: Rows) -> tuple[jax.Array, jax.Array]:
        """Generalised advantages and returns [T, E]."""
        discount, decay = self._settings.discount, self._settings.learner.trace_decay
        value = values(policy, states)
        delta = rows.reward + discount * value[1:] - value[:-1]
        through = discount * decay * (1.0 - rows.ended)

        def back(following: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            found = row[0] + row[1] * following
            return found, found

        advantages = jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, through), reverse=True, unroll=4)[1]
        return advantages, advantages + value[:-1]

    def _policy_loss(
        self,
        policy: Parameters,
        states: jax.Array,
        rows: Rows,
        advantages: jax.Array,
        returns: jax.Array,
        share: jax.Array,
    ) -> jax.Array:
        learner, count = self._settings.learner, jnp.maximum(1.0, rows.valid.sum())
        logs = jax.nn.log_softmax(logits(policy, states))
        chosen = jnp.take_along_axis(logs, rows.entry[..., None], 2)[..., 0]
        entropy = -(jnp.exp(logs) * logs).sum(2)
        losses = learner.value_loss_weight * _smooth_l1(values(policy, states) - returns)
        losses -= chosen * advantages + learner.entropy_weight * share * entropy
        return (losses * rows.valid).sum() / count
