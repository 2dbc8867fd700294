"""What an environment returned, taken into the types of its spaces, or refused with value, place and remedy.

Environments are other people's programs: they give int32, booleans and float32, which are taken where they are exact, and
now and then NaN, a value outside its space or an array of another shape. Whatever enters a run passes here.

Axis letters: E copies, K agents, O columns of all agents' observations side by side, P public columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import NumericError
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space, is_whole, space_text

_EXACT = 2**53
"""Every whole number up to this is a float64."""
_ENDED = bytes(Ended)
_SHORT_BYTES, _KNOWN_MAX = 128, 1024
"""Values so short come again and again, and are remembered, up to so many."""
_PRIVATE = "something else (it is private, and not told here)"
"""Instead of an observation: every agent reads the sentence."""


class JointOutcome(NamedTuple):
    """What one lock-step brings, checked."""

    observations: NDArray[Any]
    """[E, O]; ``EnvironmentSpec.observation_places`` says whose each column is"""
    public: NDArray[Any]
    """[E, P]"""
    rewards: NDArray[np.float64]
    """[E] R_{t-1}"""
    ended: NDArray[np.uint8]
    """[E] values of ``Ended``"""


class Gate:
    """Tells whether an array is a value of one space for each of E copies, in the space's own type; at every lock-step."""

    def __init__(self, space: Space, copies: int) -> None:
        self._space = space
        self._shape = (copies, space.columns)
        self._dtype = space.dtype
        self._sizes = np.array(space.sizes, dtype=np.uint64) if isinstance(space, FiniteSpace) else None
        self._is_short = 8 * copies * space.columns <= _SHORT_BYTES
        self._known: set[bytes] = set()
        """Short finite values that were looked at and lie in the space."""

    def __call__(self, values: Any) -> bool:
        """False: it is not, or has to be looked at and converted."""
        if type(values) is not np.ndarray or values.dtype != self._dtype or values.shape != self._shape:
            return False
        if self._sizes is None:
            return self._space.contains(values)
        own = values.tobytes() if self._is_short else b""
        if own in self._known:
            return True
        # As unsigned numbers, negative values lie above every limit; as bytes, a few truth values are read at once.
        fits = b"\0" not in (values.view(np.uint64) < self._sizes).tobytes()
        if fits and self._is_short and len(self._known) < _KNOWN_MAX:
            self._known.add(own)
        return fits


class Admission:
    """Of one environment's outcomes: what is as its specification says passes at once, all else as ``admitted`` says."""

    def __init__(self, spec: EnvironmentSpec, copies: int) -> None:
        self._spec, self._copies = spec, copies
        widths = {agent.observation_space.columns for agent in spec.agents}
        self._shape = (copies, spec.num_agents, *widths)
        """Of observations, where all agents have equally many columns; otherwise it fits none."""
        self._is_seen = Gate(spec.joint_observation_space, copies)
        self._is_public = Gate(spec.public_space, copies)

    def __call__(self, outcome: Outcome, step: int) -> JointOutcome:
        """The outcome of lock-step ``step``. Raises like ``admitted``."""
        seen, public, rewards, ended = outcome
        if (
            isinstance(seen, np.ndarray)
            and isinstance(rewards, np.ndarray)
            and isinstance(ended, np.ndarray)
            and seen.shape == self._shape
            and rewards.dtype == np.float64
            and ended.dtype == np.uint8
            and rewards.shape == ended.shape == (self._copies,)
        ):
            joint = seen.reshape(self._copies, -1)
            fits = b"\0" not in np.isfinite(rewards).tobytes() and not ended.tobytes().strip(_ENDED)
            if fits and self._is_seen(joint) and self._is_public(public):
                return JointOutcome(joint, public, rewards, ended)
        return admitted(outcome, self._spec, self._copies, step)


def admitted(outcome: Outcome, spec: EnvironmentSpec, copies: int, step: int) -> JointOutcome:
    """The outcome of lock-step ``step``.

    Raises:
        NumericError: if something in it is not what ``spec`` says.
    """
    joint = _side_by_side(outcome.observations, spec, copies, step)
    observations = taken(joint, spec.joint_observation_space, copies)
    if observations is None:
        raise _wrong_observation(joint, spec, copies, step)
    public = taken(outcome.public, spec.public_space, copies)
    if public is None:
        shown = misfit(outcome.public, spec.public_space, copies)
        raise _wrong(spec, step, "what is public", shown, f"E = {copies} values of {space_text(spec.public_space)}")
    raw = np.asarray(outcome.rewards)
    rewards = exactly(raw, np.dtype(np.float64))
    if rewards is None or rewards.shape != (copies,) or not np.isfinite(rewards).all():
        raise _wrong(spec, step, "the reward", _by_value(raw), f"E = {copies} finite numbers, one for each copy")
    ended = exactly(np.asarray(outcome.ended), np.dtype(np.int64))
    if ended is None or ended.shape != (copies,) or not np.isin(ended, list(Ended)).all():
        known = ", ".join(f"{code.value} ({code.name})" for code in Ended)
        raise _wrong(spec, step, "ended", _by_value(outcome.ended), f"E = {copies} of the codes {known}")
    return JointOutcome(observations, public, rewards, ended.astype(np.uint8))


