"""Does what the settings ask for fit into a host? Settings come from a user, or from a server that need not be honest.

Counted are the arrays that grow with what is chosen: a batch, networks, a replay memory. Each is bounded by itself, so that
the sentence can say which numbers are too large together.

Axis letters: E copies, T lock-steps of a batch, F numbers of the code of z_t, C of that of theta, X of the AIS, H units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.errors import ConfigError
from dadc_net.team.spaces import FiniteSpace, Space

BYTES_MAX = 2**36
"""Of one of them: 64 GiB."""
_NUMBER = 8
_BESIDE = 8
"""Numbers of a record and copy besides codes: reward, flags, advantage and the like."""


class Demand(NamedTuple):
    """Something that takes memory."""

    what: str
    because: str
    numbers: int


def check_size(learner: LearnerSettings, ais: AisSettings, own: Any, z: Space, theta: Space) -> None:
    """Raises ConfigError for settings that no host could keep in memory; ``own``: the algorithm's section, or None."""
    codes = z.feature_size, sum(theta.sizes) if isinstance(theta, FiniteSpace) else theta.columns
    # Of each choice with each, where theta has several factors.
    coupling = codes[1] ** 2 if isinstance(theta, FiniteSpace) and len(theta.sizes) > 1 else 0
    for demand in (*_of_a_batch(learner, ais, *codes, coupling), *_of_memories(learner, ais, own, codes[1])):
        size = demand.numbers * _NUMBER
        if size > BYTES_MAX:
            raise ConfigError(
                f"{demand.because}: {demand.what} would take {size / 2**30:.4g} GiB of an agent's memory. "
                f"At most {BYTES_MAX // 2**30} are allowed, and nothing was computed. Lower one of these numbers."
            )


def _of_a_batch(learner: LearnerSettings, ais: AisSettings, common: int, theta: int, coupling: int) -> Iterator[Demand]:
    copies, steps, width = learner.num_envs, learner.batch_steps, learner.hidden_size
    given = f"learner.num_envs is {copies}, learner.batch_steps {steps}, z's code has {common} numbers, theta's {theta}"
    yield Demand("the records of a batch", given, (steps + copies) * (common + theta + ais.size + _BESIDE))
    units = f"learner.hidden_size is {width}, ais.size {ais.size}"
    layers = width * (ais.size + common + theta + width * learner.hidden_layers)
    layers += ais.size * (common + theta + 6 * ais.size) + coupling
    yield Demand("the networks", f"{given}, {units}", 4 * layers)
    made = steps * (width + ais.size) * learner.hidden_layers
    yield Demand("what the networks make of a batch", f"{given}, {units}", made)
    if learner.imitation_weight > 0.0:
        kept = learner.kept_windows * (learner.batch_lock_steps + 1)
        also = f"learner.imitation_windows is {learner.imitation_windows}"
        yield Demand("what is kept for imitation", f"{given}, {also}", kept * (common + theta + ais.size + width + _BESIDE))


def _of_memories(learner: LearnerSettings, ais: AisSettings, own: Any, theta: int) -> Iterator[Demand]:
    remembered = {"ais": ais.memory_steps} if ais.replay_windows else {}
    if hasattr(own, "memory_steps"):
        remembered[own.section] = own.memory_steps
    for section, steps in remembered.items():
        because = f"{section}.memory_steps is {steps}, and theta's code has {theta} numbers"
        yield Demand("the replay memory", because, (steps + learner.batch_steps) * (theta + _BESIDE))
