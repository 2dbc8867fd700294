"""Multi-access broadcast (paper, Appendix D.1): two transmitters, one slotted channel.

Each device has a buffer of one packet; packets arrive by Bernoulli processes. The channel is idle (0) or busy (1), a
Markov chain. A transmission succeeds if exactly one device transmits and the channel is idle. Both devices see both
actions one step later, and the channel's state if at least one of them transmitted; each sees its own buffer.

Within a step, in this order: transmissions U = min(A, B), since a device without a packet has nothing to send; arrivals W;
success if U^1 + U^2 = 1 and S = 0; buffers B <- min(B - U success + W, 1); reward with the *old* channel state; the channel
symbol (S, or blank if nobody transmitted); the channel moves. Under the menus below A <= B, so U = A.

Deviation: the printed buffer equation multiplies a device's action by its own complement, which is always zero; the
*other* device's complement is meant. Deviation: the text codes "transmit and no transmit" as {0, 1}; the reward
equation needs 1 = transmit. Deviation: the paper does not say how a run starts; here buffers are empty and the channel
is idle and known, unless ``initial_busy_probability`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.schema import require
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.tables import EnvironmentTables

IDLE, BUSY, BLANK = 0, 1, 2
_DRAWS = 3


@dataclass(frozen=True, kw_only=True)
class MultiAccessBroadcastParameters:
    """The model; defaults are the paper's."""

    stay_probabilities: tuple[float, float] = (0.75, 0.75)
    """alpha_0, alpha_1: the idle channel stays idle, the busy one stays busy."""
    arrival_probabilities: tuple[float, float] = (0.3, 0.6)
    """p^1, p^2: a packet arrives at device 1, device 2."""
    success_reward: float = 1.0
    """r"""
    transmission_cost: float = 0.4
    """kappa"""
    initial_busy_probability: float = 0.0
    """P(S_0 = 1). 0 or 1: known to everyone. In between: unknown, z_0 is blank; 0.5 is stationary for the defaults."""
    restart_steps: int = 300
    """Steps after which a copy starts afresh; 0: never."""

    def __post_init__(self) -> None:
        probability = "Give a probability from 0 to 1."
        for key in ("stay_probabilities", "arrival_probabilities"):
            values = getattr(self, key)
            sound = len(values) == 2 and all(0 <= value <= 1 for value in values)
            require(sound, f"env.{key}", list(values), "Give two probabilities from 0 to 1.")
        busy = self.initial_busy_probability
        require(0 <= busy <= 1, "env.initial_busy_probability", busy, probability)
        for key in ("success_reward", "transmission_cost"):
            value = getattr(self, key)
            require(abs(value) <= 1e6, f"env.{key}", value, "Give a number of magnitude at most 1e6.")
        require(self.restart_steps >= 0, "env.restart_steps", self.restart_steps, "Give 0 (never) or more.")

    @property
    def start_symbol(self) -> int:
        """Channel symbol of z_0."""
        return {0.0: IDLE, 1.0: BUSY}.get(self.initial_busy_probability, BLANK)


_ENTRIES = ("agent 1 may transmit", "agent 2 may transmit", "both may transmit", "nobody may transmit")
_WAIT, _TRANSMIT_IF_PACKET = (0, 0), (0, 1)
_TABLES = (
    (_TRANSMIT_IF_PACKET, _WAIT),
    (_WAIT, _TRANSMIT_IF_PACKET),
    (_TRANSMIT_IF_PACKET, _TRANSMIT_IF_PACKET),
    (_WAIT, _WAIT),
)
MENUS = {
    "paper": PrescriptionMenu("paper", _ENTRIES[:3], _TABLES[:3]),
    "all": PrescriptionMenu("all", _ENTRIES, _TABLES),
}
"""``paper``: the three prescriptions of E.1. ``all``: with the fourth, which E.1 leaves out and which is worth 28 %."""


