"""Cooperative box pushing (Seuken and Zilberstein, UAI 2007): three boxes, of which the large one takes two agents.

Two agents stand on a row of four cells below the boxes: small ones above cells 1 and 4, the large one above 2 and 3. They
turn left or right, move forward or stay; an action succeeds with probability 0.9, otherwise the agent stays as it is. Facing
north forward pushes: a small box at once (10), the large box only by both agents in the same step (100). Each agent costs
0.1 a step, and 5 when it runs into a wall, the other agent or a box that is too heavy. A box at its goal ends a round:
whatever is done then, both agents are back at their start. Agents see what is in front of them.

Rewards are for the attempt: they do not wait for the action to succeed. Neither agent can pass the other.

MADP's transcription turns agent 2 from west to south in one outcome (agents at 2 facing east and at 4 facing west, both
forward, only agent 1 succeeds); here it keeps its direction.
"""

from __future__ import annotations

import itertools

from dadc_net.team.finite.build import Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel

ACTIONS = ("turnLeft", "turnRight", "moveForward", "stay")
TURN_LEFT, TURN_RIGHT, FORWARD, STAY = range(4)
OBSERVATIONS = ("emptyField", "wall", "otherAgent", "smallBox", "largeBox")
EMPTY, WALL, OTHER, SMALL, LARGE = range(5)
NORTH, EAST, SOUTH, WEST = range(4)
_GOALS = ("leftBoxAtGoal", "rightBoxAtGoal", "bothSmallAtGoal", "largeBoxAtGoal")
_LEFT_GOAL, _RIGHT_GOAL, _BOTH_GOAL, _LARGE_GOAL = range(4)
_SUCCESS = 0.9
_STEP, _BUMP, _SMALL_REWARD, _LARGE_REWARD = -0.1, -5.0, 10.0, 100.0

Agent = tuple[int, int]
"""Cell 1 .. 4, direction."""
_AGENTS: list[tuple[Agent, Agent]] = [
    ((one, facing), (two, other))
    for one, facing, two, other in sorted(
        (one, facing, two, other)
        for one, two in itertools.combinations(range(1, 5), 2)
        for facing, other in itertools.product(range(4), repeat=2)
    )
]
"""States after the four goals, in the order of MADP's transcription."""
_PLACES = {agents: len(_GOALS) + i for i, agents in enumerate(_AGENTS)}
_START = _PLACES[((1, EAST), (4, WEST))]


def _in_front(agent: Agent, other: Agent) -> int:
    cell, facing = agent
    if facing == NORTH:
        return SMALL if cell in (1, 4) else LARGE
    if facing == SOUTH:
        return WALL
    ahead = cell + (1 if facing == EAST else -1)
    return OTHER if ahead == other[0] else EMPTY if 1 <= ahead <= 4 else WALL


def _after(agent: Agent, action: int) -> Agent:
    """Where an agent is if its action succeeds and nothing is in its way."""
    cell, facing = agent
    if action in (TURN_LEFT, TURN_RIGHT):
        return cell, (facing + (1 if action == TURN_RIGHT else 3)) % 4
    return (cell + {EAST: 1, WEST: -1}.get(facing, 0), facing) if action == FORWARD else agent


def _observe(state: int) -> Parts:
    if state < len(_GOALS):
        return EMPTY, EMPTY
    one, two = _AGENTS[state - len(_GOALS)]
    return _in_front(one, two), _in_front(two, one)


def _collide(agents: tuple[Agent, Agent], joint: Parts) -> bool:
    """Both move forward to the one cell between them."""
    ends = [_after(agent, action)[0] for agent, action in zip(agents, joint, strict=True)]
    return joint == (FORWARD, FORWARD) and ends[0] == ends[1]


def _result(agents: tuple[Agent, Agent], joint: Parts, succeeds: Parts) -> int:
    """The next state when it is known whose action succeeds."""
    seen = (_in_front(agents[0], agents[1]), _in_front(agents[1], agents[0]))
    done = [action if good else STAY for action, good in zip(joint, succeeds, strict=True)]
    pushes = [action == FORWARD and what == SMALL for action, what in zip(done, seen, strict=True)]
    if any(pushes):
        # An agent that pushes a small box stands at an end of the row.
        return _BOTH_GOAL if all(pushes) else _LEFT_GOAL if agents[pushes.index(True)][0] == 1 else _RIGHT_GOAL
    if done == [FORWARD, FORWARD] and seen == (LARGE, LARGE):
        return _LARGE_GOAL
    if _collide(agents, (done[0], done[1])):
        return _PLACES[agents]
    blocked = [action == FORWARD and what != EMPTY for action, what in zip(done, seen, strict=True)]
    after = [a if stuck else _after(a, action) for a, action, stuck in zip(agents, done, blocked, strict=True)]
    return _PLACES[(after[0], after[1])]


def _move(state: int, joint: Parts) -> dict[int, float]:
    if state < len(_GOALS):
        return {_START: 1.0}
    agents = _AGENTS[state - len(_GOALS)]
    hundredths: dict[int, int] = {}
    for succeeds in itertools.product((1, 0), repeat=2):
        weight = round(100 * independent([{1: _SUCCESS, 0: 1.0 - _SUCCESS}] * 2)[succeeds])
        target = _result(agents, joint, succeeds)
        hundredths[target] = hundredths.get(target, 0) + weight
    return {target: count / 100.0 for target, count in hundredths.items()}


def _reward(state: int, joint: Parts) -> float:
    if state < len(_GOALS):
        return 0.0
    agents = _AGENTS[state - len(_GOALS)]
    seen = _observe(state)
    total = 2 * _STEP
    if joint == (FORWARD, FORWARD) and seen == (LARGE, LARGE):
        return total + _LARGE_REWARD
    for action, what in zip(joint, seen, strict=True):
        if action == FORWARD:
            bump = what in (WALL, OTHER, LARGE) or _collide(agents, joint)
            total += _SMALL_REWARD if what == SMALL else _BUMP if bump else 0.0
    return total


def box_pushing() -> FiniteModel:
    """A hundred states, four actions and five observations each."""
    letters = "NESW"
    names = [f"s{one}{letters[facing]}{two}{letters[other]}" for (one, facing), (two, other) in _AGENTS]
    return build_model(
        name="box-pushing",
        states=[*_GOALS, *names],
        actions=(ACTIONS,) * 2,
        observations=(OBSERVATIONS,) * 2,
        start={_START: 1.0},
        move=_move,
        observe=lambda _, state: {_observe(state): 1.0},
        reward=_reward,
        discount=0.9,
    )
