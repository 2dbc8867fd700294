"""Settings of the state approximator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from dadc_net.coordinator.settings.hints import Remembered, Share, StepSize, Weight, Width
from dadc_net.schema import Checked, Range, require


@dataclass(frozen=True, kw_only=True)
class AisSettings(Checked, section="ais"):
    """The state approximator. Paper: Section 5 item 1, Section 7 (P2a, P2b), E.1."""

    encoder: Literal["gru", "none"] = "gru"
    """gru, or none: the common observation itself is the information state (E.2), and nothing of the rest is learned."""
    feature_scale: Annotated[float, Range(0, 64, "Give a number in (0, 64].", above=True)] = 1.0
    """With encoder none: what the code of the common observation, which lies in -1 .. 1, is multiplied by."""
    size: Annotated[int, Range(1, 1024)] = 5
    """X, the dimension of the AIS and the width of every layer of the state approximator."""
    loss: Literal["next-observation", "next-ais-nll", "next-ais-energy", "next-ais-mmd"] = "next-observation"
    """next-observation: (P2b), the default. (P2) with next-ais-nll (the paper's), next-ais-energy or next-ais-mmd."""
    beside: Literal["none", "next-ais-nll", "next-ais-energy", "next-ais-mmd"] = "none"
    """A loss of (P2) that is kept beside (P2b), so that both are learned: next-ais-nll, next-ais-energy or next-ais-mmd."""
    beside_weight: Share = 0.5
    """w in L_nu = (1 - w) L_P2b + w L_P2, where there is one beside."""
    detach_target: bool = True
    """Whether x_{t+1} is data in the losses of (P2); off: their gradient reaches it, as printed, and the AIS collapses."""
    particles: Annotated[int, Range(2, 64)] = 4
    """Vectors that stand for the predicted law of x_{t+1} in next-ais-energy and next-ais-mmd."""
    reward_input: Literal["prescription", "outcome"] = "prescription"
    """What the reward is predicted from beside the AIS: ``prescription`` alone, or ``outcome``, z_{t+1} as well."""
    predicts_end: bool = False
    """Whether the end of an episode is predicted as z_{t+1} is, so that the AIS knows how much time is left. The recipe
    turns it on where episodes have a number of decisions, or end as somebody else's environment says."""
    truncation: Annotated[int, Range(0, 10**6)] = 0
    """Lock-steps after which backpropagation through time is cut; 0: only where a batch begins."""
    reward_loss_weight: Share = 0.5
    """lambda in L_AIS = lambda L_R + (1 - lambda) L_nu."""
    learning_rate: StepSize = 0.02
    """Step size of the state approximator at the start."""
    final_learning_rate_share: Share = 0.0
    """It falls linearly to this share of itself over the run; 1 keeps it constant."""
    gradient_norm: Weight = 0.5
    """Largest norm of the AIS gradient; 0 does not clip."""
    clips_apart: bool = False
    """Whether the gradients of L_R and of L_nu are clipped each by itself before they are weighed and added, so that
    neither owns the step; it costs a second pass back through the encoder."""
    replay_windows: Annotated[int, Range(0, 4096)] = 0
    """Windows of a replay memory in a further step of the state approximator before each update, where the algorithm has
    no memory of its own: what a rule does not do any more is still learned from. 0: no such step, and no memory."""
    replay_window: Width = 20
    """Lock-steps of such a window."""
    replay_warm_up: Annotated[int, Range(0, 4095)] = 8
    """Steps at its start that only warm the AIS up, unless an episode begins."""
    memory_steps: Remembered = 1_000_000
    """Environment steps that are remembered for it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        waits, length = self.replay_warm_up, self.replay_window
        require(waits < length, "ais.replay_warm_up", waits, "Give less than ais.replay_window.")
        require(
            self.beside == "none" or self.loss == "next-observation",
            "ais.beside",
            self.beside,
            f'It stands beside (P2b), but ais.loss is {self.loss!r}. Set ais.loss = "next-observation".',
        )
