"""Settings of what concerns continuous prescription parameters only."""

from __future__ import annotations

from dataclasses import dataclass

from dadc_net.errors import ConfigError
from dadc_net.sections import closest, require

ACTIVATIONS = ("tanh", "relu")
PLAYS = ("peak", "corners")


@dataclass(frozen=True)
class GaussianSettings:
    """psi as a Gaussian whose deviation does not depend on the state (paper, E.2); used where theta is continuous."""

    deviation: float = 1.0
    """Of theta at the start, in units of theta."""
    learning_rate: float = 0.02
    """Step size of the log-deviation; it falls like that of the actor. In trpo the natural gradient moves it."""
    least_deviation: float = 0.02
    most_deviation: float = 4.0

    def __post_init__(self) -> None:
        require(self.least_deviation >= 0.001, "gaussian.least_deviation", self.least_deviation, "Give at least 0.001.")
        require(self.most_deviation <= 1000, "gaussian.most_deviation", self.most_deviation, "Give at most 1000.")
        require(
            self.least_deviation <= self.deviation <= self.most_deviation,
            "gaussian.deviation",
            self.deviation,
            f"It must lie from least_deviation {self.least_deviation} to most_deviation {self.most_deviation}.",
        )
        require(0 < self.learning_rate <= 10, "gaussian.learning_rate", self.learning_rate, "Give a number in (0, 10].")


@dataclass(frozen=True)
class NafSettings:
    """Normalised advantage functions (Gu et al., 2016); used by the algorithm ``naf-dqn`` only, on continuous theta."""

    plays: str = "peak"
    """peak: the point of the box of theta that is nearest to the critic's peak mu. corners: the corner of the box that the
    critic values most; for tasks whose best theta is a corner."""
    memory_steps: int = 100_000
    """Environment steps that are remembered."""
    steps: int = 4
    """Gradient steps per update, each on windows of the memory and followed by a move of the target network."""
    windows: int = 64
    """Windows of the replay memory in one gradient step."""
    window: int = 1
    """Lock-steps of a window; 1 is a transition. An encoder with a memory needs longer ones."""
    warm_up: int = 0
    """Steps at the start of a window that only warm the AIS up, unless an episode begins."""
    first_steps: int = 500
    """Environment steps before learning begins."""
    hidden_size: int = 64
    hidden_layers: int = 2
    activation: str = "tanh"
    """tanh, or relu as in E.2, cut off at 8."""
    learning_rate: float = 0.001
    final_learning_rate_share: float = 0.0
    target_rate: float = 0.01
    """Share of its distance that the target network moves after each gradient step."""
    noise: float = 0.3
    """Deviation of the exploration noise, in half-widths of the box of theta; it falls linearly to ``final_noise``."""
    final_noise: float = 0.05
    gradient_norm: float = 0.0
    """Largest norm of the critic's gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        require(1 <= self.memory_steps < 2**32, "naf.memory_steps", self.memory_steps, "Give 1 to 4294967295.")
        for key in ("steps", "windows", "window", "hidden_size"):
            value = getattr(self, key)
            require(1 <= value <= 4096, f"naf.{key}", value, "Give 1 to 4096.")
        require(0 <= self.warm_up < self.window, "naf.warm_up", self.warm_up, "Give less than naf.window.")
        require(0 <= self.first_steps < 2**32, "naf.first_steps", self.first_steps, "Give 0 or more.")
        require(1 <= self.hidden_layers <= 8, "naf.hidden_layers", self.hidden_layers, "Give 1 to 8.")
        for key, known in (("activation", ACTIVATIONS), ("plays", PLAYS)):
            word = getattr(self, key)
            if word not in known:
                raise ConfigError(
                    f"naf.{key} is {word!r}, which does not exist. {closest(word, known)} Choose one of {', '.join(known)}."
                )
        require(0 < self.learning_rate <= 10, "naf.learning_rate", self.learning_rate, "Give a number in (0, 10].")
        for key in ("final_learning_rate_share", "target_rate"):
            value = getattr(self, key)
            require(0 <= value <= 1, f"naf.{key}", value, "Give a number from 0 to 1.")
        for key in ("noise", "final_noise"):
            value = getattr(self, key)
            require(0 <= value <= 10, f"naf.{key}", value, "Give a number from 0 to 10.")
        require(0 <= self.gradient_norm <= 1e6, "naf.gradient_norm", self.gradient_norm, "Give a number from 0 to 1e6.")
