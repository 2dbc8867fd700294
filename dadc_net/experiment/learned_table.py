"""What a learned rule does in the first decisions, as a table: after what is common, which prescription, and how often.

The rule is played greedily in the task's own environment; what it is told and what it answers is written down.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.config import RunConfig
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.experiment.baselines import described, returns_of
from dadc_net.experiment.learned_rules import learned_rules
from dadc_net.planning.evaluation import Rule
from dadc_net.planning.monte_carlo import IndependentRules
from dadc_net.team.menu import PrescriptionMenu

_COPIES = 2000
_DECISIONS = 5
_MOST_ROWS = 12


@dataclass(frozen=True)
class TableRow:
    """One line."""

    decision: int
    """From 1."""
    common: str
    """What became common since the beginning; of no account where one prescription follows from all of it."""
    prescription: str
    share: float
    """Of the copies that were played, which come to this at this decision."""


class _WrittenDown:
    """A rule that remembers what it was told and what it answered."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.is_memoryless = rule.is_memoryless
        self.told: list[NDArray[Any]] = []
        self.chosen: list[NDArray[Any]] = []

    def begin(self, copies: int) -> None:
        """Start n copies afresh."""
        self._rule.begin(copies)

    def choose(self, common: NDArray[np.int64]) -> NDArray[Any]:
        """As the rule does."""
        theta = self._rule.choose(common)
        self.told.append(np.array(common))
        self.chosen.append(np.array(theta))
        return theta


def learned_table(config: RunConfig, snapshot: Snapshot) -> list[TableRow] | None:
    """The most frequent rows of the first decisions; None where prescriptions are no menu, or learners are independent."""
    rule = learned_rules(config).rule(snapshot)
    if isinstance(rule, IndependentRules) or not isinstance(config.family, PrescriptionMenu):
        return None
    written = _WrittenDown(rule)
    returns_of(config, written, _COPIES, "table")
    rows: list[TableRow] = []
    history = [""] * _COPIES
    for decision, (told, chosen) in enumerate(zip(written.told, written.chosen, strict=True), start=1):
        if decision > _DECISIONS:
            break
        if decision > 1:  # At the first decision nothing has become common.
            words = [" ".join(map(str, z)) for z in told.tolist()]
            history = [f"{before}, {word}" if before else word for before, word in zip(history, words, strict=True)]
        counted = Counter(zip(history, map(int, chosen), strict=True))
        if decision > 1 and len({theta for _, theta in counted}) == 1:
            counted = Counter({("whatever it is", int(chosen[0])): _COPIES})
        for (common, theta), count in counted.most_common(_MOST_ROWS):
            text = described(config.family, np.array(theta))
            rows.append(TableRow(decision, common or "nothing yet", text, count / _COPIES))
    return rows
