"""The best rule that is found among those without memory, which look at the present common observation: theta_t = g(z_t).

Beside such a rule the law of state, local information and z moves on linearly. Its rows are laid out once, step by step,
with all that joint actions may lead to; a rule is then valued by one pass forward and one back. From

    G(z, u, a) = sum_t gamma^t sum over rows at z with local values u of mass Q_t(row, a)

the prescription that is best at z, everything else staying as it is, follows for all z at once. A rule is bettered so until
nothing betters it. That is a local optimum: what is found bounds the best such rule from below, and its value is exact.

Axis letters: R rows of one step, B branches (row, joint action, next row), Z common observations, U tuples of local values,
J joint actions, M prescriptions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.planning.finite.exact_law import split_rows
from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.rule_value import RuleValues
from dadc_net.team.finite.sparse_rows import sums_at
from dadc_net.team.prescriptions import PrescriptionFamily, finite_theta
from dadc_net.team.spaces import FiniteSpace

_MOST_BRANCHES = 200_000
"""Of one step."""
_MOST_CHANCES = 4_000_000
"""M U J"""
_MOST_ROUNDS = 40
_SINGLY, _DRAWN = 8, 4
"""Single changes that are tried in a round, and rules that the search begins with beside two of its own."""
_NOTHING = 1e-9


class _Step(NamedTuple):
    """What may be at one step, and what may follow."""

    common: Numbers
    """[R] z, numbered over all steps"""
    place: Numbers
    """[R] u, likewise"""
    reward: Array
    """[R, J]"""
    origin: Numbers
    """[B] row J + joint action"""
    following: Numbers
    """[B] row of the next step"""
    chance: Array
    """[B]"""


class _LaidOut(NamedTuple):
    steps: list[_Step]
    last: Array
    """[R] value of the rows after the last step"""
    commons: list[tuple[int, ...]]
    """[Z]"""
    places: list[tuple[int, ...]]
    """[U]"""


class Memoryless(NamedTuple):
    """A rule that was found."""

    value: float
    """Exact but for what comes after the last step that is looked at, where the state is common."""
    commons: list[tuple[int, ...]]
    """[Z] the common observations that may occur"""
    rule: Numbers
    """[Z] which of all prescriptions is played there"""


def best_memoryless(values: RuleValues, family: PrescriptionFamily, constant: int) -> Memoryless | None:
    """The best rule without memory that the search finds; none is worse than playing ``constant``, where it begins.

    None where prescriptions are not finitely many, or what may happen is too much to lay out.
    """
    space, joint = family.space, values.team.model.joint_actions
    if not isinstance(space, FiniteSpace) or space.num_values * joint.num_values > _MOST_CHANCES:
        return None
    laid_out = _lay_out(values)
    if laid_out is None or space.num_values * len(laid_out.places) * joint.num_values > _MOST_CHANCES:
        return None
    tables = family.probabilities(finite_theta(space, np.arange(space.num_values)))
    chances = _joint_chances(tables, np.array(laid_out.places), joint.values(np.arange(joint.num_values)))
    value, rule = _Search(values, laid_out, chances).best(constant)
    return Memoryless(value, laid_out.commons, rule)


def _lay_out(values: RuleValues) -> _LaidOut | None:
    team, joint = values.team, values.team.model.joint_actions.num_values
    team.forget()
    law, start = team.start(1)
    common = np.repeat(start, len(law.mass), axis=0)
    commons: dict[tuple[int, ...], int] = {}
    places: dict[tuple[int, ...], int] = {}
    steps = []
    for _ in range(values.steps):
        rows = len(law.mass)
        if rows * joint > _MOST_BRANCHES:
            return None
        # Every joint action is taken in every row, and what follows is told apart by both.
        split, actions = split_rows(law._replace(mass=np.ones(rows)), np.ones((rows, joint)))
        split = split._replace(copy=np.arange(rows * joint))
        after = team.moved(split, actions)
        if len(after.common) > _MOST_BRANCHES:
            return None
        here = _numbered(common, commons), _numbered(np.stack(team.places(law), axis=1), places)
        reward = team.reward(split, actions, rows * joint).reshape(rows, joint)
        law, common, following = team.joined(after)
        steps.append(_Step(*here, reward, after.law.copy, following, after.law.mass))
    return _LaidOut(steps, values.beyond(law.state), list(commons), list(places))


def _numbered(rows: NDArray[np.int64], known: dict[tuple[int, ...], int]) -> Numbers:
    """A number for each different row [R, C]; ``known`` goes on."""
    different, where = np.unique(rows, axis=0, return_inverse=True)
    numbers = [known.setdefault(tuple(row), len(known)) for row in different.tolist()]
    found: Numbers = np.array(numbers)[where.reshape(-1)]
    return found


def _joint_chances(tables: Array, places: Numbers, actions: Numbers) -> Array:
    """[M, U, J] from tables [M, K or 1, L, A], at places [U, K], of joint actions [J, K]."""
    # Tables need not reach to actions that no prescription takes.
    missing = max(0, int(actions.max()) + 1 - tables.shape[3])
    tables = np.pad(tables, ((0, 0), (0, 0), (0, 0), (0, missing)))
    found = np.ones((len(tables), len(places), len(actions)))
    for agent in range(places.shape[1]):
        own = tables[:, agent if tables.shape[1] > 1 else 0]
        found *= own[:, places[:, agent]][:, :, actions[:, agent]]
    return found


class _Search:
    """Betters rules g [Z], entries of the family's finite space."""

    def __init__(self, values: RuleValues, laid_out: _LaidOut, chances: Array) -> None:
        self._discount, self._chances = values.discount, chances
        self._steps, self._last, self._commons = laid_out.steps, laid_out.last, len(laid_out.commons)
        self._start = values.team.start(1)[0].mass
        self._everyone = np.arange(self._commons)

    def best(self, constant: int) -> tuple[float, Numbers]:
        """From the best constant prescription, from what betters a random coordinator at once, and from random rules."""
        mean = self._chances.mean(axis=0)
        after_random = self._betters(self._gains([mean[step.place] for step in self._steps])[1])
        drawn = np.random.Generator(np.random.Philox(0)).integers(0, len(self._chances), (_DRAWN, self._commons))
        found = [self._bettered(start) for start in (np.full(self._commons, constant), after_random, *drawn)]
        return max(found, key=lambda pair: pair[0])

    def _bettered(self, rule: Numbers) -> tuple[float, Numbers]:
        """Where changing it at all z at once, or at one of the z where most is gained, does not help any more."""
        value, gains = self._gains(self._played(rule))
        for _ in range(_MOST_ROUNDS):
            better = self._betters(gains)
            gained = gains[self._everyone, better] - gains[self._everyone, rule]
            better = np.where(gained > _NOTHING, better, rule)
            singly = [np.where(self._everyone == z, better, rule) for z in np.argsort(-gained, kind="stable")[:_SINGLY]]
            for tried in (better, *singly):
                reached, following = self._gains(self._played(tried))
                if reached > value + _NOTHING:
                    value, gains, rule = reached, following, tried
                    break
            else:
                break
        return value, rule

    def _betters(self, gains: Array) -> Numbers:
        best: Numbers = np.argmax(gains, axis=1)
        return best

    def _played(self, rule: Numbers) -> list[Array]:
        """[R, J] chances of joint actions at every step."""
        return [self._chances[rule[step.common], step.place] for step in self._steps]

    def _gains(self, played: list[Array]) -> tuple[float, Array]:
        """J of what is played, and [Z, M] what playing an entry at z instead would add up to, all else staying as it is."""
        _, places, joint = self._chances.shape
        mass, masses = self._start, []
        for step, chances in zip(self._steps, played, strict=True):
            masses.append(mass)
            moved = (mass[:, None] * chances).reshape(-1)[step.origin] * step.chance
            mass = sums_at(step.following, moved, int(step.following.max()) + 1)
        later = self._last
        gains = np.zeros((self._commons * places, joint))
        for t in range(len(self._steps) - 1, -1, -1):
            step = self._steps[t]
            ahead = sums_at(step.origin, step.chance * later[step.following], step.reward.size)
            worth = step.reward + self._discount * ahead.reshape(step.reward.shape)
            later = (played[t] * worth).sum(axis=1)
            np.add.at(gains, step.common * places + step.place, (self._discount**t * masses[t])[:, None] * worth)
        value = float(self._start @ later)
        return value, gains.reshape(self._commons, -1) @ self._chances.reshape(len(self._chances), -1).T
