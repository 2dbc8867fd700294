"""Settings of the state approximator."""

from __future__ import annotations

from dataclasses import dataclass

from dadc_net.schema import require, require_word

AIS_LOSSES = ("next-observation", "next-ais-nll", "next-ais-energy", "next-ais-mmd")
BESIDE = ("none", *AIS_LOSSES[1:])
REWARD_INPUTS = ("prescription", "outcome")
ENCODERS = ("gru", "none")


@dataclass(frozen=True)
class AisSettings:
    """The state approximator. Paper: Section 5 item 1, Section 7 (P2a, P2b), E.1."""

    encoder: str = "gru"
    """gru, or none: the common observation itself is the information state (E.2), and nothing of the rest is learned."""
    feature_scale: float = 1.0
    """With encoder none: what the code of the common observation, which lies in -1 .. 1, is multiplied by."""
    size: int = 5
    """X, the dimension of the AIS and the width of every layer of the state approximator."""
    loss: str = "next-observation"
    """next-observation: (P2b), the default. (P2) with next-ais-nll (the paper's), next-ais-energy or next-ais-mmd."""
    beside: str = "none"
    """A loss of (P2) that is kept beside (P2b), so that both are learned: next-ais-nll, next-ais-energy or next-ais-mmd."""
    beside_weight: float = 0.5
    """w in L_nu = (1 - w) L_P2b + w L_P2, where there is one beside."""
    detach_target: bool = True
    """Whether x_{t+1} is data in the losses of (P2); off: their gradient reaches it, as printed, and the AIS collapses."""
    particles: int = 4
    """Vectors that stand for the predicted law of x_{t+1} in next-ais-energy and next-ais-mmd."""
    reward_input: str = "prescription"
    """What the reward is predicted from beside the AIS: ``prescription`` alone, or ``outcome``, z_{t+1} as well."""
    truncation: int = 0
    """Lock-steps after which backpropagation through time is cut; 0: only where a batch begins."""
    reward_loss_weight: float = 0.5
    """lambda in L_AIS = lambda L_R + (1 - lambda) L_nu."""
    learning_rate: float = 0.02
    final_learning_rate_share: float = 0.0
    gradient_norm: float = 0.5
    """Largest norm of the AIS gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        require_word("ais.encoder", self.encoder, ENCODERS)
        require(0 < self.feature_scale <= 64, "ais.feature_scale", self.feature_scale, "Give a number in (0, 64].")
        require(1 <= self.size <= 1024, "ais.size", self.size, "Give 1 to 1024.")
        require_word("ais.loss", self.loss, AIS_LOSSES)
        require_word("ais.beside", self.beside, BESIDE)
        require(
            self.beside == "none" or self.loss == "next-observation",
            "ais.beside",
            self.beside,
            f'It stands beside (P2b), but ais.loss is {self.loss!r}. Set ais.loss = "next-observation".',
        )
        require_word("ais.reward_input", self.reward_input, REWARD_INPUTS)
        require(2 <= self.particles <= 64, "ais.particles", self.particles, "Give 2 to 64.")
        require(0 <= self.truncation <= 10**6, "ais.truncation", self.truncation, "Give 0 to 1000000.")
        for key in ("reward_loss_weight", "beside_weight", "final_learning_rate_share"):
            value = getattr(self, key)
            require(0 <= value <= 1, f"ais.{key}", value, "Give a number from 0 to 1.")
        require(0 < self.learning_rate <= 10, "ais.learning_rate", self.learning_rate, "Give a number in (0, 10].")
        require(0 <= self.gradient_norm <= 1e6, "ais.gradient_norm", self.gradient_norm, "Give a number from 0 to 1e6.")
