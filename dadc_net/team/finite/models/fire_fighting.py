"""Fire fighting (Oliehoek, Spaan and Vlassis, JAIR 2008): agents choose, at each step, which of a row of houses to go to.

A house burns at one of several levels. Two agents at a house put its fire out; one lowers it by a level, for certain where
no neighbour burns and with probability 0.6 where one does. A burning house without an agent gets a level worse with
probability 0.8 next to a fire and 0.4 otherwise; one that does not burn catches fire with 0.8 next to a fire. All that is
judged by the levels before the step. After it, an agent sees flames at its house with probability 0.2, 0.5 or 0.8 for level
0, 1 or more, and the team pays the sum of all levels. At first every level is as likely as any, and nobody is at a house.
"""

from __future__ import annotations

import itertools

from dadc_net.team.finite.build import Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel

ACTIONS = ("go1", "go2", "go3")
OBSERVATIONS = ("flames", "noFlames")
_AGENTS = 2
_LOWERED_BESIDE_FIRE = 0.6
_SPREADS, _GROWS = 0.8, 0.4
_FLAMES = (0.2, 0.5, 0.8)
"""P(flames seen), by level; the last one for every higher level."""


def fire_fighting(houses: int = 3, levels: int = 3) -> FiniteModel:
    """Two agents; a state is the level of each house, then where each agent is (at the start: nowhere)."""
    fires = list(itertools.product(range(levels), repeat=houses))
    places = list(itertools.product(range(houses + 1), repeat=_AGENTS))
    nowhere = places.index((houses,) * _AGENTS)
    where = [*(f"h{house}" for house in range(1, houses + 1)), "start"]

    def burns(fire: Parts, house: int, agents: int) -> dict[int, float]:
        level = fire[house]
        beside = any(fire[h] for h in (house - 1, house + 1) if 0 <= h < houses)
        if agents >= 2:
            return {0: 1.0}
        if agents == 1:
            lowered = _LOWERED_BESIDE_FIRE if beside else 1.0
            return {max(level - 1, 0): lowered, level: 1.0 - lowered} if level else {0: 1.0}
        worse = _SPREADS if beside else _GROWS if level else 0.0
        return {min(level + 1, levels - 1): worse, level: 1.0 - worse} if level < levels - 1 else {level: 1.0}

    def move(state: int, joint: Parts) -> dict[int, float]:
        fire = fires[state // len(places)]
        law = independent([burns(fire, house, joint.count(house)) for house in range(houses)])
        return {fires.index(after) * len(places) + places.index(joint): p for after, p in law.items()}

    def observe(_: Parts, state: int) -> dict[Parts, float]:
        fire, place = (*fires[state // len(places)], 0), places[state % len(places)]
        seen = [_FLAMES[min(fire[house], len(_FLAMES) - 1)] for house in place]
        return independent([{0: p, 1: 1.0 - p} for p in seen])

    return build_model(
        name="fire-fighting",
        states=[
            "_".join([*(f"f{level}" for level in fire), *(where[p] for p in place)]) for fire in fires for place in places
        ],
        actions=(tuple(f"go{house}" for house in range(1, houses + 1)),) * _AGENTS,
        observations=(OBSERVATIONS,) * _AGENTS,
        start={f * len(places) + nowhere: 1.0 / len(fires) for f in range(len(fires))},
        move=move,
        observe=observe,
        reward=lambda *_: 0.0,
        arrival_reward=lambda state: -float(sum(fires[state // len(places)])),
        discount=0.9,
    )
