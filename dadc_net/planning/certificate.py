"""Theorem 5 measured: epsilon, delta and kappa of a learned AIS against the exact belief, and the bound they give.

    |V(b_t) - V_learned(x_t)|  <=  kappa + (epsilon + L_V delta) / (1 - gamma)

Along sampled common information the exact belief b_t and the learned x_t are tracked side by side. At each visited
pair, for every prescription h:

    epsilon   |E[R | b, h] - r(x, h)|                                  (P1), r the learned reward
    delta     W(law of x' given b, h; law of x' given x, h)            (P2), both laws live on the points rho(x, z', h),
              and differ in the weights of z' only: the model's and the learned ones
    kappa     |V_learned(x) - max_h Q(x, h)| / (1 - gamma), Q by one step of (3) from V_learned: the Bellman residual
              bounds the distance from the solution of (3)
    L_V       largest |V_learned(x) - V_learned(y)| / |x - y| among visited x, y

    error     the distance of V_learned(x) from V*(b), or from its bounds where those are known alone

and the largest value is taken. W is bounded from above by one coupling: equal mass stays, the rest is moved in
proportion; for two point masses it is exact. Half of the paths follow the learned rule, half draw prescriptions uniformly.

Suprema over what was sampled are estimates from below of the constants of the theorem, which range over all common
information: this certificate can be too small, and says so by showing the largest true error beside the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream
from dadc_net.planning.coordinated_model import Array, CoordinatedModel
from dadc_net.planning.value_iteration import Solution

_DISTINCT = 1e-3
"""Points of the AIS closer than this say nothing about a slope."""
_MOST_PAIRED = 400


class Seen(NamedTuple):
    """What is true of n exact beliefs."""

    reward: Array
    """[n, M]"""
    probability: Array
    """[n, M, Z]"""
    low: Array
    """[n] V* is at least this"""
    high: Array
    """[n] and at most this"""


class ExactBeliefs(Protocol):
    """n copies of the exact belief, driven by sampled common information."""

    outcomes: NDArray[np.int64]
    """[Z, C] the common observations that can follow"""

    def copies(self, wanted: int) -> int:
        """How many copies are affordable, at most ``wanted``."""
        ...

    def begin(self, copies: int) -> NDArray[np.int64]:
        """Start n copies afresh; z_0 [n, C]."""
        ...

    def seen(self) -> Seen:
        """What is true now."""
        ...

    def follow(self, chosen: NDArray[np.int64], uniforms: Array) -> NDArray[np.int64]:
        """Play prescriptions [n]; the common observations [n, C] after them, drawn with uniforms [n]."""
        ...


class EnumeratedBeliefs:
    """Of a model whose beliefs are enumerated and solved; satisfies ``ExactBeliefs``."""

    def __init__(self, model: CoordinatedModel, solution: Solution) -> None:
        self._model, self._solution = model, solution
        self._cumulative = np.cumsum(model.probability, axis=2)
        self.outcomes = model.outcomes

    def copies(self, wanted: int) -> int:
        """As many as are wanted."""
        return wanted

    def begin(self, copies: int) -> NDArray[np.int64]:
        """z_0 [n, C]."""
        self._belief = np.full(copies, self._model.start, dtype=np.int64)
        return np.tile(self._model.start_common, (copies, 1))

    def seen(self) -> Seen:
        """V* is known, up to the planner's residual."""
        value = self._solution.value[self._belief]
        return Seen(self._model.reward[self._belief], self._model.probability[self._belief], value, value)

    def follow(self, chosen: NDArray[np.int64], uniforms: Array) -> NDArray[np.int64]:
        """[n, C]"""
        thresholds = self._cumulative[self._belief, chosen]
        outcome = np.sum(thresholds <= (uniforms * thresholds[:, -1])[:, None], axis=1)
        self._belief = self._model.next_belief[self._belief, chosen, outcome]
        common: NDArray[np.int64] = self._model.outcomes[outcome]
        return common


class Prediction(Protocol):
    """What a learner says of n points of its AIS; Z runs over the model's outcomes, in their order."""

    @property
    def states(self) -> Array:
        """[n, X]"""
        ...

    @property
    def value(self) -> Array:
        """[n] V_learned"""
        ...

    @property
    def reward(self) -> Array:
        """[n, M]"""
        ...

    @property
    def probability(self) -> Array:
        """[n, M, Z]"""
        ...

    @property
    def following(self) -> Array:
        """[n, M, Z, X]"""
        ...

    @property
    def scores(self) -> Array:
        """[n, M] reward and discounted V_learned of what follows, by the learned model"""
        ...

    @property
    def chosen(self) -> NDArray[np.int64]:
        """[n] what the learned rule does"""
        ...


