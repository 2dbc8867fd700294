"""Tables of a team of which some are changed, for those who must notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from dadc_net.team.tables import WorldTables

Made = TypeVar("Made", bound=WorldTables)
Changes = Mapping[str, Callable[[Any], Any]]

OF_A_WORLD: list[Changes] = [
    {"reward": lambda table: table + 2.0**-50},
    {"threshold": lambda table: np.where(table < 1.0, table * 0.9, table)},
    {"state": lambda table: np.zeros_like(table)},
    {"seen": lambda table: table[::-1].copy()},
    {"over": np.ones_like},
    {"common": lambda table: table[:, :, ::-1].copy()},
    {"kinds": np.zeros_like},
    {"own": lambda table: table[:, ::-1].copy()},
    {"strides": lambda table: table[::-1].copy()},
    {"counts": lambda table: table - [0, 0, 0, 1, 0, 0]},
]
"""One of each table that a world has; what follows is another team."""


def named(changes: Changes) -> str:
    """What a test with these changes is called."""
    return next(iter(changes))


def tampered(made: Callable[..., Made | None], changes: Changes) -> Callable[..., Made]:
    """``made``, with tables changed; those of the environment by their own names."""

    def with_changes(*problem: Any) -> Made:
        found = made(*problem)
        assert found is not None
        own = {name: change(getattr(found, name)) for name, change in changes.items() if hasattr(found, name)}
        within = {name: change(getattr(found.world, name)) for name, change in changes.items() if name not in own}
        return replace(found, **{"world": found.world._replace(**within), **own})

    return with_changes
