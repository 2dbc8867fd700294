"""Prescriptions that every task has: menus made from numbers, factored choices, logits; and families of a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from dadc_net.config import RunConfig, resolve
from dadc_net.errors import ConfigError, ProtocolError, UsageError
from dadc_net.exact import compiled
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.runtime.own_family import family_argument, load_family
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.any_task import ANY_TASK, choices
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.factored import FactoredFamily
from dadc_net.team.families import BUILT_IN, family_from_plain
from dadc_net.team.finite.menus import LARGEST_MENU
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings
from dadc_net.team.spaces import BoxSpace, FiniteSpace
from dadc_net.team.tasks import TASKS

RAGGED = (((0, 1), (2,), (0, 2)), ((1, 0),))
"""Agent 1: three local values and three actions; agent 2: one local value and two actions, in another order."""
SMALL = ("learner.num_envs=4", "learner.batch_steps=16", "env.agents=3")


def simulated(config: RunConfig) -> bytes:
    """Digest of the learner after a run whose replicas are compared at every step."""
    simulation = Simulation(config, seed_bytes(7), seed_bytes(1), "all")
    simulation.run()
    return simulation.replicas[0].coordinator.digest()


def test_a_choice_says_the_action_of_one_agent_at_one_local_value() -> None:
    family = FactoredFamily(name="f", allowed=RAGGED)
    assert family.space == FiniteSpace((2, 2, 2))
    assert family.shape == (2, 3, 3)
    theta = np.array([[0, 1, 0], [1, 0, 1]])
    assert family.tables(theta).tolist() == [[[0, 2, 2], [1, 0, 0]], [[1, 2, 0], [0, 0, 0]]]
    weights = family.weights(theta)
    assert (weights.sum(axis=3) == 1).all()
    assert np.array_equal(weights.argmax(axis=3), family.tables(theta))
    agents, local = np.array([2, 1]), np.array([[0, 2], [0, 0]])
    assert family.draw(theta, agents, local).tolist() == [[1, 2], [0, 1]]


def test_shared_choices_and_no_choices_at_all() -> None:
    shared = FactoredFamily(name="f", allowed=(((0, 1), (0, 1)),))
    assert shared.draw(np.array([[0, 1]]), np.array([1, 5]), np.array([[1, 0]])).tolist() == [[1, 0]]
    one = FactoredFamily(name="f", allowed=(((0, 1),), ((3,),)))
    assert one.space == FiniteSpace((2,))
    assert one.tables(np.array([1, 0])).tolist() == [[[1], [3]], [[0], [3]]]
    none = FactoredFamily(name="f", allowed=(((1,),),))
    assert none.space == FiniteSpace((1,))
    assert none.tables(np.array([0, 0])).tolist() == [[[1]], [[1]]]
    with pytest.raises(ValueError, match="need an action at every local value"):
        FactoredFamily(name="f", allowed=(((0, 1), ()),))


def test_the_menu_holds_every_factored_choice_once() -> None:
    menu, factored = (ANY_TASK[kind](RAGGED, ThetaSettings(), ()) for kind in ("menu", "factored"))
    assert isinstance(menu, PrescriptionMenu)
    assert isinstance(factored, FactoredFamily)
    every = np.array(list(np.ndindex(factored.space.sizes)))
    used = [(0, 0), (0, 1), (0, 2), (1, 0)]
    found = [{tuple(int(table[k, value]) for k, value in used) for table in tables} for tables in
             (menu.table(), factored.tables(every))]  # fmt: skip
    assert found[0] == found[1]
    assert len(found[0]) == len(menu.entries) == len(every) == 8


def test_logits_of_agents_that_differ_never_choose_what_an_agent_does_not_have() -> None:
    family = ANY_TASK["gibbs"](RAGGED, ThetaSettings(bound=8.0), ())
    assert isinstance(family, GibbsFamily)
    assert family.space == BoxSpace((-8.0,) * 18, (8.0,) * 18)
    weights = family.weights(np.full((1, 18), 8.0))
    assert not weights[:, 1, :, 2].any()
    assert (weights.sum(axis=3) > 0).all()


@pytest.mark.parametrize(("prescriptions", "space"), [
    ("factored", FiniteSpace((3,) * 6)), ("menu", FiniteSpace((729,))), ("gibbs", BoxSpace((-5.0,) * 18, (5.0,) * 18)),
])  # fmt: skip
def test_every_task_has_them(prescriptions: str, space: FiniteSpace | BoxSpace) -> None:
    config = resolve("demand-response", [f"prescriptions={prescriptions}", *SMALL], {"updates": 2})
    assert config.family.space == space
    assert simulated(config) == simulated(config)
    again = family_from_plain(config.family.to_plain())
    assert again == config.family


def test_the_menu_of_all_and_masks_of_the_task() -> None:
    assert resolve("demand-response", ["prescriptions=menu", "env.agents=2"]).menu == "all"
    assert resolve("mabc", ["prescriptions=factored"]).family.space == FiniteSpace((2, 2))
    assert TASKS["mabc"].useful_actions == {0: (0,)}
    # A menu of that name that the task declares is the task's.
    assert resolve("mabc", ["menu=all"]).family is TASKS["mabc"].menus["all"]
    shared = resolve("demand-response", ["prescriptions=factored", "theta.shared=true"])
    assert shared.family.space == FiniteSpace((3, 3))


def test_a_menu_that_is_too_large_names_the_number_and_what_to_do() -> None:
    with pytest.raises(UsageError, match=rf"there are 59,049 joint .* at most {LARGEST_MENU:,}\. .* prescriptions=factored"):
        resolve("demand-response", ["prescriptions=menu", "env.agents=5"])
    with pytest.raises(UsageError, match=r"there are more than 10\^95 joint"):
        resolve("demand-response", ["prescriptions=menu"])


@pytest.mark.parametrize("prescriptions", ["gibbs", "factored"])
def test_tables_that_nobody_could_learn_are_refused_under_every_structure(prescriptions: str) -> None:
    words = rf"prescriptions {prescriptions} would be {{}} numbers, from {{}}.* 4,096 are the most.*theta\.shared=true"
    asked = f"prescriptions={prescriptions}"
    with pytest.raises(UsageError, match=words.format("4,200", "700 tables of up to 2 local values")):
        resolve("demand-response", [asked, "env.agents=700"])
    remembers = ["structure=control-sharing", "structure.memory_steps=11"]
    with pytest.raises(UsageError, match=words.format("16,384", "2 tables of up to 4,096 local values")):
        resolve("mabc", [asked, *remembers])


@pytest.mark.parametrize("prescriptions", ["menu", "gibbs", "factored"])
def test_one_table_for_all_is_made_under_another_structure_too(prescriptions: str) -> None:
    asked = ["structure=control-sharing", "structure.memory_steps=2", f"prescriptions={prescriptions}"]
    assert resolve("mabc", [*asked, "theta.shared=true"]).family.shape == (1, 8, 2)
    if prescriptions != "menu":  # 65,536 entries, where 256 are shared.
        assert resolve("mabc", asked).family.shape == (2, 8, 2)


def test_prescriptions_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"prescriptions is 'factord', which the task mabc does not have\. Did you mean"):
        resolve("mabc", ["prescriptions=factord"])
    with pytest.raises(ConfigError, match=r"menu is 'al'.* Choose one of paper, all"):
        resolve("mabc", ["menu=al"])


def test_bits_are_the_same_with_and_without_compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    config = resolve("mabc", ["prescriptions=factored", *SMALL[:2]], {"updates": 3})
    fast = simulated(config)
    assert compiled.kernels is not None
    monkeypatch.setattr(compiled, "kernels", None)
    assert simulated(config) == fast


@dataclass(frozen=True)
class Alternating(FactoredFamily):
    """A user's own: agent 1 chooses, everybody else does the opposite."""

    kind = "alternating"

    def to_plain(self) -> dict[str, Any]:
        return {**super().to_plain(), "kind": self.kind}

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> Alternating:
        made = FactoredFamily.from_plain(record)
        return cls(name=made.name, allowed=made.allowed)


