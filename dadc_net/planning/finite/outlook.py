"""What the search knows of a team belief before it has looked at it: bounds that the joint beliefs in it give.

From above: everything becomes common now and stays so (V_full, or V_mdp where that is too much to enumerate). From
below: one joint action is repeated, whatever happens. A stage is the number of decisions left where there is a horizon;
without one it is the phase of the structure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs, Numbers, TooManyBeliefsError
from dadc_net.planning.finite.relaxations import FullSharingValues, StateValues

_CLOSE = 1e-13
_MOST_OUTCOMES = 3_000_000
_TOGETHER = 300_000
"""States of beliefs after joint actions that are looked at between two questions for the time."""


class Outlook(Protocol):
    """Bounds for joint beliefs, and how stages follow one another."""

    start: int
    """The first stage."""
    most_nested: int
    """How deep looking ahead may be nested in looking ahead."""
    depth_ahead: float
    """How many decisions a trial from a fresh belief may take in."""
    worthwhile: float
    """Promises are ordered anew when the best of them falls by more than this share of the gap."""
    first_budget: int
    """Trials from a fresh belief when a promise first rests on it; four times as many each later time."""

    def next(self, stage: int) -> int:
        """The stage after it."""
        ...

    def is_last(self, stage: int) -> bool:
        """Whether this decision is the last."""
        ...

    def is_over(self, stage: int) -> bool:
        """Whether no decision is left, and the bounds are what they are."""
        ...

    def floor(self, stage: int) -> float:
        """The gap that is left at a stage where all bounds at the end are as they are."""
        ...

    def step(self, stage: int) -> int:
        """The step that the stage is at, as far as the structure can tell steps apart."""
        ...

    def upper(self, stage: int, numbers: Numbers) -> Array:
        """[n] no structure has more than this."""
        ...

    def upper_q(self, stage: int, numbers: Numbers) -> Array:
        """[n, JA] the same after a joint action."""
        ...

    def lower(self, stage: int, numbers: Numbers) -> Array:
        """[n, V] every structure has this; the first JA of the policies repeat a joint action."""
        ...


class HorizonOutlook:
    """With a horizon: stages count decisions left. Satisfies ``Outlook``."""

    most_nested = 60
    depth_ahead = np.inf
    first_budget = 10
    worthwhile = 0.0

    def __init__(self, full: FullSharingValues, horizon: int, phases: int) -> None:
        """``phases``: steps that the structure tells apart."""
        self.start = horizon
        self._full = full
        self._phases = phases

    def next(self, stage: int) -> int:
        """One less."""
        return stage - 1

    def is_last(self, stage: int) -> bool:
        """At 1."""
        return stage == 1

    def is_over(self, stage: int) -> bool:
        """At 0."""
        return stage == 0

    def floor(self, stage: int) -> float:
        """Any gap can be closed."""
        return 0.0

    def step(self, stage: int) -> int:
        """Decisions made, up to whole phases."""
        return (self.start - stage) % self._phases

    def upper(self, stage: int, numbers: Numbers) -> Array:
        """[n] V_full."""
        return self._full.best(stage, numbers)

    def upper_q(self, stage: int, numbers: Numbers) -> Array:
        """[n, JA] Q_full."""
        return self._full.q(stage, numbers)

    def lower(self, stage: int, numbers: Numbers) -> Array:
        """[n, JA] the value of repeating a joint action."""
        return self._full.repeated(stage, numbers)


class DiscountedOutlook:
    """Without a horizon: stages are the structure's phases. Satisfies ``Outlook``."""

    most_nested = 1
    depth_ahead = 2.0
    first_budget = 1
    worthwhile = 0.02

    def __init__(
        self, joint: JointBeliefs, discount: float, phases: int, most: int, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Enumerate joint beliefs while there are at most ``most``, and until ``stop``; beyond them V_mdp is used."""
        self.start = 0
        self._phases = phases
        self._joint = joint
        self._discount = discount
        self._stop = stop
        states = StateValues(joint.model, discount, endless=True, stop=stop)
        self._best = states.best(0)
        self.vectors = states.repeated(0)
        """[S, V] by state, values of policies that begin without memory, after which anything may have happened before; the
        first JA of them repeat a joint action."""
        self._ahead = states.improved(self._best)
        self._known = self._enumerate(most)
        self._distance: float | None = None

    @property
    def bytes_held(self) -> int:
        """Of the tables by joint belief and by state."""
        return self._known.nbytes + self.vectors.nbytes + self._best.nbytes + self._ahead.nbytes

    def next(self, stage: int) -> int:
        """The next phase."""
        return (stage + 1) % self._phases

    def is_last(self, stage: int) -> bool:
        """Never."""
        return False

    def is_over(self, stage: int) -> bool:
        """Never."""
        return False

    def floor(self, stage: int) -> float:
        """Any gap can be closed."""
        return 0.0

    def step(self, stage: int) -> int:
        """The phase."""
        return stage

    def upper(self, stage: int, numbers: Numbers) -> Array:
        """[n] V_full of what was enumerated, V_mdp of the rest."""
        result = np.empty(len(numbers))
        known = numbers < len(self._known)
        result[known] = self._known[numbers[known]].max(axis=1)
        if not known.all():
            result[~known] = self._joint.expected(numbers[~known], self._best)
        return result

    def upper_q(self, stage: int, numbers: Numbers) -> Array:
        """[n, JA] the same after a joint action."""
        result = np.empty((len(numbers), self._joint.model.num_joint_actions))
        known = numbers < len(self._known)
        result[known] = self._known[numbers[known]]
        if not known.all():
            result[~known] = self._joint.expected(numbers[~known], self._ahead)
        return result

    def lower(self, stage: int, numbers: Numbers) -> Array:
        """[n, V] the values of policies that begin without memory, the first of which repeat a joint action for ever."""
        return self._joint.expected(numbers, self.vectors)

    def cap(self, number: int, upper_q: Array) -> None:
        """A joint belief is worth no more than ``upper_q`` [JA] after each joint action, for what shares so little."""
        if number < len(self._known):
            self._known[number] = np.minimum(self._known[number], upper_q)
            self._distance = None

    def add(self, vector: Array) -> int:
        """Know the values [S] of one more policy that begins without memory; its number."""
        self.vectors = np.concatenate((self.vectors, vector[:, None]), axis=1)
        self._distance = None
        return int(self.vectors.shape[1]) - 1

    def distance(self) -> float:
        """How far the bounds can be apart at a team belief, whose joint beliefs all have to do with one policy."""
        if self._distance is None:
            if len(self._known) < len(self._joint):
                apart = self._best[:, None] - self.vectors
            else:
                apart = self._known.max(axis=1)[:, None] - self.lower(0, np.arange(len(self._known)))
            self._distance = float(apart.max(axis=0).min())
        return self._distance

    def _enumerate(self, most: int) -> Array:
        """[N, JA] Q_full of joint beliefs: value iteration from V_mdp on those whose successors are known."""
        joint, actions = self._joint, self._joint.model.num_joint_actions
        done, outcomes = 0, 0
        together = max(8, min(256, _TOGETHER // (actions * joint.model.num_states)))
        while done < len(joint) and len(joint) <= most and outcomes <= _MOST_OUTCOMES and not self._stop():
            upto = min(len(joint), done + together)
            numbers = np.arange(done, upto)
            try:
                found = joint.following(np.repeat(numbers, actions), np.tile(np.arange(actions), len(numbers)))
            except TooManyBeliefsError:
                break
            outcomes += len(found.pair)
            done = upto
        numbers = np.arange(done)
        if not done:
            return np.zeros((0, actions))
        found = joint.following(np.repeat(numbers, actions), np.tile(np.arange(actions), done))
        value = joint.expected(np.arange(len(joint)), self._best)
        reward = joint.reward(numbers)
        while True:
            ahead = np.bincount(found.pair, weights=found.probability * value[found.belief], minlength=done * actions)
            q = reward + self._discount * ahead.reshape(done, actions)
            improved = np.minimum(value[:done], q.max(axis=1))
            # Only what falls counts: where V_mdp is as tight as V_full, rounding can hold the maximum above it for ever.
            change = float((value[:done] - improved).max())
            value[:done] = improved
            # Every sweep begins from above, so that what it finds is never too little.
            if change <= _CLOSE * max(1.0, float(np.abs(value).max())) or self._stop():
                return q


class StagedOutlook:
    """Without a horizon, but stages count the decisions that are looked at. Satisfies ``Outlook``.

    After the last of them come the bounds of ``DiscountedOutlook``. One more decision is looked at until their discounted
    distance is small; whatever is known of a stage stays known. This is the better way where fresh beliefs do not come up by
    themselves, because promises then rest on problems that are one decision shorter.
    """

    most_nested = 60
    depth_ahead = np.inf
    first_budget = 10
    worthwhile = 0.0

    def __init__(self, endless: DiscountedOutlook, discount: float, phases: int) -> None:
        self.start = 0
        """Decisions to look at; a multiple of ``phases``."""
        self._endless = endless
        self._discount = discount
        self._phases = phases

    def next(self, stage: int) -> int:
        """One less."""
        return stage - 1

    def is_last(self, stage: int) -> bool:
        """Never: something follows."""
        return False

    def is_over(self, stage: int) -> bool:
        """At 0."""
        return stage == 0

    def floor(self, stage: int) -> float:
        """What is left of the distance of the bounds at the end, and float64's own error."""
        return self._endless.distance() * (self._discount**stage + 1e-12)

    def step(self, stage: int) -> int:
        """Decisions made, up to whole phases."""
        return -stage % self._phases

    def upper(self, stage: int, numbers: Numbers) -> Array:
        """[n] V_full."""
        return self._endless.upper(0, numbers)

    def upper_q(self, stage: int, numbers: Numbers) -> Array:
        """[n, JA] Q_full."""
        return self._endless.upper_q(0, numbers)

    def lower(self, stage: int, numbers: Numbers) -> Array:
        """[n, V] the values of policies that begin without memory."""
        return self._endless.lower(0, numbers)
