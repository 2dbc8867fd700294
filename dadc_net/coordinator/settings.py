"""Everything an agent is told about its task: the settings of the virtual coordinator.

They travel from the environment server to every agent when a run begins, and their digest is part of what must be
equal. They hold spaces, counts, the discount and the learner's settings; never a parameter of the environment, which
agents do not know (paper, Section 5: the model is unknown).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dadc_net.coordinator.continuous_settings import GaussianSettings, NafSettings
from dadc_net.coordinator.demands import check_demands
from dadc_net.errors import ConfigError
from dadc_net.exact import canonical
from dadc_net.exact.digest import digest
from dadc_net.sections import closest, from_mapping, require, to_mapping
from dadc_net.team.spaces import BoxSpace, FiniteSpace, space_from_record

AIS_LOSSES = ("next-observation", "next-ais-nll", "next-ais-energy", "next-ais-mmd")
BESIDE = ("none", *AIS_LOSSES[1:])
REWARD_INPUTS = ("prescription", "outcome")
SCHEDULES = ("linear", "robbins-monro")
OPTIMISERS = ("adam", "sgd")
LEARNING = ("shared", "independent")
ENCODERS = ("gru", "none")
ALGORITHMS = ("actor-critic", "ppo", "trpo", "q-actor-critic", "ais-planning", "naf-dqn")


@dataclass(frozen=True)
class LearnerSettings:
    """What every algorithm of the family shares. Paper: Section 5 and E.1."""

    num_envs: int = 16
    """E, independent copies of the environment stepped at once; 1 is the online system of the paper."""
    batch_steps: int = 320
    """Environment steps per update, T x E; the paper's E.1 has 300 at E = 1."""
    hidden_size: int = 16
    """Units of every hidden layer of actor and critic; the paper's E.1 has 5, E.2 64."""
    hidden_layers: int = 1
    """Hidden layers of the trunk that actor and critic share, or of each where they share none; E.2 has 2."""
    shared_trunk: bool = True
    """Whether actor and critic share their first layers, as in E.1; in E.2 and in trpo each has a network of its own."""
    learning_rate: float = 0.02
    final_learning_rate_share: float = 0.0
    """The learning rate falls linearly to this share of itself over the run; 1 keeps it constant, as in E.1."""
    trace_decay: float = 0.6
    """lambda of the generalised advantage estimator."""
    normalise_advantages: bool = False
    """Whether advantages are centred and scaled to deviation 1 within a batch."""
    entropy_weight: float = 0.03
    """Weight of the entropy bonus at the start; it falls linearly to 0 at the end of the run."""
    value_loss_weight: float = 0.5
    gradient_norm: float = 0.0
    """Largest norm of the actor-critic gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        require(self.num_envs >= 1, "learner.num_envs", self.num_envs, "Give at least 1.")
        require(
            self.batch_steps >= self.num_envs and self.batch_steps % self.num_envs == 0,
            "learner.batch_steps",
            self.batch_steps,
            f"It must be a positive multiple of learner.num_envs = {self.num_envs}, so that every copy gives the same "
            "number of steps to a batch.",
        )
        require(1 <= self.hidden_size <= 4096, "learner.hidden_size", self.hidden_size, "Give 1 to 4096.")
        require(1 <= self.hidden_layers <= 8, "learner.hidden_layers", self.hidden_layers, "Give 1 to 8.")
        require(0 < self.learning_rate <= 10, "learner.learning_rate", self.learning_rate, "Give a number in (0, 10].")
        for key in ("final_learning_rate_share", "trace_decay"):
            value = getattr(self, key)
            require(0 <= value <= 1, f"learner.{key}", value, "Give a number from 0 to 1.")
        for key in ("entropy_weight", "value_loss_weight", "gradient_norm"):
            value = getattr(self, key)
            require(0 <= value <= 1e6, f"learner.{key}", value, "Give a number from 0 to 1e6.")

    @property
    def batch_lock_steps(self) -> int:
        """T, the lock-steps of one batch."""
        return self.batch_steps // self.num_envs


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
        _require_word("ais.encoder", self.encoder, ENCODERS)
        require(0 < self.feature_scale <= 64, "ais.feature_scale", self.feature_scale, "Give a number in (0, 64].")
        require(1 <= self.size <= 1024, "ais.size", self.size, "Give 1 to 1024.")
        _require_word("ais.loss", self.loss, AIS_LOSSES)
        _require_word("ais.beside", self.beside, BESIDE)
        require(
            self.beside == "none" or self.loss == "next-observation",
            "ais.beside",
            self.beside,
            f'It stands beside (P2b), but ais.loss is {self.loss!r}. Set ais.loss = "next-observation".',
        )
        _require_word("ais.reward_input", self.reward_input, REWARD_INPUTS)
        require(2 <= self.particles <= 64, "ais.particles", self.particles, "Give 2 to 64.")
        require(0 <= self.truncation <= 10**6, "ais.truncation", self.truncation, "Give 0 to 1000000.")
        for key in ("reward_loss_weight", "beside_weight", "final_learning_rate_share"):
            value = getattr(self, key)
            require(0 <= value <= 1, f"ais.{key}", value, "Give a number from 0 to 1.")
        require(0 < self.learning_rate <= 10, "ais.learning_rate", self.learning_rate, "Give a number in (0, 10].")
        require(0 <= self.gradient_norm <= 1e6, "ais.gradient_norm", self.gradient_norm, "Give a number from 0 to 1e6.")


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
        _require_word("schedule.kind", self.kind, SCHEDULES)
        _require_word("schedule.optimiser", self.optimiser, OPTIMISERS)
        require(
            0 <= self.parameter_bound <= 1e6, "schedule.parameter_bound", self.parameter_bound, "Give 0 to 1000000."
        )
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


def _require_word(key: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ConfigError(
            f"{key} is {word!r}, which does not exist. {closest(word, known)} Choose one of {', '.join(known)}."
        )


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
        require(
            0 < self.critic_learning_rate <= 10, "q.critic_learning_rate", self.critic_learning_rate, "Give (0, 10]."
        )
        require(1 <= self.critic_steps <= 1000, "q.critic_steps", self.critic_steps, "Give 1 to 1000.")
        _require_word("q.bootstrap", self.bootstrap, ("expected", "sampled"))
        _require_word("q.gradient", self.gradient, ("all", "sampled"))


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
        require(
            0 < self.value_learning_rate <= 10, "trpo.value_learning_rate", self.value_learning_rate, "Give (0, 10]."
        )
        for key in ("conjugate_gradient_steps", "line_search_steps", "value_steps"):
            value = getattr(self, key)
            require(1 <= value <= 1000, f"trpo.{key}", value, "Give 1 to 1000.")


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
class CoordinatorSettings:
    """All that determines the learner besides the shared seed and the common information."""

    num_agents: int
    updates: int
    """Updates of the whole run; the schedules of learning rate and entropy end with it."""
    discount: float
    algorithm: str
    common_space: dict[str, Any]
    """Record of the space of z_t."""
    theta_space: dict[str, Any]
    """Record of the space of prescription parameters: one finite factor for a menu, or a box."""
    learning: str = "shared"
    """shared: all agents are replicas of one coordinator. independent: each learns alone from what it knows itself, the
    baseline of Section 7."""
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    ais: AisSettings = field(default_factory=AisSettings)
    ppo: PpoSettings = field(default_factory=PpoSettings)
    trpo: TrpoSettings = field(default_factory=TrpoSettings)
    q: QActorCriticSettings = field(default_factory=QActorCriticSettings)
    planning: PlanningSettings = field(default_factory=PlanningSettings)
    gaussian: GaussianSettings = field(default_factory=GaussianSettings)
    naf: NafSettings = field(default_factory=NafSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)

    def __post_init__(self) -> None:
        require(1 <= self.num_agents <= 32767, "agents", self.num_agents, "Give 1 to 32767.")
        require(1 <= self.updates <= 10**9, "updates", self.updates, "Give at least 1.")
        require(0 < self.discount <= 1, "discount", self.discount, "Give a number above 0 and at most 1.")
        _require_word("algorithm", self.algorithm, ALGORITHMS)
        _require_word("learning", self.learning, LEARNING)
        check_demands(self)

    @property
    def num_prescriptions(self) -> int:
        """M, entries of the prescription menu; 0 where theta is continuous."""
        space = space_from_record(self.theta_space)
        return space.num_values if isinstance(space, FiniteSpace) else 0

    @property
    def theta_dimensions(self) -> int:
        """D, dimensions of a continuous theta; 0 for a menu."""
        space = space_from_record(self.theta_space)
        return len(space.low) if isinstance(space, BoxSpace) else 0

    @property
    def plays_corners(self) -> bool:
        """Whether only the corners of the box of theta are played."""
        return self.algorithm == "naf-dqn" and self.naf.plays == "corners"

    @property
    def is_shared(self) -> bool:
        """Whether all agents are replicas of one learner, so that everything they compute must be equal."""
        return self.learning == "shared"

    def to_record(self) -> dict[str, Any]:
        """Plain data for the wire and for files."""
        return to_mapping(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> CoordinatorSettings:
        """The inverse of ``to_record``. Raises ConfigError for anything else."""
        return from_mapping(cls, record, "")

    def digest(self) -> bytes:
        """32 bytes that are equal exactly when two agents have the same settings."""
        return digest(b"dadc-net settings", canonical.encode(self.to_record()))