class MultiAccessBroadcast:
    """E copies of the problem. Satisfies ``Environment``."""

    def __init__(self, parameters: MultiAccessBroadcastParameters, num_envs: int) -> None:
        self.parameters = parameters
        self._num_envs = num_envs
        self._state = np.zeros(num_envs, dtype=np.int64)
        """[E] both buffers and the channel, as a binary number."""
        self._spec = EnvironmentSpec(
            name="multi-access-broadcast",
            agents=equal_agents(2, FiniteSpace((2,)), FiniteSpace((2,))),
            public_space=FiniteSpace((3,)),
            draws_per_step=_DRAWS,
        )
        self._chances, self._rewards, self._symbols = _tables(parameters)
        self._nobody = np.full(num_envs, Ended.NO, dtype=np.uint8)

    @property
    def spec(self) -> EnvironmentSpec:
        """Two agents, binary buffers and actions, public channel symbol."""
        return self._spec

    @property
    def num_envs(self) -> int:
        """E."""
        return self._num_envs

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        """One lock-step. Draws per copy: arrival at 1, arrival at 2, channel."""
        case = joint_action @ _ACTION_PLACES + self._state
        if b"\1" in begin.tobytes():
            case = np.where(begin, _BEGINS, case)
        moved = (draws < self._chances[case]).astype(np.int64)
        self._state = moved @ _STATE_PLACES
        return Outcome(moved[:, :2, None], self._symbols[case], self._rewards[case], self._nobody.copy())

    def transition_tables(self) -> EnvironmentTables:
        """The 33 cases, drawn for bit by bit as ``advance`` does."""
        cases = np.arange(_BEGINS + 1)
        # Nodes: each case, then with the first bit, then with both; a bit is 1 where the draw is below its chance.
        known = [np.repeat(cases, 2**bits) for bits in range(_DRAWS)]
        chances = np.concatenate([self._chances[case, bit] for bit, case in enumerate(known)])
        nodes, leaves = len(chances), np.repeat(cases, 2**_DRAWS)
        states = np.tile(np.arange(2**_DRAWS), _BEGINS + 1)
        following = np.concatenate([np.arange(nodes)[_BEGINS + 1 :], np.arange(len(leaves))])
        return EnvironmentTables(
            roots=cases,
            first=2 * np.arange(nodes),
            threshold=np.stack((chances, np.ones(nodes)), axis=1).reshape(-1),
            child=following.reshape(-1, 2)[:, ::-1].reshape(-1),
            state=states,
            seen=states >> 1,
            public=self._symbols[leaves, 0],
            reward=self._rewards[leaves],
            over=np.zeros(len(leaves), dtype=np.bool_),
        )

    def state_numbers(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        """[E]"""
        numbers: NDArray[np.int64] = np.column_stack((state["buffers"], state["busy"])) @ _STATE_PLACES
        return numbers

    def state_of(self, numbers: NDArray[np.int64], _steps: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Of copies in these states [E], whatever the step."""
        return _named(numbers)

    def state(self) -> dict[str, NDArray[Any]]:
        """Buffers [E, 2] and channels [E]."""
        return _named(self._state)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take buffers and channels from ``state``."""
        self._state = self.state_numbers(state)


_ACTION_PLACES, _STATE_PLACES, _STATE_SHIFTS = np.array([16, 8]), np.array([4, 2, 1]), np.array([2, 1, 0])
_BEGINS = 32
"""The case of a copy that begins; cases before it are both actions, both buffers and the channel, as a binary number."""


def _named(numbers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Buffers [E, 2] and channels [E] of states by number."""
    digits = numbers[:, None] >> _STATE_SHIFTS & 1
    return {"buffers": digits[:, :2].copy(), "busy": digits[:, 2].copy()}


def _tables(
    parameters: MultiAccessBroadcastParameters,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """What follows in each of the 33 cases: the model of this module, worked out once.

    Returns:
        The probability with which each of the next buffers and the channel becomes 1 [33, 3]; every draw is below it where
        it is certain. Rewards [33], and channel symbols [33, 1].
    """
    digits = np.arange(_BEGINS)[:, None] >> np.arange(4, -1, -1) & 1
    actions, buffers, busy = digits[:, :2], digits[:, 2:4], digits[:, 4]
    transmissions = np.minimum(actions, buffers)
    transmitters = transmissions.sum(axis=1)
    success = (transmitters == 1) & (busy == IDLE)
    rewards = parameters.success_reward * success - parameters.transmission_cost * transmitters
    kept = buffers - transmissions * success[:, None]
    idle_stays, busy_stays = parameters.stay_probabilities
    chances = np.zeros((_BEGINS + 1, 3))
    chances[:_BEGINS, :2] = np.where(kept == 1, 1.0, parameters.arrival_probabilities)
    chances[:_BEGINS, 2] = np.array([1.0 - idle_stays, busy_stays])[busy]
    chances[_BEGINS, 2] = parameters.initial_busy_probability
    symbols = np.append(np.where(transmitters > 0, busy, BLANK), parameters.start_symbol)
    return chances, np.append(rewards, 0.0), symbols[:, None]
