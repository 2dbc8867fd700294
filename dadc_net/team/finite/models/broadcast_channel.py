"""Multi-access broadcast channel (Hansen, Bernstein and Zilberstein, AAAI 2004): two senders, one slot.

Each sender has a buffer of one message. A message gets through when exactly one of the two sends; its place, like every
empty place, is filled again with the sender's own probability. When both send, both messages are lost, as in MADP's
transcription. Each sender hears, wrongly with probability 0.1 and independently, whether there was a collision; its own
buffer it does not see.

This is not the paper's broadcast problem: ``dadc_net.team.multi_access_broadcast`` is that.
"""

from __future__ import annotations

import itertools

from dadc_net.team.finite.build import Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel

ACTIONS = ("send", "wait")
OBSERVATIONS = ("Collision", "No-Collision")
SEND, WAIT = 0, 1
COLLISION, NO_COLLISION = 0, 1


def broadcast_channel(arrivals: tuple[float, float] = (0.9, 0.1), hearing: float = 0.9) -> FiniteModel:
    """Four states, two actions and two observations each.

    Args:
        arrivals: probability that an empty buffer is filled, for each sender.
        hearing: probability that a sender hears rightly.
    """
    states = list(itertools.product((0, 1), repeat=2))

    def move(state: int, joint: Parts) -> dict[int, float]:
        laws = [
            {1: 1.0} if full and action == WAIT else {0: 1.0 - arrival, 1: arrival}
            for full, action, arrival in zip(states[state], joint, arrivals, strict=True)
        ]
        return {states.index(buffers): p for buffers, p in independent(laws).items()}

    def observe(joint: Parts, _: int) -> dict[Parts, float]:
        truth = COLLISION if joint == (SEND, SEND) else NO_COLLISION
        return independent([{truth: hearing, 1 - truth: 1.0 - hearing}] * 2)

    def reward(state: int, joint: Parts) -> float:
        sent = [full for full, action in zip(states[state], joint, strict=True) if action == SEND]
        return 1.0 if sent == [1] else 0.0

    return build_model(
        name="broadcast-channel",
        states=[f"S{one}{two}" for one, two in states],
        actions=(ACTIONS,) * 2,
        observations=(OBSERVATIONS,) * 2,
        start={states.index((1, 1)): 1.0},
        move=move,
        observe=observe,
        reward=reward,
        discount=0.9,
    )
