"""The multi-access broadcast problem for a compiler: E copies under menu ``all``, one lock-step as array operations.

The model is that of ``dadc_net.team.multi_access_broadcast``, and one test steps both with the same draws.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dadc_net.team.multi_access_broadcast import BLANK, MENUS, MultiAccessBroadcastParameters

ENTRIES, OUTCOMES, DRAWS = 4, 12, 3
"""Prescriptions; values of z, the symbol and both actions; uniform numbers for a step."""
_MENU = np.array(MENUS["all"].actions)
_PARAMETERS = MultiAccessBroadcastParameters()


class Channel(NamedTuple):
    """State of E copies after a record, and what the record said."""

    buffers: jax.Array
    """[E, 2]"""
    busy: jax.Array
    """[E]"""
    step: jax.Array
    """int32 []: of the episode, at this record; copies begin and end together"""
    outcome: jax.Array
    """[E] z as an index: 6 times the first action, 3 times the second, and the symbol"""
    reward: jax.Array
    """[E] of the step before"""


def begin(copies: int) -> Channel:
    """The first record."""
    nothing = jnp.zeros(copies, jnp.int32)
    return Channel(jnp.zeros((copies, 2), jnp.int32), nothing, jnp.int32(0), nothing, jnp.zeros(copies))


def ends(channel: Channel) -> jax.Array:
    """Whether this record is an episode's last: bool []. The next one begins afresh, whatever is chosen."""
    return channel.step >= _PARAMETERS.restart_steps


def advance(channel: Channel, entry: jax.Array, draws: jax.Array) -> Channel:
    """The record after prescriptions ``entry`` [E], with draws [E, 3] in 0 .. 1."""
    copies = len(entry)
    agents = jnp.arange(2)
    actions = jnp.asarray(_MENU)[entry[:, None], agents[None, :], channel.buffers]
    sent = jnp.minimum(actions, channel.buffers)
    count = sent.sum(1)
    success = (count == 1) & (channel.busy == 0)
    kept = channel.buffers - sent * success[:, None]
    arrived = draws[:, :2] < jnp.array(_PARAMETERS.arrival_probabilities)
    idle_stays, busy_stays = _PARAMETERS.stay_probabilities
    following = Channel(
        (kept | arrived).astype(jnp.int32),
        (draws[:, 2] < jnp.where(channel.busy == 0, 1.0 - idle_stays, busy_stays)).astype(jnp.int32),
        channel.step + 1,
        (actions[:, 0] * 6 + actions[:, 1] * 3 + jnp.where(count > 0, channel.busy, BLANK)).astype(jnp.int32),
        _PARAMETERS.success_reward * success - _PARAMETERS.transmission_cost * count.astype(jnp.float32),
    )
    afresh, over = begin(copies), ends(channel)
    return Channel(*(jnp.where(over, new, old) for new, old in zip(afresh, following, strict=True)))
