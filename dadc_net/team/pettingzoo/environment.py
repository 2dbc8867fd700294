"""E copies of a PettingZoo ``ParallelEnv`` as a team problem.

Such an environment has no state that could be kept, but most are determined by the seed of the reset and the actions since
then. The seed is made of the lock-step's draws, seed and actions are the state, and ``restore`` resets and plays them again.
One that is not (``env.replayable = false``) is a world that cannot be wound back.

An agent that ends before the others keeps its last observation, does nothing and earns nothing; an episode is over when no
agent is left, terminated if all who left last were. What one reward the team has is said by ``reward``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ConfigError, NumericError
from dadc_net.schema import closest, require
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.pettingzoo.spaces import Actions, observed, observed_space
from dadc_net.team.spaces import BoxSpace, FiniteSpace

SUM, MEAN = "sum", "mean"
_Found = TypeVar("_Found")
_SEEDS = 2.0**31
_AT_RESET = ("observations", "infos")
_AT_STEP = ("observations", "rewards", "terminations", "truncations", "infos")
_NONE = -1
"""Seed of a copy that has not begun."""


@dataclass(frozen=True)
class ParallelParameters:
    """How a PettingZoo environment is run."""

    reward: str = SUM
    """The team's reward: ``sum`` or ``mean`` of the agents', or the name of the agent whose it is."""
    arguments: tuple[str, ...] = ()
    """For the environment's own constructor, as ``name=value`` with a Python literal: ``max_cycles=50``."""
    bound: float = 10.0
    """Where an observation has no bound of its own: it is taken into [-bound, bound]."""
    public_reward: float = 0.0
    """Where positive: the team's last reward, taken into [-this, this], is a public observation. Rewards are common anyway,
    but only what is observed tells the state approximator and the critic how an episode stands."""
    levels: int = 3
    """Of each coordinate of an action that is a box."""
    restart_steps: int = 500
    """Steps after which a copy starts afresh, if it has not ended by itself; 0: never."""
    replayable: bool = True
    """Whether equal seeds and actions bring equal episodes. False: after a crash of the server every copy begins anew."""

    def __post_init__(self) -> None:
        require(0 < self.bound < math.inf, "env.bound", self.bound, "Give a positive number.")
        require(0 <= self.public_reward < math.inf, "env.public_reward", self.public_reward, "Give 0 (not) or more.")
        require(2 <= self.levels <= 101, "env.levels", self.levels, "Give 2 to 101.")
        require(self.restart_steps >= 0, "env.restart_steps", self.restart_steps, "Give 0 (never) or more.")


@dataclass(eq=False)
class _Copy:
    """One environment and what it was told since its reset."""

    native: Any
    seed: int = _NONE
    actions: list[tuple[int, ...]] = field(default_factory=list)
    seen: list[NDArray[np.float64]] = field(default_factory=list)
    """[K][O_k]"""


