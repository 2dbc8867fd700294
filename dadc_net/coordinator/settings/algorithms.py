"""Settings of single algorithms, and of a Gaussian psi; each says who uses it."""

from __future__ import annotations

from dataclasses import dataclass

from dadc_net.schema import require, require_word

ACTIVATIONS = ("tanh", "relu")
PLAYS = ("peak", "corners")


@dataclass(frozen=True)
class PpoSettings:
    """Proximal policy optimisation (Schulman et al., 2017); used by the algorithm ``ppo`` only."""

    epochs: int = 4
    """Full-batch gradient steps of actor and critic per update."""
    clip: float = 0.2
    """Largest relative change of a prescription's probability that still pays."""

    def __post_init__(self) -> None:
        require(1 <= self.epochs <= 1000, "ppo.epochs", self.epochs, "Give 1 to 1000.")
        require(0 < self.clip <= 1, "ppo.clip", self.clip, "Give a number in (0, 1].")


@dataclass(frozen=True)
class TrpoSettings:
    """Trust-region policy optimisation (Schulman et al., 2015); used by the algorithm ``trpo`` only."""

    max_kl: float = 0.01
    """Largest mean KL divergence between the old rule and the new one."""
    damping: float = 0.1
    """Added to the diagonal of the Fisher matrix."""
    conjugate_gradient_steps: int = 10
    """Always as many, whatever the residual."""
    line_search_steps: int = 10
    """Halvings of the step before it is given up."""
    value_learning_rate: float = 0.003
    value_steps: int = 10
    """Full-batch Adam steps of the value per update."""

    def __post_init__(self) -> None:
        require(0 < self.max_kl <= 10, "trpo.max_kl", self.max_kl, "Give a number in (0, 10].")
        require(0 <= self.damping <= 100, "trpo.damping", self.damping, "Give 0 to 100.")
        require(0 < self.value_learning_rate <= 10, "trpo.value_learning_rate", self.value_learning_rate, "Give (0, 10].")
        for key in ("conjugate_gradient_steps", "line_search_steps", "value_steps"):
            value = getattr(self, key)
            require(1 <= value <= 1000, f"trpo.{key}", value, "Give 1 to 1000.")


@dataclass(frozen=True)
class QActorCriticSettings:
    """Equations (5) and (6); used by the algorithm ``q-actor-critic`` only. The actor has learner.learning_rate."""

    critic_learning_rate: float = 0.01
    critic_steps: int = 1
    """Steps of (5) per update."""
    bootstrap: str = "expected"
    """expected or sampled: what the critic's target puts for Q at the next step; sampled is as printed in (5)."""
    gradient: str = "all"
    """all: the exact sum over prescriptions. sampled: the chosen one's score, as printed in (6)."""
    baseline: bool = True
    """Whether the mean of Q under the rule is taken off Q in the gradient; off, as printed."""

    def __post_init__(self) -> None:
        require(0 < self.critic_learning_rate <= 10, "q.critic_learning_rate", self.critic_learning_rate, "Give (0, 10].")
        require(1 <= self.critic_steps <= 1000, "q.critic_steps", self.critic_steps, "Give 1 to 1000.")
        require_word("q.bootstrap", self.bootstrap, ("expected", "sampled"))
        require_word("q.gradient", self.gradient, ("all", "sampled"))


@dataclass(frozen=True)
class PlanningSettings:
    """Planning on the learned AIS; used by the algorithm ``ais-planning`` only. A model step is one gradient step of the
    state approximator on windows of the replay memory."""

    memory_steps: int = 1_000_000
    """Environment steps that are remembered."""
    model_steps: int = 8
    """Model steps per update, each followed by ``value_steps`` steps of the value."""
    windows: int = 32
    """Windows of the replay memory in one model step."""
    window: int = 24
    """Lock-steps of a window."""
    warm_up: int = 8
    """Steps at the start of a window that only warm the AIS up, unless an episode begins."""
    states: int = 128
    """States of the windows at which the value is fitted."""
    value_steps: int = 4
    """Gradient steps of the value towards one target, after each model step."""
    value_hidden_size: int = 32
    value_learning_rate: float = 0.01
    final_value_learning_rate_share: float = 0.02
    target_rate: float = 0.2
    """Share of its distance that the target value moves after each model step."""
    uniform_share: float = 0.05
    """Share of the run during which prescriptions are drawn uniformly."""
    exploration: float = 0.2
    """Probability of a uniform prescription after that; it falls linearly to ``final_exploration``."""
    final_exploration: float = 0.1
    temperature: float = 0.2
    """T of softmax(Q / T); it falls geometrically to ``final_temperature``."""
    final_temperature: float = 0.02

    def __post_init__(self) -> None:
        require(1 <= self.memory_steps < 2**32, "planning.memory_steps", self.memory_steps, "Give 1 to 4294967295.")
        for key in ("model_steps", "windows", "window", "states", "value_steps", "value_hidden_size"):
            value = getattr(self, key)
            require(1 <= value <= 4096, f"planning.{key}", value, "Give 1 to 4096.")
        require(0 <= self.warm_up < self.window, "planning.warm_up", self.warm_up, "Give less than planning.window.")
        require(
            0 < self.value_learning_rate <= 10, "planning.value_learning_rate", self.value_learning_rate, "Give (0, 10]."
        )
        shares = ("final_value_learning_rate_share", "target_rate", "uniform_share", "exploration", "final_exploration")
        for key in shares:
            value = getattr(self, key)
            require(0 <= value <= 1, f"planning.{key}", value, "Give a number from 0 to 1.")
        for key in ("temperature", "final_temperature"):
            value = getattr(self, key)
            require(1e-6 <= value <= 8, f"planning.{key}", value, "Give a number from 1e-6 to 8.")


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
            require_word(f"naf.{key}", getattr(self, key), known)
        require(0 < self.learning_rate <= 10, "naf.learning_rate", self.learning_rate, "Give a number in (0, 10].")
        for key in ("final_learning_rate_share", "target_rate"):
            value = getattr(self, key)
            require(0 <= value <= 1, f"naf.{key}", value, "Give a number from 0 to 1.")
        for key in ("noise", "final_noise"):
            value = getattr(self, key)
            require(0 <= value <= 10, f"naf.{key}", value, "Give a number from 0 to 10.")
        require(0 <= self.gradient_norm <= 1e6, "naf.gradient_norm", self.gradient_norm, "Give a number from 0 to 1e6.")
