"""Settings of step sizes and of what a step is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from dadc_net.schema import Checked, Range, require

_Exponent = Annotated[
    float,
    Range(
        *(0.5, 1),
        "The sum of k^-p diverges and the sum of its squares converges for 0.5 < p <= 1 only: give such a number.",
        above=True,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings(Checked, section="schedule"):
    """How step sizes fall, and what a step is. Paper: Section 5, and the conditions of Theorem 4."""

    kind: Literal["linear", "robbins-monro"] = "linear"
    """linear: to a share of themselves at the end of the run. robbins-monro: a_k, b_k, c_k fall as powers of k."""
    optimiser: Literal["adam", "sgd"] = "adam"
    """adam, as in E.1, or sgd: the iterations (4) to (6) as printed. Adam's steps have a length of their own, so that the
    ratios of the step sizes are no separation of time scales."""
    ais_exponent: _Exponent = 0.6
    """p in a_k = a k^-p, the state approximator's step size."""
    critic_exponent: _Exponent = 0.75
    """The same for b_k, the critic's."""
    actor_exponent: _Exponent = 0.9
    """The same for c_k, the actor's."""
    parameter_bound: Annotated[float, Range(0, 1_000_000)] = 0.0
    """Parameters are projected onto |parameter| <= this after every step (Assumption 1); 0: they are not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        exponents = (self.ais_exponent, self.critic_exponent, self.actor_exponent)
        require(
            exponents[0] < exponents[1] < exponents[2],
            "schedule.critic_exponent",
            self.critic_exponent,
            f"b_k / a_k and c_k / b_k must go to 0 (Theorem 4): it must lie strictly between ais_exponent {exponents[0]} "
            f"and actor_exponent {exponents[2]}.",
        )