class ParallelEnvironment:
    """E copies of what ``construct`` makes. Satisfies ``Environment``."""

    def __init__(self, name: str, construct: Callable[[], Any], parameters: ParallelParameters, num_envs: int) -> None:
        """Raises ConfigError if its spaces are not known ones, or ``reward`` names nobody."""
        self._parameters, self._construct, self._num_envs = parameters, construct, num_envs
        first = construct()
        self._agents = tuple(first.possible_agents)
        words = (SUM, MEAN, *map(str, self._agents))
        if parameters.reward not in words:
            raise ConfigError(
                f"env.reward is {parameters.reward!r}, which is no agent of {name}. {closest(parameters.reward, words)} "
                f"Choose one of {', '.join(words)}."
            )
        self._spaces = [first.observation_space(agent) for agent in self._agents]
        named = list(zip(self._agents, self._spaces, strict=True))
        levels = parameters.levels
        self._actions = [Actions(first.action_space(a), levels, f"the action of {a} in {name}") for a in self._agents]
        seen = [observed_space(space, parameters.bound, f"the observation of {agent} in {name}") for agent, space in named]
        self._spec = EnvironmentSpec(
            name=name,
            agents=tuple(AgentSpec(one, act.space) for one, act in zip(seen, self._actions, strict=True)),
            public_space=BoxSpace((-most,), (most,)) if (most := parameters.public_reward) else FiniteSpace((1,)),
            draws_per_step=1,
            truncates=True,
            replayable=parameters.replayable,
        )
        # An agent that has not been there yet sees the least value of each column.
        lowest = [np.concatenate([_lowest(part) for part in space.parts]) for space in seen]
        self._nothing = lowest
        self._copies = [_Copy(first)]

    @property
    def spec(self) -> EnvironmentSpec:
        """The environment's ``possible_agents``; nothing is public but, where it is asked for, the last reward."""
        return self._spec

    @property
    def num_envs(self) -> int:
        """E."""
        return self._num_envs

    def _all(self) -> list[_Copy]:
        """Copies, of which all but the first are made when they are first needed."""
        self._copies += [_Copy(self._construct()) for _ in range(self._num_envs - len(self._copies))]
        return self._copies

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        """One lock-step. Draws per copy: the seed of a reset.

        Raises:
            NumericError: if the environment itself fails.
        """
        rewards = np.zeros(self._num_envs)
        ended = np.full(self._num_envs, Ended.NO, dtype=np.uint8)
        for e, copy in enumerate(self._all()):
            if begin[e]:
                self._reset(copy, int(draws[e, 0] * _SEEDS))
            else:
                rewards[e], ended[e] = self._step(copy, tuple(joint_action[e].tolist()))
        observations = [np.stack([copy.seen[k] for copy in self._copies]) for k in range(len(self._agents))]
        return Outcome(observations, self._public(rewards), rewards, ended)

    def _public(self, rewards: NDArray[np.float64]) -> NDArray[Any]:
        if most := self._parameters.public_reward:
            return np.clip(rewards, -most, most)[:, None]
        return np.zeros((self._num_envs, 1), dtype=np.int64)

    def _reset(self, copy: _Copy, seed: int) -> None:
        where = f"at reset(seed={seed})"
        found, _ = self._asked(lambda: copy.native.reset(seed=seed), _AT_RESET, where)
        copy.seed, copy.actions = seed, []
        copy.seen = [part.copy() for part in self._nothing]
        self._look(copy, found, where)

    def _step(self, copy: _Copy, joint_action: tuple[int, ...]) -> tuple[float, Ended]:
        alive = list(copy.native.agents)
        order = zip(self._agents, self._actions, joint_action, strict=True)
        told = {agent: actions.native(index) for agent, actions, index in order if agent in alive}
        where = f"at step {len(copy.actions) + 1} after reset(seed={copy.seed})"
        found, earned, terminated, *_ = self._asked(lambda: copy.native.step(told), _AT_STEP, where)
        copy.actions.append(joint_action)
        self._look(copy, found, where)
        over = Ended.NO
        if not copy.native.agents:
            over = Ended.TERMINATED if all(terminated.get(agent, False) for agent in alive) else Ended.TRUNCATED
        return self._guarded(lambda: self._team_reward(earned), where), over

    def _asked(self, call: Callable[[], Any], parts: tuple[str, ...], where: str) -> Any:
        """What ``call`` returns. Raises NumericError if those are not ``parts``."""
        returned = self._guarded(call, where)
        if isinstance(returned, tuple) and len(returned) == len(parts):
            return returned
        count = f" of {len(returned)}" if isinstance(returned, tuple) else ""
        raise NumericError(
            f"the environment {self._spec.name} returned a {type(returned).__name__}{count} {where}, where a tuple of "
            f"{', '.join(parts)} belongs. The run cannot go on. Bring it up to PettingZoo's present ParallelEnv."
        )

    def _look(self, copy: _Copy, found: Mapping[Any, Any], where: str) -> None:
        for k, (agent, space) in enumerate(zip(self._agents, self._spaces, strict=True)):
            if agent in found:
                seen = self._guarded(lambda: observed(space, found[agent], self._parameters.bound), where)  # noqa: B023
                if len(seen) == len(self._nothing[k]):
                    copy.seen[k] = seen
                    continue
                what = f"gives {agent} an observation of {len(seen)} numbers"
            elif agent in copy.native.agents:
                what = f"gives {agent} no observation"
            else:
                continue
            raise NumericError(
                f"the environment {self._spec.name} {what} {where}, where one of {len(self._nothing[k])} numbers, a value "
                f"of {space}, belongs. The run cannot go on. Correct the environment."
            )

    def _team_reward(self, earned: Mapping[Any, Any]) -> float:
        kind = self._parameters.reward
        whose = [agent for agent in self._agents if kind in (SUM, MEAN, str(agent))]
        total = sum(float(earned.get(agent, 0.0)) for agent in whose)
        return total / len(self._agents) if kind == MEAN else total

    def _guarded(self, call: Callable[[], _Found], where: str) -> _Found:
        try:
            return call()
        except Exception as error:  # It is somebody else's program.
            raise NumericError(
                f"the environment {self._spec.name} raised {type(error).__name__}: {error}, {where}. The run cannot go on. "
                "Correct the environment, or its env.arguments."
            ) from error

    def state(self) -> dict[str, NDArray[Any]]:
        """Per copy the seed of its reset [E], the number of steps since [E] and their joint actions [E, T, K]."""
        copies = self._all()
        longest = max(1, *(len(copy.actions) for copy in copies))
        actions = np.zeros((len(copies), longest, len(self._agents)), dtype=np.int64)
        for e, copy in enumerate(copies):
            if copy.actions:
                actions[e, : len(copy.actions)] = copy.actions
        return {
            "seeds": np.array([copy.seed for copy in copies], dtype=np.int64),
            "steps": np.array([len(copy.actions) for copy in copies], dtype=np.int64),
            "actions": actions,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Reset every copy as ``state`` says and play its actions again. Raises NumericError as ``advance``."""
        for e, copy in enumerate(self._all()):
            copy.seed = int(state["seeds"][e])
            if copy.seed != _NONE:
                self._reset(copy, copy.seed)
                for row in state["actions"][e, : int(state["steps"][e])].tolist():
                    self._step(copy, tuple(row))


def _lowest(part: Any) -> NDArray[np.float64]:
    return np.zeros(part.columns) if isinstance(part, FiniteSpace) else np.array(part.low)
