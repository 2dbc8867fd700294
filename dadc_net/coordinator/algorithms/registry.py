"""Every algorithm as one entry: its name, its own settings, what it can learn and what it refuses.

An entry loads nothing of its implementation, so that the environment server and the command line can read this table. A
further algorithm is one file with a class over ``coordinator.algorithm`` and one entry here; settings, configuration,
self-test, help and golden digests go through the table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from dadc_net.coordinator.algorithms.spec import AlgorithmSpec, Situation
from dadc_net.coordinator.settings.enumeration import MOST_ENUMERATED, is_enumerated
from dadc_net.coordinator.settings.hints import Layers, Remembered, Repeats, Share, StepSize, Weight, Width
from dadc_net.schema import Checked, Range, require
from dadc_net.team.spaces import FiniteSpace, space_text

_Temperature = Annotated[float, Range(1e-6, 8, "Give a number from 1e-6 to 8.")]
_Noise = Annotated[float, Range(0, 10, "Give a number from 0 to 10.")]


@dataclass(frozen=True)
class PpoSettings(Checked, section="ppo"):
    """Proximal policy optimisation (Schulman et al., 2017); used by the algorithm ``ppo`` only."""

    epochs: Repeats = 4
    """Full-batch gradient steps of actor and critic per update."""
    clip: Annotated[float, Range(0, 1, "Give a number in (0, 1].", above=True)] = 0.2
    """Largest relative change of a prescription's probability that still pays."""


@dataclass(frozen=True, kw_only=True)
class TrpoSettings(Checked, section="trpo"):
    """Trust-region policy optimisation (Schulman et al., 2015); used by the algorithm ``trpo`` only."""

    max_kl: StepSize = 0.01
    """Largest mean KL divergence between the old rule and the new one."""
    damping: Annotated[float, Range(0, 100)] = 0.1
    """Added to the diagonal of the Fisher matrix."""
    conjugate_gradient_steps: Repeats = 10
    """Always as many, whatever the residual."""
    line_search_steps: Repeats = 10
    """Halvings of the step before it is given up."""
    value_learning_rate: StepSize = 0.003
    """Step size of the value."""
    value_steps: Repeats = 10
    """Full-batch Adam steps of the value per update."""


@dataclass(frozen=True)
class QActorCriticSettings(Checked, section="q"):
    """Equations (5) and (6); used by the algorithm ``q-actor-critic`` only. The actor has learner.learning_rate."""

    critic_learning_rate: StepSize = 0.01
    """Step size of the critic."""
    critic_steps: Repeats = 1
    """Steps of (5) per update."""
    bootstrap: Literal["expected", "sampled"] = "expected"
    """expected or sampled: what the critic's target puts for Q at the next step; sampled is as printed in (5)."""
    gradient: Literal["all", "sampled", "corrected"] = "all"
    """all: the exact sum over prescriptions. sampled: the chosen one's score, as printed in (6). corrected: the sum, and the
    chosen one's score times what its return exceeds Q by, for where Q errs at what is hardly tried any more."""
    baseline: bool = True
    """Whether the mean of Q under the rule is taken off Q in the gradient; off, as printed."""
    samples: Width = 8
    """Prescriptions drawn for each sum over all of them, where theta has several factors; a menu is summed over."""