class LearnedView(Protocol):
    """A learner seen from outside: n copies of its AIS driven by common information."""

    def begin(self, copies: int) -> None:
        """Start n copies afresh."""
        ...

    def observe(self, common: NDArray[np.int64]) -> Prediction:
        """Take in the next common observation [n, C]."""
        ...

    def follow(self, prescriptions: NDArray[np.int64]) -> None:
        """Say which prescriptions [n] were used."""
        ...


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The constants, as largest and as mean over what was visited."""

    epsilon: float
    epsilon_mean: float
    delta: float
    delta_mean: float
    kappa: float
    kappa_mean: float
    lipschitz: float
    bound: float
    """kappa + (epsilon + L_V delta) / (1 - gamma), of the largest values"""
    bound_mean: float
    """The same of the means: what an average path would give; no bound."""
    error: float
    """Largest |V*(b) - V_learned(x)| that was met; where V*(b) is known between bounds, the least that it can be"""
    error_mean: float
    value_bounds: float
    """Largest distance of the bounds of V*(b); 0 where it is known"""
    points: int


def transport(weights: Array, others: Array, points: Array) -> Array:
    """Upper bound of the Wasserstein distance of two laws on the same points.

    Args:
        weights, others: [n, Z], each row a law.
        points: [n, Z, X].

    Returns:
        [n] cost of the coupling that leaves equal mass where it is and moves the rest in proportion.
    """
    surplus, lack = np.maximum(weights - others, 0.0), np.maximum(others - weights, 0.0)
    moved = surplus.sum(axis=1)
    distance = np.sqrt(((points[:, :, None] - points[:, None]) ** 2).sum(axis=3))
    cost: Array = (surplus[:, :, None] * lack[:, None] * distance).sum(axis=(1, 2))
    result: Array = np.divide(cost, moved, out=np.zeros_like(cost), where=moved > 1e-15)
    return result


def _slope(states: Array, value: Array) -> float:
    """Largest slope of the value among at most ``_MOST_PAIRED`` of the points, evenly taken."""
    chosen = np.unique(np.linspace(0, len(states) - 1, min(_MOST_PAIRED, len(states))).astype(np.int64))
    x, v = states[chosen], value[chosen]
    distance = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    far = distance > _DISTINCT
    return float((np.abs(v[:, None] - v[None])[far] / distance[far]).max(initial=0.0))


def certify(
    beliefs: ExactBeliefs,
    discount: float,
    view: LearnedView,
    trajectories: int,
    steps: int,
    stream: Stream,
) -> Certificate:
    """Sample ``trajectories`` paths of ``steps`` common observations, or as many as are affordable, and measure the
    constants along them."""
    copies = beliefs.copies(trajectories)
    common = beliefs.begin(copies)
    exploring = np.arange(copies) % 2 == 1
    view.begin(copies)
    measured = ("epsilon", "delta", "kappa", "error", "states", "value", "apart")
    errors: dict[str, list[Array]] = {name: [] for name in measured}
    for t in range(steps):
        seen = view.observe(common)
        truth = beliefs.seen()
        exact, entries = truth.probability, truth.reward.shape[1]
        learned = seen.probability / np.maximum(seen.probability.sum(axis=2, keepdims=True), 1e-12)
        moved = [transport(exact[:, m], learned[:, m], seen.following[:, m]) for m in range(entries)]
        errors["epsilon"].append(np.abs(truth.reward - seen.reward).max(axis=1))
        errors["delta"].append(np.max(moved, axis=0))
        errors["kappa"].append(np.abs(seen.value - seen.scores.max(axis=1)) / (1.0 - discount))
        errors["error"].append(np.maximum(0.0, np.maximum(truth.low - seen.value, seen.value - truth.high)))
        errors["apart"].append(truth.high - truth.low)
        errors["states"].append(seen.states)
        errors["value"].append(seen.value)
        uniform = stream.uniforms(t, 2, copies)
        chosen = np.where(exploring, (uniform[1] * entries).astype(np.int64), seen.chosen)
        view.follow(chosen)
        common = beliefs.follow(chosen, uniform[0])
    return _gather({name: np.concatenate(parts) for name, parts in errors.items()}, discount)


def _gather(found: dict[str, Array], discount: float) -> Certificate:
    largest = {name: float(found[name].max()) for name in ("epsilon", "delta", "kappa", "error")}
    mean = {name: float(found[name].mean()) for name in largest}
    slope = _slope(found["states"], found["value"])

    def bound(of: dict[str, float]) -> float:
        return of["kappa"] + (of["epsilon"] + slope * of["delta"]) / (1.0 - discount)

    return Certificate(
        epsilon=largest["epsilon"],
        epsilon_mean=mean["epsilon"],
        delta=largest["delta"],
        delta_mean=mean["delta"],
        kappa=largest["kappa"],
        kappa_mean=mean["kappa"],
        lipschitz=slope,
        bound=bound(largest),
        bound_mean=bound(mean),
        error=largest["error"],
        error_mean=mean["error"],
        value_bounds=float(found["apart"].max()),
        points=len(found["value"]),
    )
