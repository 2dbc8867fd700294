"""Settings of step sizes and of what a step is."""

from __future__ import annotations

from dataclasses import dataclass

from dadc_net.schema import require, require_word

SCHEDULES = ("linear", "robbins-monro")
OPTIMISERS = ("adam", "sgd")


@dataclass(frozen=True)
class ScheduleSettings:
    """How step sizes fall, and what a step is. Paper: Section 5, and the conditions of Theorem 4."""

    kind: str = "linear"
    """linear: to a share of themselves at the end of the run. robbins-monro: a_k, b_k, c_k fall as powers of k."""
    optimiser: str = "adam"
    """adam, as in E.1, or sgd: the iterations (4) to (6) as printed. Adam's steps have a length of their own, so that the
    ratios of the step sizes are no separation of time scales."""
    ais_exponent: float = 0.6
    """p in a_k = a k^-p, the state approximator's step size."""
    critic_exponent: float = 0.75
    """The same for b_k, the critic's."""
    actor_exponent: float = 0.9
    """The same for c_k, the actor's."""
    parameter_bound: float = 0.0
    """Parameters are projected onto |parameter| <= this after every step (Assumption 1); 0: they are not."""

    def __post_init__(self) -> None:
        require_word("schedule.kind", self.kind, SCHEDULES)
        require_word("schedule.optimiser", self.optimiser, OPTIMISERS)
        require(0 <= self.parameter_bound <= 1e6, "schedule.parameter_bound", self.parameter_bound, "Give 0 to 1000000.")
        exponents = (self.ais_exponent, self.critic_exponent, self.actor_exponent)
        for key, value in zip(("ais", "critic", "actor"), exponents, strict=True):
            require(
                0.5 < value <= 1,
                f"schedule.{key}_exponent",
                value,
                "The sum of k^-p diverges and the sum of its squares converges for 0.5 < p <= 1 only: give such a number.",
            )
        require(
            exponents[0] < exponents[1] < exponents[2],
            "schedule.critic_exponent",
            self.critic_exponent,
            f"b_k / a_k and c_k / b_k must go to 0 (Theorem 4): it must lie strictly between ais_exponent {exponents[0]} "
            f"and actor_exponent {exponents[2]}.",
        )
