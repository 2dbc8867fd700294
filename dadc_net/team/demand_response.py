"""Demand response in a smart grid (paper, Appendix D.2): n loads that are on or off, and a target share of them.

Everybody observes the mean field M_t, the shares of loads that are off and on; each load sees its own state besides. A load
may be left to its natural dynamics or be forced off or on, which costs and does not always work:

    nothing        P(on next) = D(s, on)
    force off      P(on next) = eps_1 D(s, on)
    force on       P(on next) = (1 - eps_2) + eps_2 D(s, on)
    reward         R_t = -((c_0 forced off + c_1 forced on) / n + KL(M_t || zeta))

KL is of M_t, before the loads move, with the natural logarithm and 0 log 0 = 0; logarithms are those of ``exact``, so that a
reward is one number on every host. The initial states are drawn independently from P_0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.elementary import log
from dadc_net.schema import require
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import FiniteSpace

NOTHING, FORCE_OFF, FORCE_ON = 0, 1, 2
ACTION_NAMES = ("nothing", "force off", "force on")
OFF, ON = 0, 1


@dataclass(frozen=True, kw_only=True)
class DemandResponseParameters:
    """The model; defaults are the paper's."""

    agents: int = 100
    """n"""
    natural_on_probabilities: tuple[float, float] = (0.75, 0.625)
    """D(off, on) and D(on, on)."""
    off_slip: float = 0.2
    """eps_1: probability that forcing off leaves a load to its natural dynamics."""
    on_slip: float = 0.2
    """eps_2: the same for forcing on."""
    off_cost: float = 0.1
    """c_0"""
    on_cost: float = 0.2
    """c_1"""
    target_on_share: float = 0.3
    """zeta(on)"""
    initial_on_probability: float = 2.0 / 3.0
    """P_0(on)"""
    restart_steps: int = 50
    """Steps after which a copy starts afresh; 0: never, and then the transient from P_0, most of J, is seen once only."""

    def __post_init__(self) -> None:
        require(1 <= self.agents <= 32_767, "env.agents", self.agents, "Give 1 to 32767.")
        natural = self.natural_on_probabilities
        sound = len(natural) == 2 and all(0 <= value <= 1 for value in natural)
        require(sound, "env.natural_on_probabilities", list(natural), "Give two probabilities from 0 to 1.")
        for key in ("off_slip", "on_slip", "initial_on_probability"):
            value = getattr(self, key)
            require(0 <= value <= 1, f"env.{key}", value, "Give a probability from 0 to 1.")
        for key in ("off_cost", "on_cost"):
            value = getattr(self, key)
            require(0 <= value <= 1e6, f"env.{key}", value, "Give a number from 0 to 1e6.")
        share = self.target_on_share
        require(1e-6 <= share <= 1 - 1e-6, "env.target_on_share", share, "Give a share strictly between 0 and 1.")
        require(self.restart_steps >= 0, "env.restart_steps", self.restart_steps, "Give 0 (never) or more.")

    def on_probabilities(self) -> NDArray[np.float64]:
        """P(on next | state, action): [2, 3]."""
        natural = np.array(self.natural_on_probabilities)
        forced_on = (1.0 - self.on_slip) + self.on_slip * natural
        return np.stack((natural, self.off_slip * natural, forced_on), axis=1)

    def action_costs(self) -> NDArray[np.float64]:
        """Of one load's action: [3]."""
        return np.array([0.0, self.off_cost, self.on_cost])

    def divergences(self) -> NDArray[np.float64]:
        """KL(M || zeta) for 0 .. n loads that are on: [n + 1]."""
        on = np.arange(self.agents + 1) / self.agents
        shares = np.stack((1.0 - on, on), axis=1)
        logs = log(np.where(shares > 0.0, shares, 1.0))
        target = log(np.array([1.0 - self.target_on_share, self.target_on_share]))
        terms = shares * (logs - target)
        return np.asarray(terms[:, 0] + terms[:, 1])


_PAIRS = tuple((off, on) for off in range(3) for on in range(3))
DETERMINISTIC = PrescriptionMenu(
    "deterministic",
    tuple(f"off loads: {ACTION_NAMES[off]}, on loads: {ACTION_NAMES[on]}" for off, on in _PAIRS),
    tuple(((off, on),) for off, on in _PAIRS),
)
"""The nine symmetric prescriptions that say one action per state."""


class DemandResponse:
    """E copies of the problem. Satisfies ``Environment``."""

    def __init__(self, parameters: DemandResponseParameters, num_envs: int) -> None:
        self.parameters = parameters
        self._num_envs = num_envs
        self._states = np.zeros((num_envs, parameters.agents), dtype=np.int64)
        self._on_probabilities = parameters.on_probabilities()
        self._divergences = parameters.divergences()
        self._spec = EnvironmentSpec(
            name="demand-response",
            agents=equal_agents(parameters.agents, FiniteSpace((2,)), FiniteSpace((3,))),
            public_space=FiniteSpace((1,)),
            draws_per_step=parameters.agents,
        )

    @property
    def spec(self) -> EnvironmentSpec:
        """n agents with two states and three actions; nothing public besides."""
        return self._spec

    @property
    def num_envs(self) -> int:
        """E."""
        return self._num_envs

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        """One lock-step; draw k decides whether load k is on."""
        parameters = self.parameters
        forced_off = (joint_action == FORCE_OFF).sum(axis=1)
        forced_on = (joint_action == FORCE_ON).sum(axis=1)
        costs = (parameters.off_cost * forced_off + parameters.on_cost * forced_on) / parameters.agents
        rewards = -(costs + self._divergences[self._states.sum(axis=1)])
        moved = draws < self._on_probabilities[self._states, joint_action]
        begun = draws < parameters.initial_on_probability
        self._states = np.where(begin[:, None], begun, moved).astype(np.int64)
        return Outcome(
            self._states[:, :, None].copy(),
            np.zeros((self._num_envs, 1), dtype=np.int64),
            np.where(begin, 0.0, rewards),
            np.full(self._num_envs, Ended.NO, dtype=np.uint8),
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """States [E, n]."""
        return {"states": self._states.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the states from ``state``."""
        self._states = state["states"].copy()
