"""What a coordination rule is worth on a finite model: exactly where common histories are few, else by sampling those alone.

With v any function of the state and v(b) its mean under the belief b on it,

    J = v(b_0) - E sum_t gamma^t [v(b_t) - E[R_t + gamma v(s_{t+1}) | b_t, h_t]],

which is the performance-difference identity where v(b) is V*(b). Every bracket is computed from the exact law of states
and local information, so that what is sampled is the common information alone. v is the optimum with the state common: it
takes away what the luck of the draw adds, and what a trajectory leaves out after its end is a gap to it and no return.
Where nothing random becomes common, or an episode has few common histories, none is sampled and the value is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dadc_net.exact.streams import Stream
from dadc_net.planning.evaluation import Estimate, Rule, horizon, mean_estimate
from dadc_net.planning.finite.exact_law import Branches, Law, LawOfTeam, Moved
from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.relaxations import StateValues
from dadc_net.team.finite.sparse_rows import sums_at
from dadc_net.team.prescriptions import Theta

_MOST_HISTORIES = 2000
"""Common histories at one step up to which all are followed."""
_MOST_ROWS = 100_000
_FIRST_BLOCK, _BLOCK = 50, 500
"""Trajectories that are sampled together, at first and at most."""
_WORK = 20_000_000
"""Rows of laws that sampling may move, seconds of one core: where beliefs are wide, fewer trajectories are sampled, and the
standard error says so. A number of rows and not a time, so that the same rule has the same value on every host."""


class RuleValues:
    """Values rules over ``decisions``, or without end where it is 0."""

    def __init__(self, team: LawOfTeam, discount: float, decisions: int) -> None:
        """Without end the discount must be below 1; what follows after gamma^t is below 1e-5 is left out."""
        self.team = team
        self.discount = discount
        self.steps = decisions or horizon(discount)
        self._decisions = decisions
        self._states = StateValues(team.model, discount, endless=not decisions)
        self.moved = 0
        """Rows of laws that were moved so far, counted where each has branched: what valuing costs, whatever the host."""

    def estimate(self, rule: Rule, trajectories: int, stream: Stream) -> Estimate:
        """J(rule), with a standard error of 0 where it is exact."""
        self.team.forget()
        found = self.exact(rule)
        return self.sampled(rule, trajectories, stream) if found is None else Estimate(found, 0.0)

    def exact(self, rule: Rule) -> float | None:
        """J(rule) over all common histories; None where they become too many."""
        law, common = self.team.start(1)
        histories, reach = [common], np.ones(1)
        rule.begin(1)
        theta = rule.choose(common)
        losses = 0.0
        for t in range(self.steps):
            loss, after = self._decided(law, theta, len(reach), t)
            losses += self.discount**t * float(reach @ loss)
            if t + 1 == self.steps:
                break
            branches = self.team.branches(after)
            if len(branches.chance) > _MOST_HISTORIES or len(branches.group) > _MOST_ROWS:
                return None
            law = self.team.known(branches, np.arange(len(branches.chance)))
            split = len(branches.chance) > len(reach)
            reach = reach[branches.copy] * branches.chance
            histories = [*(z[branches.copy] for z in histories), branches.common]
            # A rule keeps what it has seen to itself: where copies have become more, they are told everything again.
            if split:
                rule.begin(len(reach))
            for z in histories if split else histories[-1:]:
                theta = rule.choose(z)
        return self._value(losses)

    def sampled(self, rule: Rule, trajectories: int, stream: Stream) -> Estimate:
        """J(rule) from sampled common histories, at least 2: as many as ``trajectories``, or as ``_WORK`` allows."""
        losses: Array = np.zeros(0)
        block, work = min(_FIRST_BLOCK, trajectories), 0
        while block:
            which = np.arange(len(losses), len(losses) + block)
            found, rows = self._sampled_losses(rule, which, trajectories, stream)
            losses, work = np.concatenate((losses, found)), work + rows
            affordable = max(0, _WORK - work) * len(losses) // max(1, work)
            block = min(_BLOCK, trajectories - len(losses), affordable)
        loss = mean_estimate(losses)
        return Estimate(self._value(loss.value), loss.stderr)

    def _sampled_losses(self, rule: Rule, which: Numbers, trajectories: int, stream: Stream) -> tuple[Array, int]:
        """[n], and the rows that were moved."""
        law, common = self.team.start(len(which))
        losses, rows = np.zeros(len(which)), 0
        rule.begin(len(which))
        for t in range(self.steps):
            loss, after = self._decided(law, rule.choose(common), len(which), t)
            losses += self.discount**t * loss
            rows += len(after.common)
            if t + 1 < self.steps:
                branches = self.team.branches(after)
                chosen = drawn(branches, len(which), stream.uniforms(t, 1, trajectories)[0, which])
                law, common = self.team.known(branches, chosen), branches.common[chosen]
        return losses, rows

    def blind(self, copies: int, play: Callable[[Law], tuple[Law, Numbers]]) -> Array:
        """[n] exact values of n rules that never look at what is common; ``play``: a law to what ``LawOfTeam.act`` gives."""
        law, _ = self.team.start(copies, blind=True)
        losses = np.zeros(copies)
        for t in range(self.steps):
            loss, after = self._acted(*play(law), law, copies, t)
            losses += self.discount**t * loss
            law = self.team.unseen(after)
        return np.array([self._value(loss) for loss in losses.tolist()])

    def constant(self, theta: Theta) -> Array:
        """[n] exact values of playing theta [n] or [n, D] at every step."""
        return self.blind(len(theta), lambda law: self.team.act(law, theta))

    def beyond(self, states: Numbers) -> Array:
        """[n] what states after the last step are taken to be worth: 0 at an end, else their optimum were they common."""
        return self._v(self.steps)[states]

    def _value(self, losses: float) -> float:
        return float(self.team.model.start @ self._v(0)) - losses

    def _v(self, step: int) -> Array:
        """[S] v at a step."""
        return self._states.best(self._decisions - step if self._decisions else 0)

    def _decided(self, law: Law, theta: Theta, copies: int, step: int) -> tuple[Array, Moved]:
        return self._acted(*self.team.act(law, theta), law, copies, step)

    def _acted(self, acted: Law, actions: Numbers, law: Law, copies: int, step: int) -> tuple[Array, Moved]:
        """The bracket of the identity [n], and the rows one step later."""
        after = self.team.moved(acted, actions)
        self.moved += len(after.common)
        now = sums_at(law.copy, law.mass * self._v(step)[law.state], copies)
        ahead = sums_at(after.law.copy, after.law.mass * self._v(step + 1)[after.law.state], copies)
        return now - self.team.reward(acted, actions, copies) - self.discount * ahead, after


def drawn(branches: Branches, copies: int, uniforms: Array) -> Numbers:
    """[n] one group for each copy, drawn with uniforms [n]."""
    cumulative = np.cumsum(branches.chance)
    first = np.searchsorted(branches.copy, np.arange(copies))
    last = np.append(first[1:], len(branches.copy)) - 1
    before = cumulative[first] - branches.chance[first]
    threshold = before + uniforms * (cumulative[last] - before)
    chosen: Numbers = np.clip(np.searchsorted(cumulative, threshold, side="right"), first, last)
    return chosen
