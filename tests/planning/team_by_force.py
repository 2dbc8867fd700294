"""The optimum of a tiny team by trying every prescription after every common history: no beliefs, nothing merged.

It shares no code with the planner and takes no short cut: what the agents have in common and what each has to itself are
tuples of everything that has happened, cut as the structure's definition says.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Past = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
"""(joint action, joint observation after it), in order"""


class TinyTeam(NamedTuple):
    """Dense tables; joint actions and observations by tuples through ``index``."""

    start: Array
    transition: Array
    """[JA, S, S]"""
    observation: Array
    """[JA, S, JO]"""
    reward: Array
    """[JA, S]"""
    actions: tuple[int, ...]
    observations: tuple[int, ...]


Cut = Callable[[Past], tuple[Any, Sequence[Any]]]
"""What is common, and what each agent has to itself"""


def _own(past: Past, agent: int, since: int, actions_since: int | None = None) -> tuple[Any, ...]:
    """An agent's own observations from step ``since`` on, and its own actions."""
    first = since if actions_since is None else actions_since
    return (
        tuple(observed[agent] for _, observed in past[since:]),
        tuple(acted[agent] for acted, _ in past[first:]),
    )


def cut(name: str, agents: int, number: int = 0) -> Cut:
    """The definition of a structure; ``number`` is its d, p or m."""

    def split(past: Past) -> tuple[Any, Sequence[Any]]:
        t = len(past)
        everyone = range(agents)
        if name == "full":
            return past, [()] * agents
        if name == "none":
            return (), [_own(past, k, 0) for k in everyone]
        if name == "none-memory":
            # the last m + 1 observations and the last m actions
            return t, [_own(past, k, max(0, t - number - 1), max(0, t - number)) for k in everyone]
        if name == "control":
            return tuple(acted for acted, _ in past), [_own(past, k, 0) for k in everyone]
        if name == "control-memory":
            kept = max(0, t - number - 1)
            return tuple(acted for acted, _ in past), [tuple(o[k] for _, o in past[kept:]) for k in everyone]
        if name == "control-delayed":
            # actions at once, observations after ``number`` steps
            told = max(0, t - number)
            acted = tuple(a for a, _ in past)
            return (acted, tuple(o for _, o in past[:told])), [tuple(o[k] for _, o in past[told:]) for k in everyone]
        if name == "delayed":
            # past[i] holds a_i and o_{i+1}: common are a_0 .. a_{t-d} and o_1 .. o_{t-d}
            told = max(0, t - number)
            acted = tuple(a for a, _ in past[: max(0, t - number + 1)])
            return (acted, tuple(o for _, o in past[:told])), [_own(past, k, told) for k in everyone]
        last = t - t % number
        if name == "periodic-a":
            return (t, past[:last]), [_own(past, k, last) for k in everyone]
        # periodic-c: at a multiple of p all but the observation of that moment
        told = max(0, last - 1)
        acted = tuple(a for a, _ in past[:last])
        return (t, acted, tuple(o for _, o in past[:told])), [_own(past, k, told, last) for k in everyone]

    return split


def optimum(team: TinyTeam, split: Cut, horizon: int, discount: float = 1.0) -> float:
    """The best that any prescriptions can do."""
    return _best(team, split, {(): team.start}, horizon, discount)


def _best(team: TinyTeam, split: Cut, laws: dict[Past, Array], remaining: int, discount: float) -> float:
    """The best from a set of pasts with equal common part and their joint laws with the state."""
    privates = {past: split(past)[1] for past in laws}
    agents = range(len(team.actions))
    known = [sorted({private[k] for private in privates.values()}) for k in agents]
    choices = [itertools.product(range(team.actions[k]), repeat=len(known[k])) for k in agents]
    best = -np.inf
    for chosen in itertools.product(*(list(options) for options in choices)):
        plays = [dict(zip(known[k], chosen[k], strict=True)) for k in agents]
        value = 0.0
        groups: dict[Any, dict[Past, Array]] = {}
        for past, law in laws.items():
            action = tuple(plays[k][privates[past][k]] for k in agents)
            a = int(np.ravel_multi_index(action, team.actions))
            value += float(law @ team.reward[a])
            if remaining > 1:
                moved = law @ team.transition[a]
                for o in range(team.observation.shape[2]):
                    after = moved * team.observation[a, :, o]
                    if after.any():
                        seen = tuple(int(x) for x in np.unravel_index(o, team.observations))
                        longer = (*past, (action, seen))
                        groups.setdefault(split(longer)[0], {})[longer] = after
        value += discount * sum(_best(team, split, group, remaining - 1, discount) for group in groups.values())
        best = max(best, value)
    return best
