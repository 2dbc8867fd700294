"""Settings of where a learner begins, and of whether it learns at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dadc_net.schema import Checked, require

_HEX_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class StartSettings(Checked, section="start"):
    """What an agent knows before its first record."""

    rule: str = ""
    """Digest (64 hexadecimal digits) of the learned rule that all agents begin with; empty: parameters drawn anew."""
    frozen: Literal["", "greedy", "drawn"] = ""
    """greedy: the rule's best prescriptions are played, and nothing is learned. drawn: they are drawn from the rule, with
    what its algorithm explores at the end of a run. Empty: learning goes on, with step sizes that begin anew."""

    def __post_init__(self) -> None:
        super().__post_init__()
        digits = set(self.rule) <= set("0123456789abcdef")
        require(
            not self.rule or (digits and len(self.rule) == _HEX_DIGITS),
            "start.rule",
            self.rule,
            f"Give the {_HEX_DIGITS} hexadecimal digits that dadc export prints, or a file with --from.",
        )
        require(
            not self.frozen or bool(self.rule),
            "start.frozen",
            self.frozen,
            "There is no learned rule to act with: give one with --from.",
        )
