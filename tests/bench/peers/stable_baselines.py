"""Stable-Baselines3 and sb3-contrib as coordinators, with their defaults.

What differs from the defaults: gamma is the problem's discount; sixteen copies of the environment are stepped at once, and
``n_steps`` is 128, so that a batch has the 2,048 steps that one copy would give PPO and TRPO; one thread; points of a box
are scaled to -1 .. 1, as their manual asks. The copies are one vectorised environment with Gymnasium's spaces: stepped one
by one they would cost Stable-Baselines3 more.

``ppo, small batches`` has what ``ours.SMALL_BATCHES`` says instead: ten copies and steps of ten, four epochs of the whole
batch, one hidden layer of 16 units, and a step size that falls from 0.02 to 0.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import TRPO, RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from dadc_net.team.spaces import BoxSpace, FiniteSpace
from tests.bench.peers.course import Course
from tests.bench.peers.problems import Copies, Problem

COPIES, STEPS = 16, 128
_SMALL_COPIES = 10
_SMALL: dict[str, Any] = {
    "n_steps": 10,
    "batch_size": 100,
    "n_epochs": 4,
    "policy_kwargs": {"net_arch": [16]},
    "learning_rate": lambda share_left: 0.02 * share_left,
}
CONTENDERS: dict[str, tuple[type[BaseAlgorithm], str, int, dict[str, Any]]] = {
    "ppo": (PPO, "MlpPolicy", COPIES, {"n_steps": STEPS}),
    "ppo, small batches": (PPO, "MlpPolicy", _SMALL_COPIES, _SMALL),
    "trpo": (TRPO, "MlpPolicy", COPIES, {"n_steps": STEPS}),
    "recurrent-ppo": (RecurrentPPO, "MlpLstmPolicy", COPIES, {"n_steps": STEPS}),
}
"""Algorithm, policy, copies, and what else differs from the defaults."""


class CoordinatorTask(VecEnv):
    """A problem's copies: what is common in, the prescription out, an episode until the copies begin afresh."""

    def __init__(self, problem: Problem, copies: int, seed: int) -> None:
        self._copies = Copies(problem, copies, seed)
        self.common_space = self._copies.common_space
        self.played = Played(self._copies.theta)
        features = gymnasium.spaces.Box(-np.inf, np.inf, (self._copies.common_space.feature_size,), np.float32)
        super().__init__(copies, features, self.played.space)

    def reset(self) -> NDArray[np.float32]:
        """Features of what is common [E, F] at the beginning."""
        return self._copies.begin().astype(np.float32)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Remember the choices [E] or [E, D]."""
        self._chosen = self.played.theta(actions)

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], list[dict[str, Any]]]:
        """Features, rewards, which copies are cut off, and for those what they saw last."""
        features, rewards, last = self._copies.advance(self._chosen)
        told: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        seen = features.astype(np.float32)
        if last:
            told = [{"terminal_observation": own, "TimeLimit.truncated": True} for own in seen]
            seen = self.reset()
        return seen, rewards, np.full(self.num_envs, last), told

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Of every copy."""
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Copies have no attributes."""
        raise AttributeError(attr_name)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Copies have no methods."""
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        """None is."""
        return [False] * self.num_envs


class Played:
    """A space of theta as Gymnasium says it."""

    def __init__(self, space: BoxSpace | FiniteSpace) -> None:
        self.space: gymnasium.spaces.Discrete[Any] | gymnasium.spaces.Box
        if isinstance(space, FiniteSpace):
            self.space = gymnasium.spaces.Discrete(space.num_values)
            return
        self.space = gymnasium.spaces.Box(-1.0, 1.0, (len(space.low),), np.float32)
        low, high = np.array(space.low), np.array(space.high)
        self._centre, self._half = (high + low) / 2.0, (high - low) / 2.0

    def theta(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Prescriptions of actions [n] or [n, D]."""
        if isinstance(self.space, gymnasium.spaces.Discrete):
            return np.asarray(actions, dtype=np.int64)
        return self._centre + self._half * np.clip(np.asarray(actions, dtype=np.float64), -1.0, 1.0)


class LearnedRule:
    """A model's greedy choices; planning's ``Rule``."""

    def __init__(self, model: BaseAlgorithm, task: CoordinatorTask) -> None:
        self._model, self._played, self._space = model, task.played, task.common_space
        self.is_memoryless = not isinstance(model, RecurrentPPO)

    def begin(self, copies: int) -> None:
        """Start n copies afresh."""
        self._state: tuple[NDArray[Any], ...] | None = None
        self._start = np.ones(copies, dtype=bool)

    def choose(self, common: NDArray[np.int64]) -> NDArray[Any]:
        """Prescriptions after the next common observation [n, C]."""
        features = self._space.features(common).astype(np.float32)
        chosen, self._state = self._model.predict(features, self._state, self._start, deterministic=True)
        self._start = np.zeros(len(common), dtype=bool)
        return self._played.theta(chosen)


class _Looking(BaseCallback):
    """Looks after updates, which is before the next batch."""

    def __init__(self, course: Course, task: CoordinatorTask) -> None:
        super().__init__()
        self._course, self._task = course, task

    def _on_rollout_start(self) -> None:
        self._course.look(self.num_timesteps, lambda: LearnedRule(self.model, self._task))

    def _on_step(self) -> bool:
        return True


def made(problem: Problem, name: str, seed: int) -> tuple[BaseAlgorithm, CoordinatorTask]:
    """A contender, and its task."""
    torch.set_num_threads(1)
    algorithm, policy, copies, settings = CONTENDERS[name]
    task = CoordinatorTask(problem, copies, seed)
    gamma = problem.config.settings.discount
    return algorithm(policy, task, gamma=gamma, seed=seed, device="cpu", **settings), task


def learn(problem: Problem, name: str, env_steps: int, seed: int) -> dict[str, Any]:
    """One run."""
    model, task = made(problem, name, seed)
    course = Course(problem, env_steps)
    model.learn(env_steps, _Looking(course, task))
    return course.end(model.num_timesteps, lambda: LearnedRule(model, task))
