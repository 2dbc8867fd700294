"""Appendix D.1 written down from the paper in fractions, without the code under test; and beliefs by Bayes' rule.

A state is (B^1, B^2, S); 1 means a packet, a busy channel, a transmission. The buffer equation has the *other* device's
complement, where the paper prints the device's own; ``test_appendix_d1`` shows why.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction as F
from itertools import product

State = tuple[int, int, int]
Joint = tuple[int, int]
Seen = tuple[int, int, int]
"""z: both actions, and the channel during that step or ``UNSEEN``"""
Law = dict[State, F]

ALPHA = (F(75, 100), F(75, 100))
ARRIVAL = (F(3, 10), F(6, 10))
REWARD, COST, DISCOUNT = F(1), F(4, 10), F(9, 10)
UNSEEN = 2
START: State = (0, 0, 0)
OPPORTUNITIES: dict[str, tuple[Joint, ...]] = {"paper": ((1, 0), (0, 1), (1, 1)), "all": ((1, 0), (0, 1), (1, 1), (0, 0))}
"""E.1: the first agent, the second, or both may transmit; ``all``: or nobody."""


def transition(channel: int, after: int) -> F:
    """P = [[alpha_0, 1 - alpha_0], [1 - alpha_1, alpha_1]]."""
    return ALPHA[channel] if after == channel else 1 - ALPHA[channel]


def buffer(own: int, sends: int, other_sends: int, channel: int, arrives: int) -> int:
    """B_{t+1} = min{B_t - A_t (1 - A'_t)(1 - S_t) + W_t, 1}, A' the other device's action."""
    return min(own - sends * (1 - other_sends) * (1 - channel) + arrives, 1)


def reward(action: Joint, channel: int) -> F:
    """R_t = -(A^1 + A^2) kappa + (A^1 xor A^2)(1 - S_t) r."""
    return -(action[0] + action[1]) * COST + (action[0] ^ action[1]) * (1 - channel) * REWARD


def seen(action: Joint, channel: int) -> Seen:
    """Both actions one step later, and the channel's state if either of them transmits."""
    return (*action, channel if any(action) else UNSEEN)


def moves(state: State, action: Joint) -> Law:
    """Law of the next state."""
    first, second, channel = state
    law: Law = {}
    for w_1, w_2, after in product((0, 1), repeat=3):
        chance = transition(channel, after)
        for arrives, probability in zip((w_1, w_2), ARRIVAL, strict=True):
            chance *= probability if arrives else 1 - probability
        following = (buffer(first, *action, channel, w_1), buffer(second, *action[::-1], channel, w_2), after)
        law[following] = law.get(following, F(0)) + chance
    return law


def obey(opportunity: Joint, state: State) -> Joint:
    """Transmit if there is the opportunity and a packet, else not."""
    return opportunity[0] * state[0], opportunity[1] * state[1]


class Branch:
    """What follows a belief under a prescription when z is seen."""

    def __init__(self) -> None:
        self.chance = F(0)
        self.gain = F(0)
        """E[R; z]"""
        self.law: Law = {}
        """Posterior of the next state."""


def branches(belief: Law, opportunity: Joint) -> dict[Seen, Branch]:
    """Bayes' rule over the joint law of all states: z -> its probability, its reward and the posterior."""
    found: dict[Seen, Branch] = {}
    for state, weight in belief.items():
        action = obey(opportunity, state)
        branch = found.setdefault(seen(action, state[2]), Branch())
        branch.chance += weight
        branch.gain += weight * reward(action, state[2])
        for following, chance in moves(state, action).items():
            branch.law[following] = branch.law.get(following, F(0)) + weight * chance
    for branch in found.values():
        branch.law = {state: weight / branch.chance for state, weight in branch.law.items()}
    return {z: branch for z, branch in found.items() if branch.chance > 0}


def optimum(belief: Law, horizon: int, menu: Sequence[Joint]) -> F:
    """The dynamic program (2) with a horizon, over beliefs that are whole joint laws."""
    if horizon == 0:
        return F(0)
    return max(
        sum(
            (b.gain + DISCOUNT * b.chance * optimum(b.law, horizon - 1, menu) for b in branches(belief, choice).values()),
            F(0),
        )
        for choice in menu
    )


def product_law(busy: float, first: float, second: float) -> dict[State, float]:
    """The joint law of three independent bits."""
    chances = ((1 - first, first), (1 - second, second), (1 - busy, busy))
    return {(x, y, s): chances[0][x] * chances[1][y] * chances[2][s] for x, y, s in product((0, 1), repeat=3)}