def test_a_family_of_ones_own_comes_from_ones_own_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Alternating(name="mine", allowed=RAGGED)
    load_family("tests.team.test_any_task:Alternating")
    assert family_from_plain(own.to_plain()) == own
    # It stands beside the built-in ones.
    for family in (FactoredFamily(name="f", allowed=RAGGED), TASKS["mabc"].menus["paper"]):
        assert family_from_plain(family.to_plain()) == family
    monkeypatch.delitem(PrescriptionFamily.kinds, "alternating")  # As on a host that was not told of it.
    with pytest.raises(UsageError, match=r"no kind 'alternating'.*--family MODULE:CLASS"):
        family_from_plain(own.to_plain())


def test_the_launcher_tells_agents_of_a_family_of_ones_own() -> None:
    config = resolve("mabc")
    assert family_argument(config) == ""
    mine = replace(config, family=Alternating(name="mine", allowed=RAGGED))
    assert family_argument(mine) == "tests.team.test_any_task:Alternating"


@pytest.mark.parametrize("kind", [family.kind for family in BUILT_IN])
def test_a_broken_record_is_refused(kind: str) -> None:
    with pytest.raises(ProtocolError, match="does not describe"):
        family_from_plain({"kind": kind})
    with pytest.raises(UsageError, match="no kind"):
        family_from_plain({})


def test_agents_that_differ_have_choices_of_their_own_and_share_none() -> None:
    agents = (
        AgentSpec(FiniteSpace((3,)), FiniteSpace((2,))),
        AgentSpec(FiniteSpace((1,)), FiniteSpace((4,))),
    )
    spec = replace(make_spec(), agents=agents)
    structure = TASKS["mabc"].structure
    assert choices(structure, spec, {0: (0,)}, False) == (((0,), (0, 1), (0, 1)), ((0,),))
    assert choices(structure, spec, {}, False) == (((0, 1),) * 3, ((0, 1, 2, 3),))
    with pytest.raises(UsageError, match=r"agents 1 and 2 .* have 3 and 1 local values.*theta\.shared=false"):
        choices(structure, spec, {}, True)
    endless = replace(spec, agents=(replace(agents[0], observation_space=BoxSpace((0.0,), (1.0,))), agents[1]))
    with pytest.raises(UsageError, match=r"agent 1 .* not finite"):
        choices(structure, endless, {}, False)


def make_spec() -> EnvironmentSpec:
    task = TASKS["mabc"]
    return task.make(task.parameters_type(), 1).spec
