"""The coordinated multi-access broadcast problem: belief of product form, enumerated and solved.

Given the common information, channel and buffers are independent: a belief is (P(S = busy), P(B^1 = 1), P(B^2 = 1)).
Under a prescription each agent that may transmit reveals its buffer by its action; a transmission reveals the channel.
The reachable beliefs are found breadth first, a whole frontier at once. Beliefs that agree after rounding are one state;
where that leaves too many, one digit less is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ConfigError
from dadc_net.planning.coordinated_model import Array, CoordinatedModel
from dadc_net.team.multi_access_broadcast import (
    BLANK,
    BUSY,
    IDLE,
    MENUS,
    MultiAccessBroadcastParameters,
)

_MOST_BELIEFS = 60_000
_FEWEST_DIGITS = 3
_COLUMNS = ("P(channel busy)", "P(buffer 1 full)", "P(buffer 2 full)")

OUTCOMES: NDArray[np.int64] = np.array(
    [(a1, a2, symbol) for a1 in (0, 1) for a2 in (0, 1) for symbol in ((IDLE, BUSY) if a1 + a2 else (BLANK,))],
    dtype=np.int64,
)
"""[7, 3] what can be seen: both actions, and the channel if anyone transmitted."""


class Expansion(NamedTuple):
    """What may follow n beliefs under M prescriptions."""

    reward: Array
    """[n, M]"""
    probability: Array
    """[n, M, Z]"""
    following: Array
    """[n, M, Z, 3] belief after each outcome"""


def expand(beliefs: Array, parameters: MultiAccessBroadcastParameters, opportunities: Array) -> Expansion:
    """All (prescription, outcome) pairs of a set of beliefs [n, 3].

    ``opportunities`` [1 or n, M, 2]: probability with which each device transmits if it has a packet; 0 and 1 in a menu.
    """
    count, entries = len(beliefs), opportunities.shape[1]
    busy = beliefs[:, None, 0]
    arrival = np.array(parameters.arrival_probabilities)
    idle_stays, busy_stays = parameters.stay_probabilities
    reward = np.zeros((count, entries))
    probability = np.zeros((count, entries, len(OUTCOMES)))
    following = np.zeros((count, entries, len(OUTCOMES), 3))
    for index, (a1, a2, symbol) in enumerate(OUTCOMES.tolist()):
        transmitters = a1 + a2
        success = transmitters == 1 and symbol == IDLE
        seen = {IDLE: 1.0 - busy, BUSY: busy, BLANK: np.ones_like(busy)}[symbol]
        chance = np.broadcast_to(seen, (count, entries)).copy()
        for device, action in enumerate((a1, a2)):
            full = beliefs[:, None, 1 + device]
            may = opportunities[:, :, device]
            sends = full * may
            chance = chance * (sends if action else 1.0 - sends)
            # After silence a full buffer is what is left of it; certain senders leave none.
            silent = np.divide(full * (1.0 - may), 1.0 - sends, out=np.zeros((count, entries)), where=sends < 1.0)
            left = float(not success) if action else silent
            following[:, :, index, 1 + device] = left + (1.0 - left) * arrival[device]
        now = busy if symbol == BLANK else float(symbol == BUSY)
        following[:, :, index, 0] = now * busy_stays + (1.0 - now) * (1.0 - idle_stays)
        probability[:, :, index] = chance
        gain = parameters.success_reward * success - parameters.transmission_cost * transmitters
        reward += chance * gain
    return Expansion(reward, probability, following)


def build_model(parameters: MultiAccessBroadcastParameters, menu_name: str, digits: int = 5) -> CoordinatedModel:
    """Enumerate the reachable beliefs; at most ``digits`` decimal digits tell beliefs apart.

    Raises:
        ConfigError: if even 3 digits leave too many beliefs.
    """
    menu = MENUS[menu_name]
    # A device that may transmit does so exactly when it has a packet, so the table's second column is the opportunity.
    opportunities = menu.table()[None, :, :, 1].astype(np.float64)
    for kept in range(digits, _FEWEST_DIGITS - 1, -1):
        found = _enumerate(parameters, opportunities, kept)
        if found is not None:
            beliefs, expansion, following = found
            z_0 = np.array([0, 0, parameters.start_symbol], dtype=np.int64)
            return CoordinatedModel(
                beliefs=beliefs,
                reward=expansion.reward,
                probability=expansion.probability,
                next_belief=following,
                outcomes=OUTCOMES,
                start=0,
                start_common=z_0,
                prescriptions=menu.entries,
                columns=_COLUMNS,
                rounding=10.0**-kept,
            )
    raise ConfigError(
        f"the model with {parameters} reaches more than {_MOST_BELIEFS} beliefs that differ by 1e-{_FEWEST_DIGITS}. "
        "The exact planner cannot enumerate them. Choose a channel that forgets faster (env.stay_probabilities) or packets "
        "that arrive more often (env.arrival_probabilities)."
    )


def _enumerate(
    parameters: MultiAccessBroadcastParameters, opportunities: Array, digits: int
) -> tuple[Array, Expansion, NDArray[np.int64]] | None:
    """Beliefs, their expansion and successor indices; None if there are too many."""
    start = np.array([[parameters.initial_busy_probability, 0.0, 0.0]])
    place: dict[bytes, int] = {}
    known: list[Array] = []
    parts: list[tuple[Expansion, NDArray[np.int64]]] = []
    frontier = _register(start, digits, place, known)[1]
    while len(frontier):
        expansion = expand(frontier, parameters, opportunities)
        reachable = expansion.probability > 0.0
        indices = np.zeros(reachable.shape, dtype=np.int64)
        indices[reachable], fresh = _register(expansion.following[reachable], digits, place, known)
        parts.append((expansion, indices))
        if len(place) > _MOST_BELIEFS:
            return None
        frontier = fresh
    joined = Expansion(*(np.concatenate(column) for column in zip(*(part[0] for part in parts), strict=True)))
    return np.concatenate(known), joined, np.concatenate([part[1] for part in parts])


def _register(beliefs: Array, digits: int, place: dict[bytes, int], known: list[Array]) -> tuple[NDArray[np.int64], Array]:
    """Index of each belief [n, 3], giving numbers to new ones in order of appearance; and the new ones."""
    rounded = np.rint(beliefs * 10.0**digits).astype(np.int64)
    unique, first, inverse = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    numbers = np.empty(len(unique), dtype=np.int64)
    fresh: list[int] = []
    for position in np.argsort(first, kind="stable").tolist():
        key = unique[position].tobytes()
        if key not in place:
            place[key] = len(place)
            fresh.append(int(first[position]))
        numbers[position] = place[key]
    new = beliefs[fresh]
    if fresh:
        known.append(new)
    return numbers[inverse.reshape(-1)], new
