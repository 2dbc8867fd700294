"""Configuration of a run: embedded defaults, a TOML file, ``--set`` overrides and options, in this order.

The resolved configuration is plain, complete and written to the run's folder as ``config.toml``, which is itself a
valid TASK argument. What agents are told (``settings``) is kept apart from what only the environment server knows
(``parameters``) and from what concerns one machine (``runtime``), which enters no digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dadc_net import user_code
from dadc_net.chosen_prescriptions import PrescriptionChoice, choose_prescriptions
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.coordinator.settings.coordinator import OWN_SECTIONS, CoordinatorSettings
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.coordinator.settings.learning import SHARED
from dadc_net.coordinator.settings.start import StartSettings
from dadc_net.errors import ConfigError, UsageError
from dadc_net.exact import canonical
from dadc_net.finite_files import is_model_file
from dadc_net.fit import check_discount, check_fit, spec_of
from dadc_net.named_code import load_structure, load_task
from dadc_net.presets import ais_of_recipe, default_preset, preset, restarts
from dadc_net.run_sections import DRIVING, EvaluationSettings, RuntimeSettings
from dadc_net.schema import closest, convert, from_plain, sections_of, shown, to_plain
from dadc_net.structure_section import STRUCTURE, drop_other_structure, name_structure, structure_name
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings
from dadc_net.team.spaces import Space
from dadc_net.team.structures.by_name import chosen_structure, is_built_in
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.tasks import Task
from dadc_net.team.used_choices import credit_record
from dadc_net.team.user_code import blame_owner
from dadc_net.toml_text import parse_override, read_toml, read_toml_file, without_none, write_toml

RUN_CONFIG = "config.toml"
"""What the folder of a run calls its configuration."""
_TOP_LEVEL = {
    **{"task": str, "algorithm": str, "preset": str, "updates": int, "discount": float},
    **{"prescriptions": str, "menu": str, "learning": str},
}
_CODE = ("task", STRUCTURE, f"{STRUCTURE}.name")
"""Keys that may name code, and so a file."""
_PRESET_KEYS = ("updates", "prescriptions")
"""What a preset may say beside sections."""
_LEARNER_SECTIONS = (*sections_of(CoordinatorSettings), *OWN_SECTIONS)
"""Sections that agents are told."""
_PRESET_SECTIONS = ("env", *_LEARNER_SECTIONS, "theta", "evaluation", "runtime")
_SECTIONS = (STRUCTURE, *_PRESET_SECTIONS)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, resolved."""

    task: Task
    task_argument: str
    """How the task was named: a built-in name or ``package.module:factory``."""
    parameters: Any
    """The environment's own parameters; known to the server only."""
    structure: InformationStructure
    """The task's, or the one that was chosen instead."""
    prescriptions: str
    """``menu``, ``factored``, ``gibbs``, ``linear``, ``neural``, or the name of one of the task's families."""
    menu: str
    """Which menu, where prescriptions are one."""
    theta: ThetaSettings
    family: PrescriptionFamily
    """What prescription parameters mean with local information; agents are told, the coordinator is not."""
    preset: str
    """Where defaults came from: general, or one of the task's own."""
    replayable: bool
    """Whether the environment can be wound back."""
    settings: CoordinatorSettings
    evaluation: EvaluationSettings
    runtime: RuntimeSettings

    @property
    def evaluate_every(self) -> int:
        """Updates between evaluations during the run."""
        return self.evaluation.every_updates or max(1, self.settings.updates // 20)

    @property
    def runs_own_code(self) -> bool:
        """Whether the environment or the information structure is a user's."""
        return ":" in self.task_argument or bool(structure_argument(self))

    def to_plain(self) -> dict[str, Any]:
        """The configuration as a TOML file holds it."""
        settings = self.settings
        told = settings.to_plain()
        return {
            "task": self.task_argument,
            "algorithm": settings.algorithm,
            "learning": settings.learning,
            "preset": self.preset,
            "updates": settings.updates,
            "discount": settings.discount,
            "prescriptions": self.prescriptions,
            **({"menu": self.menu} if self.menu else {}),
            STRUCTURE: {"name": self._structure_name, **self.structure.to_plain()["parameters"]},
            "env": to_plain(self.parameters, "env."),
            **{name: told[name] for name in _LEARNER_SECTIONS},
            "theta": to_plain(self.theta),
            "evaluation": to_plain(self.evaluation),
            "runtime": to_plain(self.runtime),
        }

    @property
    def _structure_name(self) -> str:
        """By which the structure is found again: its own name, or where its class is if neither built in nor the task's."""
        known = is_built_in(self.structure) or self.structure.name == self.task.structure.name
        return self.structure.name if known else structure_argument(self)

    def to_toml(self) -> str:
        """The configuration as TOML text; loading it gives an equal configuration."""
        return write_toml(self.to_plain())


def resolve(
    task_argument: str,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Resolve a run's configuration.

    Args:
        task_argument: built-in name, path of a TOML or .dpomdp file, or ``package.module:factory``.
        overrides: ``key=value`` strings, values in TOML syntax; a bare word counts as a string.
        options: dotted key -> value from dedicated command options; None values are left out.
        before: settings of a learner that goes on, ``CoordinatorSettings.to_plain``; they stand where nothing is said.

    A task that is code (``package.module:factory``) is not loaded because the folder of a run says so: such folders are
    copied from host to host. ``overrides`` or ``options`` must name it too.

    Raises:
        ConfigError, UsageError: naming the key, its value and the remedy.
    """
    given: dict[str, Any] = {}
    if is_model_file(task_argument):
        # A run is taken up again from wherever one stands.
        given["task"] = str(Path(task_argument).absolute())
    elif task_argument.endswith(".toml") or Path(task_argument).is_file():
        given = read_configuration(Path(task_argument))
        if "task" not in given:
            raise ConfigError(f'{task_argument} has no key task. It says which problem to solve. Add task = "mabc".')
    else:
        given["task"] = user_code.absolute(task_argument)
    name_structure(given)
    asked = [*map(parse_override, overrides), *((k, v) for k, v in (options or {}).items() if v is not None)]
    named = [(k, user_code.absolute(v) if k in _CODE and isinstance(v, str) else v) for k, v in asked]
    drop_other_structure(given, named)
    for key, value in named:
        _assign(given, key, value)
    if Path(task_argument).name == RUN_CONFIG:
        _refuse_code(task_argument, "task", str(given.get("task")), "task" in dict(named))
        _refuse_code(task_argument, STRUCTURE, str(structure_name(given)), STRUCTURE in dict(named))
    _fill(given, before or {})
    return build(given)


def _refuse_code(file: str, what: str, name: str, is_named: bool) -> None:
    """Raise UsageError for a task or structure that is code, and that only the folder of a run names."""
    if ":" in name and not is_named:
        raise UsageError(
            f"{file} names the {what} {name!r}, which is code to be imported and called. A folder may come from anywhere: "
            f"nothing was imported. If you trust it, name it too: --set {what}={name}, or as --{what} {name}"
        )


def _fill(given: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Give the learner's keys that are not in ``given`` the values that they have in ``before``."""
    for key, value in before.items():
        if key in _TOP_LEVEL:
            given.setdefault(key, value)
        elif key in _LEARNER_SECTIONS and key != StartSettings.section and isinstance(given.get(key, {}), Mapping):
            given[key] = {**value, **given.get(key, {})}


def task_of(file: Path) -> str:
    """The task that a run's ``config.toml`` names; nothing is imported.

    Raises:
        ConfigError, UsageError: if the file cannot be read or names none.
    """
    task = read_configuration(file).get("task")
    if not isinstance(task, str):
        raise ConfigError(f"{file} names no task. It is no configuration of a run, or damaged. Give another folder.")
    return task


def read_configuration(path: Path) -> dict[str, Any]:
    """What a TOML file of a task or a run holds; nothing is imported or checked.

    Raises:
        UsageError, ConfigError: if it cannot be read, or is no TOML.
    """
    try:
        return read_toml_file(path)
    except OSError as error:
        raise UsageError(
            f"the task file {path} cannot be read: {error.strerror}. A TASK is a built-in name, a TOML or .dpomdp file, "
            "FILE.py:factory or package.module:factory. Check the path."
        ) from error
    except ValueError as error:  # Not TOML, not UTF-8, or a number of thousands of digits.
        raise ConfigError(f"{path} is not valid TOML: {error}. No run was started. Correct the file.") from error


def split_structure(overrides: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The overrides that are not about the information structure, and what the others say, as its section.

    Raises:
        ConfigError, UsageError: for what is no override, or no name of a structure.
    """
    others: list[str] = []
    given: dict[str, Any] = {STRUCTURE: {}}
    for override in overrides:
        key, value = parse_override(override)
        if key.partition(".")[0] == STRUCTURE:
            _assign(given, key, value)
        else:
            others.append(override)
    _check_keys(given, (STRUCTURE,), "")
    return others, given[STRUCTURE]


def _assign(given: dict[str, Any], key: str, value: Any) -> None:
    section, dot, name = key.partition(".")
    if key == STRUCTURE and isinstance(value, str):
        dot, name = ".", "name"
    if not dot:
        given[section] = value
        return
    if section not in _SECTIONS:
        raise ConfigError(f"There is no section {section!r}. {closest(section, _SECTIONS)} Correct the key {key}.")
    if not isinstance(given.setdefault(section, {}), dict):
        raise ConfigError(f"{section} is a section, and was set to {given[section]!r}. Set its keys: {section}.KEY = VALUE.")
    given[section][name] = value


def build(given: Mapping[str, Any], task: Task | None = None) -> RunConfig:
    """A run's configuration from what was given, in the form of ``RunConfig.to_plain``; the rest are defaults.

    Args:
        task: what ``given["task"]`` names; None: it is looked up.

    Raises:
        ConfigError, UsageError: naming the key, its value and the remedy.
    """
    given = dict(given)
    name_structure(given)
    _check_keys(given, (*_TOP_LEVEL, *_SECTIONS), "")
    top = {key: convert(kind, given[key], key) for key, kind in _TOP_LEVEL.items() if key in given}
    task = load_task(top.get("task", "")) if task is None else task
    algorithm = top.get("algorithm", task.default_algorithm)
    if algorithm not in ALGORITHMS:
        raise ConfigError(
            f"algorithm is {algorithm!r}, which does not exist. {closest(algorithm, ALGORITHMS)} "
            f"Choose one of {', '.join(ALGORITHMS)}."
        )
    name = top.get("preset", default_preset(task, algorithm))
    defaults = preset(task, algorithm, name)
    _check_keys(defaults, (*_PRESET_KEYS, *_PRESET_SECTIONS), f" in the preset {name!r} of the task {task.name}")
    sections = {name: {**defaults.get(name, {}), **given.get(name, {})} for name in _PRESET_SECTIONS}
    discount = top.get("discount", task.default_discount)
    parameters = _parameters(task, {**restarts(task, name, discount), **sections["env"]})
    learner = from_plain(LearnerSettings, sections["learner"], "learner.")
    learning = top.get("learning", SHARED.name)
    spec = spec_of(task.environment(parameters, learner.num_envs))
    sections["ais"] = {**ais_of_recipe(name, spec), **sections["ais"]}
    structure = structure_of(task, given.get(STRUCTURE, {}))
    theta = from_plain(ThetaSettings, sections["theta"], "theta.")
    choice = PrescriptionChoice(
        prescriptions=top.get("prescriptions"),
        menu=top.get("menu"),
        default=defaults.get("prescriptions", task.default_prescriptions),
        learning=learning,
        thetas=ALGORITHMS[algorithm].thetas,
    )
    prescriptions, menu, family = choose_prescriptions(task, structure, spec, theta, choice)
    told = {
        "num_agents": spec.num_agents,
        "updates": top.get("updates", defaults.get("updates", 1000)),
        "discount": discount,
        "algorithm": algorithm,
        "common_space": _common_space(structure, spec).to_plain(),
        "theta_space": family.space.to_plain(),
        "learning": learning,
        "revealed": credit_record(sections["factored"], learning == SHARED.name, structure, spec, family),
    }
    check_discount(float(discount), spec)
    check_fit(structure, spec, family, learner.num_envs)
    config = RunConfig(
        task=task,
        task_argument=top["task"],
        parameters=parameters,
        structure=structure,
        prescriptions=prescriptions,
        menu=menu,
        theta=theta,
        family=family,
        preset=name,
        replayable=spec.replayable,
        settings=CoordinatorSettings.from_plain({**told, **{key: sections[key] for key in _LEARNER_SECTIONS}}),
        evaluation=from_plain(EvaluationSettings, _evaluation(task, spec, sections["evaluation"], given), "evaluation."),
        runtime=from_plain(RuntimeSettings, sections["runtime"], "runtime."),
    )
    _check_kept(config)
    return config


def _parameters(task: Task, section: Mapping[str, Any]) -> Any:
    try:
        return from_plain(task.parameters_type, section, "env.")
    except (Exception, SystemExit) as error:
        blame_owner("making the parameters of the environment", task.parameters_type, error)
        raise


def _common_space(structure: InformationStructure, spec: EnvironmentSpec) -> Space:
    try:
        return structure.common_space(spec)
    except (Exception, SystemExit) as error:
        blame_owner("the information structure", structure, error)
        raise


def _check_kept(config: RunConfig) -> None:
    """The run's folder will say what was run. Raises ConfigError if reading that gives another configuration."""
    held, read = config.to_plain(), read_toml(config.to_toml())
    # The task's own parameters may not keep what they are given; the other sections are this package's.
    again = to_plain(from_plain(config.task.parameters_type, read.get("env", {}), "env."), "env.")
    compared = [(name, without_none(section), read.get(name)) for name, section in held.items()]
    for name, section, found in [*compared, ("env", held["env"], again)]:
        if canonical.encode(found) != canonical.encode(section):
            raise ConfigError(
                f"{name} is {shown(section)}, and would be read back as {shown(found)}. A run keeps its configuration in "
                "config.toml, to be resumed and evaluated from it, and was not begun. Give the task's parameters plain "
                "types, bool, int, float, str, and tuples of them, and let them keep what they are given."
            )


def _evaluation(task: Task, spec: EnvironmentSpec, held: dict[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section evaluation. To value a rule is to drive the environment: what cannot be wound back is left alone."""
    return {**held, **task.evaluation, **({} if spec.replayable else dict.fromkeys(DRIVING, 0)), **own.get("evaluation", {})}


def structure_of(task: Task, section: Mapping[str, Any]) -> InformationStructure:
    """The structure that a configuration's ``section`` chooses, among them one that this host's user names as code.

    Raises:
        ConfigError, UsageError: if there is no such structure or parameter.
    """
    name = section.get("name")
    if not isinstance(name, str) or ":" not in name:
        return chosen_structure(task.structure, section)
    own = load_structure(name)
    return chosen_structure(own, {**section, "name": own.name})


def _check_keys(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Raise ConfigError for a key that is not ``known``, and for a section that holds no keys."""
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"There is no key {key}{where}. {closest(key, known)} Remove or correct it.")
        if key in _SECTIONS and not isinstance(value, Mapping):
            raise ConfigError(f"{key} is a section, and was set to {value!r}{where}. Set its keys: {key}.KEY = VALUE.")


def structure_argument(config: RunConfig) -> str:
    """What ``--structure`` must be for the agents of this task; empty for a built-in structure."""
    structure = config.structure
    return "" if is_built_in(structure) else user_code.name_of(type(structure))


def check_agents(config: RunConfig, agents: int | None) -> None:
    """Compare ``-K`` with the task's number of agents. Raises UsageError when they differ."""
    expected = config.settings.num_agents
    if agents is not None and agents != expected:
        raise UsageError(
            f"-K {agents} was asked for, but the task {config.task.name} has {expected} agents. No process was started. "
            f"Leave -K out, or give {expected}."
        )
