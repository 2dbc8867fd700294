"""What the search knows of a team belief before it has looked at it: bounds that the joint beliefs in it give.

From above: everything becomes common now and stays so (V_full, or V_mdp where that is too much to enumerate). From below: one
joint action is repeated, whatever happens. A stage is the number of decisions left where there is a horizon; without one it
is the phase of the structure.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs, Numbers, TooManyBeliefsError
from dadc_net.planning.finite.relaxations import FullSharingValues, StateValues

_CLOSE = 1e-13
_MOST_OUTCOMES = 3_000_000


class Outlook(Protocol):
    """Bounds for joint beliefs, and how stages follow one another."""

    start: int
    """The first stage."""

    def next(self, stage: int) -> int:
        """The stage after it."""
        ...

    def is_last(self, stage: int) -> bool:
        """Whether this decision is the last."""
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
        """[n, JA] every structure has this, by repeating a joint action."""
        ...


class HorizonOutlook:
    """With a horizon: stages count decisions left. Satisfies ``Outlook``."""

    def __init__(self, full: FullSharingValues, horizon: int) -> None:
        self.start = horizon
        self._full = full

    def next(self, stage: int) -> int:
        """One less."""
        return stage - 1

    def is_last(self, stage: int) -> bool:
        """At 1."""
        return stage == 1

    def step(self, stage: int) -> int:
        """Decisions made."""
        return self.start - stage

    def upper(self, stage: int, numbers: Numbers) -> Array:
        """[n] V_full."""
        return self._full.best(stage, numbers)

    def upper_q(self, stage: int, numbers: Numbers) -> Array:
        """[n, JA] Q_full."""
        return self._full.q(stage, numbers)

    def lower(self, stage: int, numbers: Numbers) -> Array:
        """[n, JA] the value of repeating a joint action to the end."""
        return self._full.joint.expected(numbers, self._full.states.repeated(stage))


class DiscountedOutlook:
    """Without a horizon: stages are the structure's phases. Satisfies ``Outlook``."""

    def __init__(self, joint: JointBeliefs, discount: float, phases: int, most: int) -> None:
        """Enumerate joint beliefs while there are at most ``most``; beyond them V_mdp is used."""
        self.start = 0
        self._phases = phases
        self._joint = joint
        self._discount = discount
        self._states = StateValues(joint.model, discount)
        self._best, self._repeated = _endless(self._states, joint.model.expected_rewards, discount)
        self._ahead = self._states.improved(self._best)
        self._known = self._enumerate(most)

    def next(self, stage: int) -> int:
        """The next phase."""
        return (stage + 1) % self._phases

    def is_last(self, stage: int) -> bool:
        """Never."""
        return False

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
        """[n, JA] the value of repeating a joint action for ever."""
        return self._joint.expected(numbers, self._repeated)

    def _enumerate(self, most: int) -> Array:
        """[N, JA] Q_full of joint beliefs: value iteration from V_mdp on those whose successors are known."""
        joint, actions = self._joint, self._joint.model.num_joint_actions
        done, outcomes = 0, 0
        while done < len(joint) and len(joint) <= most and outcomes <= _MOST_OUTCOMES:
            upto = min(len(joint), done + 256)
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
        reward, change = joint.reward(numbers), np.inf
        q = reward
        while change > _CLOSE * max(1.0, float(np.abs(value).max())):
            ahead = np.bincount(found.pair, weights=found.probability * value[found.belief], minlength=done * actions)
            q = reward + self._discount * ahead.reshape(done, actions)
            change = float(np.abs(q.max(axis=1) - value[:done]).max())
            value[:done] = np.minimum(value[:done], q.max(axis=1))
        return q


def _endless(states: StateValues, rewards: Array, discount: float) -> tuple[Array, Array]:
    """[S] V_mdp from above and [S, JA] values of repeated actions from below, without end."""
    best = np.full(rewards.shape[1], float(rewards.max()) / (1.0 - discount))
    change = np.inf
    while change > _CLOSE * max(1.0, float(np.abs(best).max())):
        improved = np.minimum(best, states.improved(best).max(axis=1))
        change = float(np.abs(improved - best).max())
        best = improved
    steps = int(np.ceil(np.log(1e-14) / np.log(discount))) if discount > 0.0 else 1
    tail = discount**steps * float(rewards.min()) / (1.0 - discount)
    return best, states.repeated(steps) + tail