def exactly(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """``values`` as int64 or float64; None where that would change one of them, or they are no real numbers."""
    if values.dtype == dtype:
        return values
    if values.dtype.kind not in "biuf":
        return None
    whole = dtype.kind == "i" and values.dtype.kind == "f"
    if whole and (not is_whole(values) or bool((np.abs(values) > _EXACT).any())):
        return None
    converted = values.astype(dtype)
    # NaN stays NaN; everything else must come back.
    back = converted.astype(values.dtype)
    return converted if np.array_equal(back, values, equal_nan=values.dtype.kind == "f") else None


def taken(values: Any, space: Space, copies: int) -> NDArray[Any] | None:
    """One value of ``space`` for each copy, [E, C] in its type; None if ``values`` is something else."""
    array = np.asarray(values)
    if array.shape != (copies, space.columns):
        return None
    converted = exactly(array, space.dtype)
    return converted if converted is not None and space.contains(converted) else None


def _side_by_side(observations: Any, spec: EnvironmentSpec, copies: int, step: int) -> NDArray[Any]:
    """[E, K, O] or K arrays [E, O_k] as one array [E, O]."""
    widths = [agent.observation_space.columns for agent in spec.agents]
    if isinstance(observations, np.ndarray):
        if observations.shape == (copies, len(widths), widths[0]) and len(set(widths)) == 1:
            return observations.reshape(copies, -1)
    elif len(observations) == len(widths):
        parts = [np.asarray(part) for part in observations]
        if [part.shape for part in parts] == [(copies, width) for width in widths]:
            return np.concatenate(parts, axis=1)
    shapes = observations.shape if isinstance(observations, np.ndarray) else [np.shape(part) for part in observations]
    raise NumericError(
        f"the environment {spec.name} gives observations of shape {shapes} at lock-step {step}, but {copies} copies of "
        f"agents with {widths} columns belong there. The run cannot go on. Return one array [E, K, O], or K arrays [E, O_k]."
    )


def _wrong_observation(joint: NDArray[Any], spec: EnvironmentSpec, copies: int, step: int) -> NumericError:
    """The first value that does not belong: agents in order, and of an agent the copies."""
    for agent, (own, place) in enumerate(zip(spec.agents, spec.observation_places, strict=True), start=1):
        space = own.observation_space
        for copy in range(copies):
            value = joint[copy : copy + 1, place]
            if taken(value, space, 1) is None:
                what = f"the observation of agent {agent} in copy {copy}"
                kind = "finite numbers in the box" if isinstance(space, BoxSpace) else "values of the space"
                return _wrong(spec, step, what, _PRIVATE, f"{kind} {space_text(space)}")
    return _wrong(spec, step, "an observation", _PRIVATE, f"values of {space_text(spec.joint_observation_space)}")


def misfit(values: Any, space: Space, copies: int) -> str:
    """What ``values`` are that should be common to all and do not fit, without a value.

    Every agent reads the sentence, and what is wrong may be what one agent alone was to know.
    """
    array = np.asarray(values)
    wrong = (copy for copy in range(copies) if taken(array[copy : copy + 1], space, 1) is None)
    where = "" if array.shape != (copies, space.columns) else f" that does not fit in copy {next(wrong, 0)}"
    return f"an array of shape {array.shape} ({array.dtype}){where}, whose values may be private and are not told here"


def _by_value(values: Any) -> str:
    array = np.asarray(values)
    return f"{array.tolist()} ({array.dtype})" if array.size <= 8 else f"an array of shape {array.shape} ({array.dtype})"


def _wrong(spec: EnvironmentSpec, step: int, what: str, shown: str, belongs: str) -> NumericError:
    return NumericError(
        f"{what} is {shown} in the environment {spec.name} at lock-step {step}, where {belongs} belong. The "
        "run cannot go on. Correct the environment, or declare what it really gives; dadc_net.team.conformance finds more."
    )
