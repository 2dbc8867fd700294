"""Recycling robots (Amato, Bernstein and Zilberstein, UAI 2007): two robots that pick up cans until a battery is low.

Each robot knows its own battery, high or low. It recharges, searches for a small can alone, or lifts a big one together with
the other. What it does wears the battery out: from high it may become low; from low it may run empty, and the robot is
carried home, charged, at a price that the team pays in place of that step's cans.

The transcription in MADP calls the first action "searchbig" and the last "waitandrecharge", but its numbers are those of
recharging and of the big can; the order here is that of its numbers, the names are right.
"""

from __future__ import annotations

import itertools

from dadc_net.team.finite.build import Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel

ACTIONS = ("recharge", "little", "big")
OBSERVATIONS = ("high", "low")
HIGH, LOW = 0, 1
RECHARGE, LITTLE, BIG = 0, 1, 2
_WEARS = (0.0, 0.3, 0.5)
"""P(low next | high), by action"""
_EMPTIES = (0.0, 0.2, 0.3)
"""P(empty | low), by action; recharging always fills"""
_LITTLE_REWARD, _BIG_REWARD, _RESCUE = 2.0, 5.0, -10.0


def recycling() -> FiniteModel:
    """Four states, three actions and two observations each."""
    states = list(itertools.product((HIGH, LOW), repeat=2))

    def battery(level: int, action: int) -> dict[int, float]:
        if action == RECHARGE:
            return {HIGH: 1.0}
        if level == HIGH:
            return {HIGH: 1.0 - _WEARS[action], LOW: _WEARS[action]}
        return {HIGH: _EMPTIES[action], LOW: 1.0 - _EMPTIES[action]}

    def move(state: int, joint: Parts) -> dict[int, float]:
        law = independent([battery(level, action) for level, action in zip(states[state], joint, strict=True)])
        return {states.index(levels): p for levels, p in law.items()}

    def reward(state: int, joint: Parts) -> float:
        cans = _BIG_REWARD * (joint == (BIG, BIG)) + _LITTLE_REWARD * joint.count(LITTLE)
        empties = [_EMPTIES[a] if level == LOW else 0.0 for level, a in zip(states[state], joint, strict=True)]
        laws = independent([{0: 1.0 - p, 1: p} for p in empties])
        return sum(p * (_RESCUE * sum(empty) if any(empty) else cans) for empty, p in laws.items())

    return build_model(
        name="recycling",
        states=[f"{OBSERVATIONS[one]}-{OBSERVATIONS[two]}" for one, two in states],
        actions=(ACTIONS,) * 2,
        observations=(OBSERVATIONS,) * 2,
        start={0: 1.0},
        move=move,
        observe=lambda _, state: {states[state]: 1.0},
        reward=reward,
        discount=0.9,
    )
