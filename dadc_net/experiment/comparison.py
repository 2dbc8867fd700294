"""A learned rule beside what is earned blindly, and what is wrong with it, in words and in figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dadc_net.experiment.baselines import Baselines
from dadc_net.planning.evaluation import Estimate

LEAST_RANK = 2
"""Directions that an AIS uses below which it has collapsed: whatever was seen, it says the same, or nearly so."""
_DOUBT = 2.0
"""Standard errors by which a rule must be better than the best constant prescription to be called better."""
_NOTHING = 1e-9
FIELDS = (
    *("random", "random_stderr", "best_constant", "best_constant_stderr", "best_constant_prescription"),
    *("best_memoryless", "best_constant_share", "no_better_than_blind", "ais_collapsed", "ais_rank"),
)
"""Names of what a comparison adds to a report."""


@dataclass(frozen=True)
class Comparison:
    """One rule, compared."""

    value: Estimate
    """J by the best method that there was"""
    optimum: float | None
    """V*; None where there is no exact planner"""
    baselines: Baselines
    ais_rank: float | None
    """Directions that the AIS used in the last batch; None where there is none, or none was told."""
    beyond: Estimate | None = None
    """J beyond the best constant prescription's value, both with the same luck; None where not both are plain returns"""

    @property
    def share(self) -> float | None:
        """(J - best constant) / (V* - best constant); None where one is unknown, or where they are equal."""
        constant = self.baselines.constant
        if constant is None or self.optimum is None:
            return None
        way = self.optimum - constant.value
        return (self.value.value - constant.value) / way if way > _NOTHING * max(1.0, abs(self.optimum)) else None

    @property
    def is_blind(self) -> bool:
        """Whether the rule is worth no more than the best constant prescription, as far as can be told, and could be."""
        constant = self.baselines.constant
        if constant is None or (self.optimum is not None and self.share is None):
            return False
        apart = Estimate(self.value.value - constant.value, math.hypot(self.value.stderr, constant.stderr))
        beyond = self.beyond or apart
        return beyond.value <= _DOUBT * beyond.stderr + _NOTHING * max(1.0, abs(constant.value))

    @property
    def has_collapsed(self) -> bool:
        """Whether the AIS has."""
        return self.ais_rank is not None and self.ais_rank < LEAST_RANK

    def troubles(self) -> list[str]:
        """What is wrong, in a few words each."""
        return trouble_words(self.is_blind, self.has_collapsed)

    def fields(self) -> dict[str, Any]:
        """For reports, plain."""
        found = self.baselines
        return {
            "random": None if found.random is None else found.random.value,
            "random_stderr": None if found.random is None else found.random.stderr,
            "best_constant": None if found.constant is None else found.constant.value,
            "best_constant_stderr": None if found.constant is None else found.constant.stderr,
            "best_constant_prescription": found.prescription,
            "best_memoryless": None if found.memoryless is None else found.memoryless.value,
            **self.short_fields(),
            "ais_rank": self.ais_rank,
        }

    def short_fields(self) -> dict[str, Any]:
        """What changes during a run."""
        return {
            "best_constant_share": self.share,
            "no_better_than_blind": self.is_blind,
            "ais_collapsed": self.has_collapsed,
        }

    def lines(self) -> list[str]:
        """For the summary of a run."""
        found = self.baselines
        lines = []
        if found.constant is None:
            lines.append(f"best constant  {found.prescription}")
        else:
            lines.append(f"best constant  {_shown(found.constant)}   always: {found.prescription}")
        if found.memoryless is not None:
            lines.append(f"memoryless     {_shown(found.memoryless)}   the best found that sees the last common observation")
        if found.random is not None:
            lines.append(f"random         {_shown(found.random)}   a uniform prescription at every step")
        if self.share is not None:
            lines.append(f"               {100 * self.share:.0f} % of the way from the best constant to the optimum")
        elif found.constant is not None and self.optimum is not None:
            lines.append("               the best constant prescription is optimal itself")
        if self.is_blind:
            lines.append(
                "WARNING        the learned rule is no better than blind: one prescription, whatever happens, earns as much"
            )
        if self.has_collapsed:
            lines.append(f"WARNING        the AIS has collapsed: of its last batch told of, rank {self.ais_rank:.0f}")
        return lines


def trouble_words(is_blind: bool | None, has_collapsed: bool | None) -> list[str]:
    """What is wrong with a rule, in a few words each; None: it is not known."""
    return [*(["no better than blind"] if is_blind else []), *(["AIS collapsed"] if has_collapsed else [])]


def ais_rank(losses: Mapping[str, float]) -> float | None:
    """What an update told of the AIS's rank."""
    return losses.get("ais_rank")


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} +- {estimate.stderr:.4f}" if estimate.stderr > 0 else f"{estimate.value:.4f} (exact)"
