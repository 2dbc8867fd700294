"""A random team problem from one seed: two agents, six states, three actions and two observations of each.

Nobody had it in mind when anything was set. Rewards are uniform in -1 .. 1; probabilities are cubes of uniform numbers, so
that some outcomes are rare. Each agent's observation depends on the state arrived at alone.

    dadc plan launch/examples/random_team.py:make_task --set structure=delayed-sharing
"""

from __future__ import annotations

from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.finite.build import Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.tasks import Task, finite_task

SEED = 15
STATES, DISCOUNT = 6, 0.9
ACTIONS, OBSERVATIONS = ("a", "b", "c"), ("x", "y")


def _rows(drawn: Array) -> Array:
    cubes = drawn**3
    rows: Array = cubes / cubes.sum(axis=1, keepdims=True)
    return rows


def random_team() -> FiniteModel:
    """The same tables on every host."""
    stream, joint = Stream("random-team", seed_bytes(SEED)), len(ACTIONS) ** 2
    moves = _rows(stream.uniforms(0, joint * STATES, STATES)).reshape(joint, STATES, STATES)
    seen = _rows(stream.uniforms(1, 2 * STATES, len(OBSERVATIONS))).reshape(2, STATES, -1)
    rewards = 2.0 * stream.uniforms(2, joint, STATES) - 1.0

    def place(actions: Parts) -> int:
        return actions[0] * len(ACTIONS) + actions[1]

    return build_model(
        name="random-team",
        states=[f"s{state}" for state in range(STATES)],
        actions=(ACTIONS,) * 2,
        observations=(OBSERVATIONS,) * 2,
        start=dict.fromkeys(range(STATES), 1.0 / STATES),
        move=lambda state, actions: dict(enumerate(moves[place(actions), state].tolist())),
        observe=lambda _, state: independent([dict(enumerate(own[state].tolist())) for own in seen]),
        reward=lambda state, actions: float(rewards[place(actions), state]),
        discount=DISCOUNT,
    )


def make_task() -> Task:
    """What ``dadc run launch/examples/random_team.py:make_task`` runs."""
    return finite_task("random-team", random_team, (ACTIONS,) * 2, (OBSERVATIONS,) * 2, DISCOUNT)
