"""A finite model of one's own in one file: three transmitters that differ share one slot, and hear who sent.

Each has a buffer of one packet, which only it sees, and its own rate of arrivals. A packet gets through if nobody else sends
in that slot. Packets that collide stay where they are, and each of them has cost the energy of a transmission.

    dadc plan launch/examples/three_transmitters.py:make_task --horizon 6
    dadc run launch/examples/three_transmitters.py:make_task --algorithm ppo
"""

from __future__ import annotations

import itertools

from dadc_net.team.finite.build import Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.tasks import Task, finite_task

ACTIONS, BUFFER = ("wait", "send"), ("empty", "full")
SEND, FULL = 1, 1
ARRIVALS = (0.6, 0.3, 0.1)
COLLISION_COST = 0.3


def three_transmitters() -> FiniteModel:
    """Eight states, two actions and two observations of each transmitter."""
    states = list(itertools.product((0, 1), repeat=3))

    def sent(state: int, joint: Parts) -> list[int]:
        return [k for k in range(3) if joint[k] == SEND and states[state][k] == FULL]

    def move(state: int, joint: Parts) -> dict[int, float]:
        on_the_air = sent(state, joint)
        gone = on_the_air if len(on_the_air) == 1 else []
        kept = [full == FULL and k not in gone for k, full in enumerate(states[state])]
        laws = [{1: 1.0} if full else {0: 1.0 - arrival, 1: arrival} for full, arrival in zip(kept, ARRIVALS, strict=True)]
        return {states.index(buffers): p for buffers, p in independent(laws).items()}

    def reward(state: int, joint: Parts) -> float:
        count = len(sent(state, joint))
        return 1.0 if count == 1 else -COLLISION_COST * count

    return build_model(
        name="three-transmitters",
        states=["".join(map(str, buffers)) for buffers in states],
        actions=(ACTIONS,) * 3,
        observations=(BUFFER,) * 3,
        start={states.index((0, 0, 0)): 1.0},
        move=move,
        observe=lambda _, state: {states[state]: 1.0},
        reward=reward,
        discount=0.9,
    )


def make_task() -> Task:
    """What ``dadc run launch/examples/three_transmitters.py:make_task`` runs, under control sharing."""
    return finite_task("three-transmitters", three_transmitters, (ACTIONS,) * 3, (BUFFER,) * 3, 0.9)
