"""Does what the settings ask for fit into a host? Settings come from a user, or from a server that need not be honest.

Counted are the arrays that grow with what is chosen: a batch, networks, a replay memory. Each is bounded by itself, so that
the sentence can say which numbers are too large together.

Axis letters: E copies, T lock-steps of a batch, F numbers of the code of z_t, C of that of theta, X of the AIS, H units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dadc_net.errors import ConfigError
from dadc_net.team.spaces import FiniteSpace, space_from_plain

if TYPE_CHECKING:
    from dadc_net.coordinator.settings.coordinator import CoordinatorSettings

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


def check_size(settings: CoordinatorSettings) -> None:
    """Raises ConfigError for settings that no host could keep in memory."""
    for demand in _demands(settings):
        size = demand.numbers * _NUMBER
        if size > BYTES_MAX:
            raise ConfigError(
                f"{demand.because}: {demand.what} would take {size / 2**30:.4g} GiB of an agent's memory. "
                f"At most {BYTES_MAX // 2**30} are allowed, and nothing was computed. Lower one of these numbers."
            )


def _demands(settings: CoordinatorSettings) -> Iterator[Demand]:
    learner, ais = settings.learner, settings.ais
    common = space_from_plain(settings.common_space).feature_size
    space = space_from_plain(settings.theta_space)
    theta = sum(space.sizes) if isinstance(space, FiniteSpace) else space.columns
    copies, steps, width = learner.num_envs, learner.batch_steps, learner.hidden_size
    given = f"learner.num_envs is {copies}, learner.batch_steps {steps}, z's code has {common} numbers, theta's {theta}"
    row = common + theta + ais.size + _BESIDE
    yield Demand("the records of a batch", given, (steps + copies) * row)
    units = f"learner.hidden_size is {width}, ais.size {ais.size}"
    layers = width * (ais.size + common + theta + width * learner.hidden_layers)
    layers += ais.size * (common + theta + 6 * ais.size)
    yield Demand("the networks", f"{given}, {units}", 4 * layers)
    made = steps * (width + ais.size) * learner.hidden_layers
    yield Demand("what the networks make of a batch", f"{given}, {units}", made)
    remembered = [("ais", ais.memory_steps)] if ais.replay_windows else []
    own = getattr(settings.own_section, "memory_steps", 0)
    if own:
        remembered.append((settings.spec.settings.section if settings.spec.settings else "", own))
    for section, memory in remembered:
        because = f"{section}.memory_steps is {memory}, and the code of theta has {theta} numbers"
        yield Demand("the replay memory", because, (memory + steps) * (theta + _BESIDE))
