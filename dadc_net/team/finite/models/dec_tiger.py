"""Dec-Tiger (Nair, Tambe, Yokoo, Pynadath and Marsella, IJCAI 2003): two doors, a tiger behind one.

Both agents listen or open a door. Only when both listen does the tiger stay and is anything to be heard, by each alone and
right with probability 0.85; otherwise the tiger is put anew behind either door, and what is heard says nothing.
"""

from __future__ import annotations

from dadc_net.team.finite.build import Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel

ACTIONS = ("listen", "open-left", "open-right")
OBSERVATIONS = ("hear-left", "hear-right")
LISTEN, OPEN_LEFT, OPEN_RIGHT = 0, 1, 2
LEFT, RIGHT = 0, 1
_TREASURE, _TIGER = 20.0, -50.0
"""Both agents open the same door: what is behind it."""
_APART = -100.0
"""They open different doors."""
_ALONE_TREASURE, _ALONE_TIGER = 9.0, -101.0
"""One opens while the other listens."""
_LISTEN = -2.0


def dec_tiger(hearing: float = 0.85, left: float = 0.5) -> FiniteModel:
    """Two states, three actions and two observations each.

    Args:
        hearing: probability that an agent hears the tiger where it is.
        left: probability that the tiger is behind the left door at first.
    """

    def move(state: int, joint: Parts) -> dict[int, float]:
        return {state: 1.0} if joint == (LISTEN, LISTEN) else {LEFT: 0.5, RIGHT: 0.5}

    def observe(joint: Parts, state: int) -> dict[Parts, float]:
        right = hearing if joint == (LISTEN, LISTEN) else 0.5
        return independent([{state: right, 1 - state: 1.0 - right}] * 2)

    def reward(state: int, joint: Parts) -> float:
        opened = {action for action in joint if action != LISTEN}
        if not opened:
            return _LISTEN
        if len(opened) == 2:
            return _APART
        tiger = opened == {OPEN_LEFT if state == LEFT else OPEN_RIGHT}
        if LISTEN in joint:
            return _ALONE_TIGER if tiger else _ALONE_TREASURE
        return _TIGER if tiger else _TREASURE

    return build_model(
        name="dec-tiger",
        states=("tiger-left", "tiger-right"),
        actions=(ACTIONS,) * 2,
        observations=(OBSERVATIONS,) * 2,
        start={LEFT: left, RIGHT: 1.0 - left},
        move=move,
        observe=observe,
        reward=reward,
        discount=0.9,
    )
