"""Every task under every information structure that fits it: how it is chosen, what is written, what is prescribed, what
stands beside a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.config import RunConfig, build, resolve, split_structure, structure_argument
from dadc_net.errors import ConfigError, MismatchError, UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.evaluation import Evaluator, plan_of
from dadc_net.experiment.run_folders import holds_run
from dadc_net.experiment.simulation import Simulation
from dadc_net.finite_files import save_dpomdp
from dadc_net.planning.monte_carlo import monte_carlo
from dadc_net.runtime.problem import environment_digest, make_problem
from dadc_net.storage.run_folder import RunFolder
from dadc_net.team.conformance import check_chosen
from dadc_net.team.families import family_from_plain
from dadc_net.team.finite.models.shipped import SHIPPED
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.structures.by_name import BUILT_IN
from dadc_net.team.structures.delayed import DelayedSharing
from dadc_net.team.structures.own_memory import ControlSharing, NoSharing
from dadc_net.team.tasks import TASKS
from tests.planning.test_planning import Fixed

SEED = seed_bytes(7)
SMALL = ["updates=2", "learner.num_envs=2", "learner.batch_steps=8", "ais.size=4"]
STRUCTURES = [
    *([f"structure={name}"] for name in BUILT_IN),
    ["structure=delayed-sharing", "structure.delay_steps=2"],
    ["structure=periodic-sharing", "structure.period_steps=3", "structure.reading=c"],
    ["structure=control-sharing", "structure.memory_steps=1"],
    ["structure=no-sharing", "structure.memory_steps=1"],
]
OWN_STRUCTURE = """
from dataclasses import dataclass
from dadc_net.team.structures.own_memory import ControlSharing

NAME = "x"


@dataclass(frozen=True)
class Overheard(ControlSharing):
    name = "overheard-by-all"


class Strange:
    pass