@dataclass(frozen=True, kw_only=True)
class PlanningSettings(Checked, section="planning"):
    """Planning on the learned AIS; used by the algorithm ``ais-planning`` only. A model step is one gradient step of the
    state approximator on windows of the replay memory."""

    memory_steps: Remembered = 1_000_000
    """Environment steps that are remembered."""
    model_steps: Width = 8
    """Model steps per update, each followed by ``value_steps`` steps of the value."""
    windows: Width = 32
    """Windows of the replay memory in one model step."""
    window: Width = 24
    """Lock-steps of a window."""
    warm_up: int = 8
    """Steps at the start of a window that only warm the AIS up, unless an episode begins."""
    states: Width = 128
    """States of the windows at which the value is fitted."""
    beginnings: Width = 4
    """Prescriptions from which the best one is climbed to, where theta has several factors; a menu is looked at whole."""
    value_steps: Width = 4
    """Gradient steps of the value towards one target, after each model step."""
    value_hidden_size: Width = 32
    """Units of the hidden layer of the value."""
    value_learning_rate: StepSize = 0.01
    """Step size of the value at the start."""
    final_value_learning_rate_share: Share = 0.02
    """The step size of the value falls linearly to this share of itself over the run."""
    target_rate: Share = 0.2
    """Share of its distance that the target value moves after each model step."""
    exploration: Share = 0.2
    """Probability of a uniform prescription after ``learner.uniform_share``; it falls linearly to ``final_exploration``."""
    final_exploration: Share = 0.1
    """The same at the end of the run."""
    temperature: _Temperature = 0.2
    """T of softmax(Q / T); it falls geometrically to ``final_temperature``."""
    final_temperature: _Temperature = 0.02
    """The same at the end of the run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.warm_up < self.window, "planning.warm_up", self.warm_up, "Give less than planning.window.")


@dataclass(frozen=True, kw_only=True)
class NafSettings(Checked, section="naf"):
    """Normalised advantage functions (Gu et al., 2016); used by the algorithm ``naf-dqn`` only, on continuous theta."""

    plays: Literal["peak", "corners"] = "peak"
    """peak: the point of the box of theta that is nearest to the critic's peak mu. corners: the corner of the box that the
    critic values most, beyond eight dimensions the best that turning over one entry after the other finds; for tasks whose
    best theta is a corner, as deterministic prescriptions are."""
    memory_steps: Remembered = 100_000
    """Environment steps that are remembered."""
    steps: Width = 4
    """Gradient steps per update, each on windows of the memory and followed by a move of the target network."""
    windows: Width = 64
    """Windows of the replay memory in one gradient step."""
    window: Width = 1
    """Lock-steps of a window; 1 is a transition. An encoder with a memory needs longer ones."""
    warm_up: int = 0
    """Steps at the start of a window that only warm the AIS up, unless an episode begins."""
    first_steps: Annotated[int, Range(0, 2**32 - 1, "Give 0 or more.")] = 500
    """Environment steps before learning begins."""
    hidden_size: Width = 64
    """Units of every hidden layer of the critic."""
    hidden_layers: Layers = 2
    """Hidden layers of the critic."""
    activation: Literal["tanh", "relu"] = "tanh"
    """tanh, or relu as in E.2, cut off at 8."""
    learning_rate: StepSize = 0.001
    """Step size of the critic at the start."""
    final_learning_rate_share: Share = 0.0
    """It falls linearly to this share of itself over the run; 1 keeps it constant."""
    target_rate: Share = 0.01
    """Share of its distance that the target network moves after each gradient step."""
    noise: _Noise = 0.3
    """Deviation of the exploration noise, in half-widths of the box of theta; it falls linearly to ``final_noise``."""
    final_noise: _Noise = 0.05
    """The same at the end of the run."""
    gradient_norm: Weight = 0.0
    """Largest norm of the critic's gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.warm_up < self.window, "naf.warm_up", self.warm_up, "Give less than naf.window.")


def _refuse_planning(at: Situation) -> str:
    if at.ais.encoder == "none":
        return (
            "ais.encoder is 'none', but the algorithm ais-planning looks ahead with a learned state approximator. There "
            'would be none. Set ais.encoder = "gru".'
        )
    if at.ais.loss != "next-observation":
        return (
            f"ais.loss is {at.ais.loss!r}, but the algorithm ais-planning looks ahead over next common observations, which "
            'only next-observation predicts. Nothing was started. Set ais.loss = "next-observation".'
        )
    if not isinstance(at.common, FiniteSpace):
        return (
            f"what is common is {space_text(at.common)}, which is not finite, but the algorithm ais-planning looks at each "
            "common observation that may follow. There is no end of them. Choose another algorithm, such as actor-critic."
        )
    if not is_enumerated(at.common):
        return (
            f"there are {at.common.num_values} common observations, but the algorithm ais-planning looks at each that may "
            f"follow: {MOST_ENUMERATED} are the most. Choose another algorithm, such as actor-critic."
        )
    return ""


def _plays_corners(own: NafSettings) -> bool:
    return own.plays == "corners"


_PLANNING_TRIAL = PlanningSettings(
    memory_steps=24,
    model_steps=1,
    windows=2,
    window=4,
    warm_up=1,
    states=3,
    beginnings=2,
    value_steps=1,
    value_hidden_size=4,
)
_NAF_TRIAL = NafSettings(memory_steps=24, steps=1, windows=3, window=2, warm_up=1, first_steps=0, hidden_size=4)

_TABLE = (
    AlgorithmSpec(name="actor-critic", implementation="actor_critic:ActorCritic", credits_used=True, imitates=True),
    AlgorithmSpec(
        name="ppo",
        implementation="ppo:ProximalPolicyOptimisation",
        settings=PpoSettings(),
        credits_used=True,
        imitates=True,
    ),
    AlgorithmSpec(
        name="trpo",
        implementation="trpo:TrustRegion",
        settings=TrpoSettings(),
        imitates=True,
        trial=TrpoSettings(conjugate_gradient_steps=2, line_search_steps=2, value_steps=1),
    ),
    AlgorithmSpec(
        name="q-actor-critic",
        implementation="q_actor_critic:QActorCritic",
        settings=QActorCriticSettings(),
        thetas=("menu", "factored"),
        imitates=True,
    ),
    AlgorithmSpec(
        name="ais-planning",
        implementation="ais_planning:AisPlanning",
        settings=PlanningSettings(),
        thetas=("menu", "factored"),
        refuse=_refuse_planning,
        knows_termination=False,
        trial=_PLANNING_TRIAL,
    ),
    AlgorithmSpec(
        name="naf-dqn",
        implementation="naf_dqn:NafDqn",
        settings=NafSettings(),
        thetas=("box",),
        plays_corners=_plays_corners,
        trial=_NAF_TRIAL,
        further_trials={"corners of theta": replace(_NAF_TRIAL, plays="corners")},
    ),
)
ALGORITHMS = {spec.name: spec for spec in _TABLE}
"""Name in the configuration -> entry."""
