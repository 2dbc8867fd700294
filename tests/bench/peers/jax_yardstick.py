"""The compiled learner's runs."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.team.spaces import FiniteSpace
from tests.bench.peers import jax_channel as channel
from tests.bench.peers.course import LOOKS, Course
from tests.bench.peers.jax_learner import Learner, Parameters, Program, encode, logits, start
from tests.bench.peers.problems import Copies, Problem, configured


class LearnedRule:
    """The greedy rule of what the compiled learner has learned; planning's ``Rule``."""

    is_memoryless = False

    def __init__(self, learner: Learner, space: FiniteSpace) -> None:
        self._learner, self._space = learner, space

    def begin(self, copies: int) -> None:
        """Start n copies afresh."""
        self._state = jnp.zeros((copies, self._learner.state.shape[1]))
        self._code = jnp.zeros((copies, channel.ENTRIES))

    def choose(self, common: NDArray[np.int64]) -> NDArray[np.int64]:
        """Entries [n] after the next common observation [n, C]."""
        features = jnp.asarray(self._space.features(common), jnp.float32)
        learner = self._learner
        self._state, chosen, self._code = _greedy(learner.encoder, learner.policy, features, self._state, self._code)
        return np.asarray(chosen, dtype=np.int64)


@jax.jit
def _greedy(
    encoder: Parameters, policy: Parameters, features: jax.Array, state: jax.Array, code: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    inputs = jnp.concatenate((features, code), 1)
    state = encode(encoder, inputs, jnp.ones((len(inputs), 1)), state)
    chosen = jnp.argmax(logits(policy, state), 1)
    return state, chosen, jax.nn.one_hot(chosen, channel.ENTRIES)


def outcome_space(problem: Problem) -> FiniteSpace:
    """Where z lies. Raises ValueError unless its values are those that the compiled environment counts."""
    space = Copies(problem, 1, 0).common_space
    if not isinstance(space, FiniteSpace) or space.sizes != (2, 2, 3):
        raise ValueError(f"the compiled learner knows the multi-access broadcast problem, and {problem.name} is another")
    return space


def program(settings: CoordinatorSettings, space: FiniteSpace) -> Program:
    """The learner for these settings."""
    every = space.values(np.arange(space.num_values))
    return Program(settings, space.features(every))


def learn(problem: Problem, env_steps: int, seed: int) -> dict[str, Any]:
    """One run, with the settings of this package's actor-critic on the same budget."""
    settings = configured(problem.name, "actor-critic", env_steps).settings
    space = outcome_space(problem)
    made = program(settings, space)
    learner = start(settings, made.inputs, seed)
    each = max(1, settings.updates // LOOKS)
    calls = settings.updates // each
    several = jax.jit(lambda known: made.run(known, each)).lower(learner).compile()
    course = Course(problem, calls * each * settings.learner.batch_steps)
    for call in range(1, calls + 1):
        learner = jax.block_until_ready(several(learner))
        course.look(call * each * settings.learner.batch_steps, partial(LearnedRule, learner, space))
    return course.end(calls * each * settings.learner.batch_steps, partial(LearnedRule, learner, space))
