"""All deterministic prescriptions of a small team, as a menu: every agent's every map from its local value to an action."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from dadc_net.team.menu import PrescriptionMenu

LARGEST_MENU = 4096
"""Entries that a coordinator may choose from; beyond, prescriptions are chosen in parts or by logits."""


def menu_size(actions: Sequence[int], local_values: Sequence[int]) -> int:
    """How many there are for agents with these numbers of actions and local values."""
    return math.prod(a**values for a, values in zip(actions, local_values, strict=True))


def deterministic_menu(
    name: str, actions: Sequence[Sequence[str]], local_values: Sequence[int]
) -> PrescriptionMenu:
    """The menu.

    Args:
        actions: names [K][A^k].
        local_values: [K] how many each agent has.
    """
    allowed = [[range(len(own))] * values for own, values in zip(actions, local_values, strict=True)]
    return menu_of(name, allowed, actions)


def menu_of(
    name: str, allowed: Sequence[Sequence[Sequence[int]]], actions: Sequence[Sequence[str]]
) -> PrescriptionMenu:
    """The menu where not every action is to be chosen from.

    Args:
        allowed: [K or 1][L^k] the actions at each local value; an agent with fewer values than the widest repeats its last
            action there.
        actions: names [K][A^k].
    """
    widest = max(map(len, allowed))
    entries = tuple(itertools.product(*(list(itertools.product(*own)) for own in allowed)))
    words = _Words(actions[: len(allowed)])
    return PrescriptionMenu(name, tuple(map(words, entries)), tuple(_padded(entry, widest) for entry in entries))


class _Words:
    """An entry in words: agent by agent, the actions at local values 0, 1, .."""

    def __init__(self, actions: Sequence[Sequence[str]]) -> None:
        self._actions = actions

    def __call__(self, entry: tuple[tuple[int, ...], ...]) -> str:
        parts = ("/".join(own[a] for a in chosen) for own, chosen in zip(self._actions, entry, strict=True))
        return ", ".join(parts)


def _padded(entry: tuple[tuple[int, ...], ...], widest: int) -> tuple[tuple[int, ...], ...]:
    return tuple(chosen + (chosen[-1],) * (widest - len(chosen)) for chosen in entry)