"""
UNEQUAL = {"meeting-corners": 9, "box-pushing": 5}
"""Tasks whose agents observe so many values, and not two."""


def under(task: str, *chosen: str) -> RunConfig:
    return resolve(task, [*chosen, *SMALL, *(["env.agents=4"] if task == "demand-response" else [])])


def simulated(config: RunConfig) -> str:
    return Simulation(config, SEED, SEED).run().agent_digests[1]


# --- how it is said ----------------------------------------------------------------------------------------------


def test_name_and_parameters_come_in_any_order(tmp_path: Path) -> None:
    first = under("mabc", "structure=delayed-sharing", "structure.delay_steps=2")
    assert first.structure == DelayedSharing(2)
    assert under("mabc", "structure.delay_steps=2", "structure=delayed-sharing").structure == first.structure
    assert under("mabc", "structure.name=delayed-sharing", "structure.delay_steps=2").structure == first.structure
    assert under("mabc", "structure.memory_steps=1").structure == ControlSharing(1)
    assert under("mabc").structure == TASKS["mabc"].structure
    path = tmp_path / "my.toml"
    for text in ('structure = "delayed-sharing"', '[structure]\nname = "delayed-sharing"\ndelay_steps = 1'):
        path.write_text(f'task = "mabc"\n{text}\n', encoding="utf-8")
        assert resolve(str(path)).structure == DelayedSharing(1)
        assert resolve(str(path), ["structure.delay_steps=3"]).structure == DelayedSharing(3)
        # Another structure than the file's begins with its own defaults.
        assert resolve(str(path), ["structure.memory_steps=1", "structure=no-sharing"]).structure == NoSharing(1)


@pytest.mark.parametrize("chosen", STRUCTURES, ids=",".join)
def test_the_folder_of_a_run_says_the_structure(chosen: list[str], tmp_path: Path) -> None:
    config = under("broadcast-channel", *chosen)
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    for read in (resolve(str(path)), build(config.to_plain())):
        assert (read.structure, read.family) == (config.structure, config.family)
        assert read.to_plain() == config.to_plain()
        assert environment_digest(read, SEED) == environment_digest(config, SEED)
    assert make_problem(config).structure == config.structure


def test_parameters_are_part_of_what_identifies_a_run() -> None:
    # Neither changes what is common or local in its form: both runs have the same spaces.
    chosen = "structure=periodic-sharing", "structure.period_steps=1"
    one, other = (under("mabc", *chosen, f"structure.reading={reading}") for reading in "ac")
    assert one.settings.common_space == other.settings.common_space
    assert environment_digest(one, SEED) != environment_digest(other, SEED)


def test_a_structure_of_the_users_own_is_loaded_by_agents_only_where_it_is_used() -> None:
    task = "tests.user_task:make_task"
    assert structure_argument(under(task)) == "tests.user_task:Overheard"
    assert structure_argument(under(task, "structure=full-sharing")) == ""
    own = under(task, "structure.memory_steps=1").structure
    assert (type(own).__name__, own.to_plain()) == ("Overheard", {"name": "overheard", "parameters": {"memory_steps": 1}})


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["structure=delayed"], r"structure is 'delayed', which is neither built in.*Did you mean 'delayed-sharing'"),
        (["structure=delayed-sharing", "structure.delay_steps=0"], r"structure\.delay_steps is 0.*Give 1 to 100"),
        (["structure=delayed-sharing", "structure.delay=2"], r"no key structure\.delay\b.*delay_steps"),
        (["structure=full-sharing", "structure.delay_steps=2"], r"no key structure\.delay_steps"),
        (["structure=3"], r"structure is a section, and was set to 3"),
        (["structure.name=3"], r"structure is 3, which is neither built in"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_what_is_no_structure_is_refused(chosen: list[str], message: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=f"(?s){message}"):
        under("mabc", *chosen)


# --- every task under every structure -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "chosen"),
    [
        *((task, one) for task in TASKS for one in STRUCTURES[:6]),
        *((t, s) for t in ("mabc", "dec-tiger") for s in STRUCTURES[6:]),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_every_task_learns_under_every_structure_that_fits(task: str, chosen: list[str]) -> None:
    if chosen == ["structure=mean-field-sharing"] and task in UNEQUAL:
        with pytest.raises(UsageError, match=rf"structure\.values is 2, but agent 1 .*{UNEQUAL[task]}.*Set structure"):
            under(task, *chosen)
        chosen = [*chosen, f"structure.values={UNEQUAL[task]}"]
    config = under(task, *chosen)
    assert Simulation(config, SEED, SEED).run().lock_steps == 8


def test_what_is_common_changes_what_is_learned() -> None:
    digests = [simulated(under("dec-tiger", *chosen)) for chosen in STRUCTURES[2:8]]
    assert len(set(digests)) == len(digests)
    assert simulated(under("dec-tiger", "structure=control-sharing")) == simulated(under("dec-tiger"))


def test_a_model_file_too(tmp_path: Path) -> None:
    path = tmp_path / "tiger.dpomdp"
    save_dpomdp(path, SHIPPED["dec-tiger"]())
    chosen = ["structure=delayed-sharing", "structure.delay_steps=2"]
    assert simulated(under(str(path), *chosen)) == simulated(under("dec-tiger", *chosen))


def test_independent_learners_choose_their_own_parts() -> None:
    config = under("mabc", "structure=delayed-sharing", "structure.delay_steps=2", "learning=independent")
    assert (config.prescriptions, config.menu, config.family.shape) == ("own", "", (1, 8, 2))
    assert Simulation(config, SEED, SEED).run().lock_steps == 8


# --- prescriptions --------------------------------------------------------------------------------------------------


def test_declared_prescriptions_stay_while_local_information_does() -> None:
    # Delay 1 leaves the present observation private, as control sharing does.
    assert under("mabc", "structure=delayed-sharing").family == TASKS["mabc"].menus["paper"]
    everything = under("mabc", "structure=full-sharing")
    # Nothing is local: entry 0 of the declared table would be an action for an empty buffer.
    assert isinstance(everything.family, PrescriptionMenu)
    assert (everything.menu, everything.family.shape) == ("all", (2, 1, 2))
    assert everything.family.entries == ("wait, wait", "wait, transmit", "transmit, wait", "transmit, transmit")


def test_a_made_menu_holds_every_joint_prescription_once() -> None:
    family = under("mabc", "structure=control-sharing", "structure.memory_steps=1").family
    assert isinstance(family, PrescriptionMenu)
    assert len(family.entries) == len(set(family.actions)) == (2**4) ** 2
    assert family.shape == (2, 4, 2)


def test_logits_where_a_menu_would_be_too_large_or_cannot_be_learned() -> None:
    large = under("mabc", "structure=delayed-sharing", "structure.delay_steps=2").family
    assert isinstance(large, GibbsFamily)
    assert large.shape == (2, 8, 2)
    assert under("mabc", "structure=full-sharing", "algorithm=naf-dqn").prescriptions == "gibbs"
    with pytest.raises(UsageError, match=r"there are 65,536 joint .* 8 local values.*prescriptions=gibbs"):
        under("mabc", "structure=delayed-sharing", "structure.delay_steps=2", "prescriptions=menu")
    with pytest.raises(UsageError, match=r"prescriptions gibbs would be 131,072 numbers.* 32,768 local values.*keeps less"):
        under("mabc", "structure=delayed-sharing", "structure.delay_steps=8")
    with pytest.raises(UsageError, match=r"prescriptions gibbs would be 16,000 numbers.*4,096 are the most"):
        under("box-pushing", "structure=periodic-sharing", "structure.period_steps=3", "structure.reading=c")
    with pytest.raises(UsageError, match=r"local values.*65536.*keeps less"):
        under("mabc", "structure=delayed-sharing", "structure.delay_steps=20")


def test_declared_ones_that_do_not_fit_are_refused_by_name() -> None:
    for asked, message in (
        ("menu=paper", r"menu is 'paper', which the task mabc declares for the local information under control-sharing"),
        ("menu=none", r"menu is 'none', which the task mabc does not have"),
        ("prescriptions=opportunity", r"prescriptions is 'opportunity', which the task mabc.*menu, factored, gibbs, l"),
        ("prescriptions=nothing", r"prescriptions is 'nothing', which the task mabc does not have.*menu, factored, gibbs"),
    ):
        with pytest.raises((ConfigError, UsageError), match=message):
            under("mabc", "structure=full-sharing", asked)
    for tables in ("menu", "factored", "gibbs"):
        with pytest.raises(UsageError, match=r"not finite.*prescriptions=linear"):
            resolve("tests.measuring_team:make_task", ["structure=no-sharing", f"prescriptions={tables}"])


# --- maps of vectors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prescriptions", ["linear", "neural"])
def test_every_task_has_maps_of_vectors_under_every_structure(prescriptions: str) -> None:
    for task, chosen in (
        ("mabc", ["structure=delayed-sharing"]),
        ("mabc", []),
        ("tests.measuring_team:make_task", ["structure=no-sharing", "structure.memory_steps=1"]),
    ):
        config = under(task, *chosen, f"prescriptions={prescriptions}", "algorithm=ppo", "theta.units=2")
        assert config.prescriptions == prescriptions
        assert family_from_plain(config.family.to_plain()) == config.family
        again = build(config.to_plain(), config.task)
        assert (again.family, again.structure) == (config.family, config.structure)
        digests = Simulation(config, SEED, SEED, replicas=config.settings.num_agents).run().agent_digests
        assert len(set(digests.values())) == 1
        assert simulated(under(task, *chosen, f"prescriptions={prescriptions}", "algorithm=ppo", "theta.units=2")) in (
            digests.values()
        )


def test_without_a_word_real_numbers_get_linear_maps_and_sharing_one_needs_equal_agents() -> None:
    chosen = ["structure=no-sharing", "algorithm=ppo"]
    assert under("tests.measuring_team:make_task", *chosen).prescriptions == "linear"
    with pytest.raises(UsageError, match=r"agents 1 and 2 of room differ.*theta\.shared=false"):
        under("tests.measuring_team:make_task", *chosen, "theta.shared=true")
    with pytest.raises(UsageError, match=r"4,096 are the most.*fewer theta\.units"):
        under("meeting-corners", *chosen[:1], "structure.memory_steps=2", "prescriptions=neural", "theta.units=64")
    with pytest.raises(ConfigError, match=r"theta\.units is 65"):
        under("mabc", "theta.units=65")


# --- a structure of one's own, for any task -----------------------------------------------------------------------------


def test_a_users_own_structure_is_named_as_other_code_is(tmp_path: Path) -> None:
    file = tmp_path / "overheard.py"
    file.write_text(OWN_STRUCTURE, encoding="utf-8")
    name = f"{file}:Overheard"
    config = under("mabc", f"structure={name}", "structure.memory_steps=1")
    assert (config.structure.name, structure_argument(config)) == ("overheard-by-all", name)
    assert config.structure.to_plain()["parameters"] == {"memory_steps": 1}
    assert config.to_plain()["structure"] == {"name": name, "memory_steps": 1}
    assert simulated(config) == simulated(under("mabc", "structure.memory_steps=1"))
    # Whoever finds the folder of a run does not run what it names.
    kept = tmp_path / "config.toml"
    kept.write_text(config.to_toml(), encoding="utf-8")
    with pytest.raises(UsageError, match=r"names the structure .*code to be imported.*--set structure="):
        resolve(str(kept))
    assert resolve(str(kept), [f"structure={name}"]).structure == config.structure
    # So it can be taken up again with the same command, and not under another.
    folder = RunFolder(tmp_path)
    assert holds_run(tmp_path, config, seed_bytes(0))
    with pytest.raises(MismatchError, match=r"run under the structure .*overheard.*, and 'control-sharing' was given"):
        holds_run(tmp_path, under("mabc"), seed_bytes(0))
    assert folder.config == kept
    assert check_chosen(config.task, config.parameters, config.structure, copies=2, steps=16) == []
    for wrong, message in (
        (f"{tmp_path}/none.py:Overheard", "there is no file"),
        (f"{file}:Nobody", "has no attribute 'Nobody'"),
        (f"{file}:NAME", "cannot be called"),
        (f"{file}:Strange", r"made a Strange instead of an InformationStructure\. Nothing was started"),
    ):
        with pytest.raises(UsageError, match=message):
            under("mabc", f"structure={wrong}")
    with pytest.raises(ConfigError, match=r"structure\.delay_steps"):
        under("mabc", f"structure={name}", "structure.delay_steps=1")


# --- optima ---------------------------------------------------------------------------------------------------------


def test_no_optimum_of_another_structure_stands_beside_a_run() -> None:
    assert Evaluator(under("mabc")).plan is not None
    other = under("mabc", "structure=delayed-sharing")
    assert Evaluator(other).plan is None
    with pytest.raises(UsageError, match=r"structure is delayed-sharing, delay_steps=1, but the exact planner"):
        plan_of(other)
    result = CliRunner().invoke(dadc, ["plan", "mabc", "--set", "structure=full-sharing"])
    assert "knows control-sharing" in str(result.exception)
    result = CliRunner().invoke(dadc, ["plan", "mabc", "--set", "structure=control-sharing", "--json"])
    assert json.loads(result.stdout.splitlines()[-1])["value"] == pytest.approx(0.868426, abs=1e-6)


def test_returns_are_those_under_the_structure_of_the_run() -> None:
    config = under("mabc", "structure=full-sharing")
    streams = Stream("a", SEED), Stream("b", SEED)
    given = config.task, config.parameters, config.family, 0.9, Fixed(1), 20, *streams
    assert monte_carlo(*given, structure=config.structure).value > 0.0
    with pytest.raises(UsageError, match="They do not fit"):
        monte_carlo(*given)  # Without it the task's own is used, whose agents know more.


OPTIMA = {
    "none": ["structure=no-sharing"],
    "control": ["structure=control-sharing"],
    "delay 2": ["structure=delayed-sharing", "structure.delay_steps=2"],
    "delay 1": ["structure.delay_steps=1", "structure=delayed-sharing"],
    "periodic": ["structure=periodic-sharing", "structure.period_steps=2"],
    "full": ["structure=full-sharing"],
}
NEVER_MORE = [
    *(("none", other) for other in OPTIMA),
    *((other, "full") for other in OPTIMA),
    ("delay 2", "delay 1"),
]
"""Whoever knows more can do no worse: none <= control <= full, none <= delay d + 1 <= delay d <= full, and so on."""


def optimum(task: str, chosen: list[str]) -> float:
    options = [part for one in chosen for part in ("--set", one)]
    result = CliRunner().invoke(dadc, ["plan", task, "--horizon", "3", *options, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["stopped"] == "gap"
    return float(found["value"])


@pytest.mark.parametrize("task", ["dec-tiger", "recycling"])
def test_more_knowledge_is_never_worth_less(task: str) -> None:
    table = {name: optimum(task, chosen) for name, chosen in OPTIMA.items()}
    for less, more in NEVER_MORE:
        assert table[less] <= table[more] + 1e-7, table
    assert table["none"] < table["full"] - 0.1, table
    assert len({round(value, 6) for value in table.values()}) >= 3, table


def test_what_is_said_of_the_structure_is_taken_out() -> None:
    assert split_structure(["updates=3", "structure.delay_steps=2", "structure=delayed-sharing"]) == (
        ["updates=3"],
        {"delay_steps": 2, "name": "delayed-sharing"},
    )
