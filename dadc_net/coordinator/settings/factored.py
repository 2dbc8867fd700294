"""Settings of a psi over several factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from dadc_net.schema import Checked, Range


@dataclass(frozen=True)
class FactoredSettings(Checked, section="factored"):
    """psi as a product of choices; used where theta has several finite factors."""

    coupled: bool = True
    """Whether each choice sees those before it. Independent ones cannot learn "both or neither"."""
    beam_width: Annotated[int, Range(1, 4096)] = 1
    """Beginnings that the learned rule keeps while it looks for the likeliest theta; 1 takes each factor's best choice in
    turn."""
    credit: Literal["all", "used"] = "all"
    """all: every choice answers for what followed. used: only those that acted, where what is common tells it later
    (delayed, periodic, full sharing): less noise, exact for independent choices, biased for coupled ones; in actor-critic
    and ppo."""
