"""Settings of a Gaussian psi."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from dadc_net.coordinator.settings.hints import StepSize
from dadc_net.schema import Checked, Range, require


@dataclass(frozen=True)
class GaussianSettings(Checked, section="gaussian"):
    """psi as a Gaussian whose deviation does not depend on the state (paper, E.2); used where theta is continuous."""

    deviation: float = 1.0
    """Of theta at the start, in units of theta."""
    learning_rate: StepSize = 0.02
    """Step size of the log-deviation; it falls like that of the actor. In trpo the natural gradient moves it."""
    least_deviation: Annotated[float, Range(0.001, remedy="Give at least 0.001.")] = 0.02
    """Below which it does not fall, so that the rule goes on trying."""
    most_deviation: Annotated[float, Range(-math.inf, 1000, "Give at most 1000.")] = 4.0
    """Above which it does not rise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.least_deviation <= self.deviation <= self.most_deviation,
            "gaussian.deviation",
            self.deviation,
            f"It must lie from least_deviation {self.least_deviation} to most_deviation {self.most_deviation}.",
        )
