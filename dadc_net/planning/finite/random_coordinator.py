"""The exact value of a coordinator that looks at nothing, and draws its prescriptions at random.

It needs no belief: what becomes common changes nothing in what is played, so that the law of state and local information
alone moves on, linearly.
"""

from __future__ import annotations

import numpy as np

from dadc_net.planning.finite.exact_law import Law, LawOfTeam, split_rows
from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.rule_value import RuleValues
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import PrescriptionFamily


def random_coordinator(values: RuleValues, family: PrescriptionFamily) -> float:
    """The value of a new entry of the menu at every step, all equally likely; without a menu, of a new action of every
    agent, which is the same where the menu holds all prescriptions."""
    team = values.team

    def play(law: Law) -> tuple[Law, Numbers]:
        return split_rows(law, _chances(team, law, family))

    return float(values.blind(1, play)[0])


def _chances(team: LawOfTeam, law: Law, family: PrescriptionFamily) -> Array:
    """[R, JA] of joint actions, given the rows' local values."""
    joint = team.model.joint_actions
    if not isinstance(family, PrescriptionMenu):
        return np.full((len(law.mass), joint.num_values), 1.0 / joint.num_values)
    table = family.table()
    places = np.stack(team.places(law), axis=1)
    told, row = np.unique(places, axis=0, return_inverse=True)
    chances = np.zeros((len(told), joint.num_values))
    for which, values in enumerate(told):
        agents = np.arange(len(values)) if table.shape[1] > 1 else np.zeros(len(values), dtype=np.int64)
        played = joint.index(table[:, agents, values])
        chances[which] = np.bincount(played, minlength=joint.num_values) / len(table)
    return chances[row.reshape(-1)]
