"""Settings that every algorithm shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dadc_net.coordinator.settings.hints import Layers, Share, StepSize, Weight, Width
from dadc_net.schema import Checked, Range, require


@dataclass(frozen=True, kw_only=True)
class LearnerSettings(Checked, section="learner"):
    """What every algorithm of the family shares. Paper: Section 5 and E.1."""

    num_envs: Annotated[int, Range(1, 10**6)] = 16
    """E, independent copies of the environment stepped at once; 1 is the online system of the paper."""
    batch_steps: Annotated[int, Range(1, 10**9)] = 320
    """Environment steps per update, T x E; the paper's E.1 has 300 at E = 1."""
    hidden_size: Width = 16
    """Units of every hidden layer of actor and critic; the paper's E.1 has 5, E.2 64."""
    hidden_layers: Layers = 1
    """Hidden layers of the trunk that actor and critic share, or of each where they share none; E.2 has 2."""
    shared_trunk: bool = True
    """Whether actor and critic share their first layers, as in E.1; in E.2 and in trpo each has a network of its own."""
    learning_rate: StepSize = 0.02
    """Step size of actor and critic at the start."""
    final_learning_rate_share: Share = 0.0
    """The learning rate falls linearly to this share of itself over the run; 1 keeps it constant, as in E.1."""
    trace_decay: Share = 0.6
    """lambda of the generalised advantage estimator."""
    normalise_advantages: bool = False
    """Whether advantages are centred and scaled to deviation 1 within a batch; for q-actor-critic, the worth of all
    prescriptions under the rule."""
    entropy_weight: Weight = 0.03
    """Weight of the entropy bonus at the start; it falls linearly to 0. In units of the advantages: with normalised ones the
    same weight fits every task."""
    entropy_share: Annotated[float, Range(0, 1, "Give a number in (0, 1].", above=True)] = 1.0
    """Share of the run after which the entropy bonus is gone."""
    uniform_share: Share = 0.0
    """Share of the run, from its start, during which prescriptions are drawn uniformly and the actor does not move: state
    approximator and critic lead."""
    scale_rewards: bool = False
    """Whether losses take rewards divided by the running deviation of the discounted return, so that no other setting
    depends on their unit."""
    imitation_weight: Weight = 0.0
    """Weight of steps that once earned more than the critic expected, in the policy gradient: self-imitation, for what
    several agents must do at once. It falls linearly to 0, because it takes luck for skill. In algorithms with a policy."""
    imitation_share: Annotated[float, Range(0, 1, "Give a number in (0, 1].", above=True)] = 0.5
    """Share of the run after which it is gone."""
    imitation_least: Annotated[float, Range(0, 20)] = 0.0
    """Deviations by which a step must have earned more than expected to be followed: rare success is, common luck is not."""
    imitation_windows: Width = 16
    """Batches of one copy that are kept for it, at most as many as there are copies: it costs no more than the batch."""
    value_loss_weight: Weight = 0.5
    """Weight of the critic's loss beside the actor's."""
    gradient_norm: Weight = 0.0
    """Largest norm of the actor-critic gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.batch_steps >= self.num_envs and self.batch_steps % self.num_envs == 0,
            "learner.batch_steps",
            self.batch_steps,
            f"It must be a positive multiple of learner.num_envs = {self.num_envs}, so that every copy gives the same "
            "number of steps to a batch.",
        )

    @property
    def batch_lock_steps(self) -> int:
        """T, the lock-steps of one batch."""
        return self.batch_steps // self.num_envs

    @property
    def kept_windows(self) -> int:
        """Batches of one copy that are kept for imitation."""
        return min(self.imitation_windows, self.num_envs)
