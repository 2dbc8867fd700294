"""Policies that every structure can imitate: what sharing more is never bounded lower than, whenever time is up."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from dadc_net.planning.finite.bound_search import BoundSearch
from dadc_net.planning.finite.controllers import Controllers
from dadc_net.planning.finite.imitation import Imitation
from dadc_net.planning.finite.joint_beliefs import JointBeliefs
from dadc_net.planning.finite.outlook import DiscountedOutlook, HorizonOutlook
from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.planning.finite.practice import controller_of, practised
from dadc_net.planning.finite.relaxations import FullSharingValues
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBeliefs
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.shipped import SHIPPED
from tests.planning.looks import LateAfter
from tests.planning.test_finite_against_force import model_of, team


def never() -> bool:
    return False


@cache
def model(task: str) -> FiniteModel:
    return SHIPPED[task]()


@pytest.mark.parametrize("horizon", [1, 2, 3, 4])
@pytest.mark.parametrize(("seed", "agents"), [(59, 2), (3, 2), (5, 3)])
def test_a_short_policy_begun_again_is_worth_what_it_is_as_a_controller(horizon: int, seed: int, agents: int) -> None:
    made = model_of(team(seed, agents=agents))
    horizon = min(horizon, 2) if agents == 3 else horizon
    joint = JointBeliefs(made)
    beliefs = TeamBeliefs(joint, Sharing.from_record("no-sharing"))
    search = BoundSearch(beliefs, HorizonOutlook(FullSharingValues(joint, 0.6, 1000), horizon, 1), 0.6, 1e-9, never)
    while search.root.gap > 1e-9:
        search.trial(search.root)
    found = controller_of(search)
    nodes = [len(actions) for actions in found.actions]
    # The value over the horizon follows if the controller is stopped there: rewards of a model whose clock is the node.
    value = walked(made, found, 0.6, horizon)
    assert value == pytest.approx(search.root.lower, abs=1e-9)
    assert min(nodes) >= horizon
    endless = Controllers(made, 0.6, never).value(found)
    assert endless.values[0] @ made.start == pytest.approx(walked(made, found, 0.6, 60), abs=1e-6)


def walked(made: FiniteModel, controller: object, discount: float, decisions: int) -> float:
    """By following every joint node and state, step by step."""
    law = {((0,) * made.num_agents, int(s)): float(p) for s, p in enumerate(made.start) if p > 0.0}
    value = 0.0
    for t in range(decisions):
        after: dict[tuple[tuple[int, ...], int], float] = {}
        for (nodes, state), mass in law.items():
            acts = [controller.actions[k][n] for k, n in enumerate(nodes)]  # type: ignore[attr-defined]
            joint = int(made.joint_actions.index(np.array(acts)[None])[0])
            value += discount**t * mass * float(made.expected_rewards[joint, state])
            moves = made.transitions[joint].dense()[state]
            for reached in np.flatnonzero(moves).tolist():
                seen = made.observation_probabilities[joint].dense()[reached]
                for o in np.flatnonzero(seen).tolist():
                    own = made.joint_observations.values(np.array([o]))[0]
                    follow = [controller.following[k][n, own[k]] for k, n in enumerate(nodes)]  # type: ignore[attr-defined]
                    key = (tuple(map(int, follow)), reached)
                    after[key] = after.get(key, 0.0) + mass * float(moves[reached] * seen[o])
        law = after
    return value


def test_practice_finds_the_policy_of_dec_tiger_that_is_begun_again_after_three_decisions() -> None:
    made = model("dec-tiger")
    controllers = Controllers(made, 0.9, never)
    values = [controllers.value(found).value for found in practised(JointBeliefs(made), 0.9, 1e-4, never)]
    assert len(values) == 4
    assert max(values) == pytest.approx(13.448553, abs=1e-5)


def test_a_controller_is_told_to_all_that_has_been_looked_at() -> None:
    made = model("dec-tiger")
    beliefs = TeamBeliefs(JointBeliefs(made), Sharing.from_record("periodic-sharing", {"period_steps": 2}))
    outlook = DiscountedOutlook(beliefs.joint, 0.9, 2, 3000)
    told = []
    imitation = Imitation(beliefs, outlook, 0.9, 1e-4, never, lambda: told.append(outlook.vectors.shape[1]))
    assert not imitation.is_due(200, 3000)
    assert imitation.is_due(201, 0)
    assert imitation.is_due(0, 3001)
    imitation.look(201, 0)
    assert told
    assert float((made.start @ outlook.vectors).max()) >= 13.448
    assert imitation.begun
    assert not imitation.is_due(201, 3001)


def test_where_memory_is_cut_off_no_controller_is_imitated() -> None:
    beliefs = TeamBeliefs(JointBeliefs(model("dec-tiger")), Sharing.from_record("control-sharing", {"memory_steps": 0}))
    outlook = DiscountedOutlook(beliefs.joint, 0.9, 1, 3000)
    imitation = Imitation(beliefs, outlook, 0.9, 1e-4, never, lambda: None)
    imitation.start()
    imitation.more()
    assert not imitation.is_due(10**6, 10**6)
    assert outlook.vectors.shape[1] == model("dec-tiger").num_joint_actions


def in_time(column: str, parameters: dict[str, int], looks: int) -> TeamPlan:
    limits = Limits(gap=1e-4, memory_bytes=1 << 30, is_late=LateAfter(looks))
    return plan_team(
        model("meeting-grid"), Sharing.from_record(column, parameters), horizon=None, discount=0.9, limits=limits
    )


@pytest.mark.parametrize(
    ("column", "parameters"), [("delayed-sharing", {"delay_steps": 2}), ("periodic-sharing", {"period_steps": 2})]
)
def test_sharing_more_has_at_least_the_policies_of_sharing_nothing(column: str, parameters: dict[str, int]) -> None:
    alone = max(
        Controllers(model("meeting-grid"), 0.9, never).value(found).value
        for found in practised(JointBeliefs(model("meeting-grid")), 0.9, 1e-4, never)
    )
    plan = in_time(column, parameters, 6000)
    assert plan.stopped == "time"
    assert plan.lower >= alone - 1e-6
