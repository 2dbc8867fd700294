"""What every key of a configuration means and may be, from where it is declared: its docstring and its type hint."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from dadc_net.config import RunConfig
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.coordinator.settings.coordinator import OWN_SECTIONS
from dadc_net.coordinator.settings.learning import MODES
from dadc_net.run_sections import EvaluationSettings, RuntimeSettings
from dadc_net.schema import Range, plain
from dadc_net.structure_section import STRUCTURE

TOP_LEVEL = {
    "task": ("text", "Which problem: a built-in name, a .dpomdp file, FILE.py:factory or package.module:factory."),
    "algorithm": (", ".join(ALGORITHMS), "What learns. Each has a section of its own, which is used with it only."),
    "learning": (
        ", ".join(MODES),
        "shared: one coordinator for all agents, as in the paper. independent: each agent alone.",
    ),
    "preset": (
        "general, or one of the task's",
        "Where defaults come from. A task may bring tuned, paper (as printed) or theorem (step sizes of Theorem 4); general "
        "is the recipe for every task.",
    ),
    "updates": ("1 to 1000000000", "Updates of the learner in the whole run; all schedules end with them."),
    "discount": ("above 0 to 1", "gamma, what the next step is worth beside this one."),
    "prescriptions": ("menu, or a family of the task", "What the coordinator chooses: an entry of a menu, or parameters."),
    "menu": ("one of the task's", "Which menu, where prescriptions are one."),
}
"""Key beside the sections -> what it may be, what it means."""
_NUMBERS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of a section."""

    name: str
    value: Any
    """In the types that a configuration file has; None where it has no default."""
    allowed: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of a configuration."""

    name: str
    about: str
    keys: tuple[Key, ...]


def top_level(config: RunConfig) -> tuple[Key, ...]:
    """The keys that stand before all sections."""
    values = config.to_plain()
    return tuple(
        Key(name=name, value=values[name], allowed=allowed, meaning=meaning)
        for name, (allowed, meaning) in TOP_LEVEL.items()
        if name in values
    )


def sections(config: RunConfig) -> Iterator[Section]:
    """The sections of a run's configuration, in the order in which its file holds them."""
    settings = config.settings
    beside = {"env": config.parameters, "theta": config.theta}
    beside |= {"evaluation": config.evaluation, "runtime": config.runtime}
    for name, values in config.to_plain().items():
        if name == STRUCTURE:
            yield structure_section(config)
        elif isinstance(values, dict):
            own = beside.get(name) or settings.own.get(name) or getattr(settings, name)
            yield section_of(name, type(own), values)


def structure_section(config: RunConfig) -> Section:
    """The information structure: its name beside its own keys."""
    values = config.to_plain()[STRUCTURE]
    found = section_of(STRUCTURE, type(config.structure), values)
    name = Key(
        name="name", value=values["name"], allowed="a built-in name, or the task's own", meaning="Who knows what, and when."
    )
    return dataclasses.replace(found, keys=(name, *found.keys))


def section_of(name: str, kind: type[Any], values: dict[str, Any] | None = None) -> Section:
    """The keys that the dataclass ``kind`` declares, with ``values``, or with its own defaults where they are None."""
    if not dataclasses.is_dataclass(kind):
        return Section(name=name, about=_plainly(inspect.getdoc(kind) or ""), keys=())
    hints = typing.get_type_hints(kind, include_extras=True)
    said = _field_docstrings(kind)
    keys = tuple(
        Key(
            name=field.name,
            value=_default(field, name) if values is None else values.get(field.name),
            allowed=allowed(hints[field.name]),
            meaning=said.get(field.name, ""),
        )
        for field in dataclasses.fields(kind)
        if field.init
    )
    return Section(name=name, about=_about(kind), keys=keys)


def defaults() -> list[Section]:
    """The sections that are the same for every task, with the defaults that hold where no preset says otherwise."""
    from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
    from dadc_net.schema import sections_of
    from dadc_net.team.prescriptions import ThetaSettings

    kinds: dict[str, type[Any]] = {**sections_of(CoordinatorSettings)}
    kinds |= {name: type(own) for name, own in OWN_SECTIONS.items()}
    kinds |= {"theta": ThetaSettings, "evaluation": EvaluationSettings, "runtime": RuntimeSettings}
    return [section_of(name, kind) for name, kind in kinds.items()]


def _default(field: dataclasses.Field[Any], section: str) -> Any:
    if field.default is not dataclasses.MISSING:
        return plain(field.default, f"{section}.{field.name}")
    if field.default_factory is not dataclasses.MISSING:
        return plain(field.default_factory(), f"{section}.{field.name}")
    return None


def allowed(hint: Any) -> str:
    """What a type hint allows, in words."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        words = [_range_words(extra) for extra in hint.__metadata__ if isinstance(extra, Range)]
        return words[0] if words else allowed(hint.__origin__)
    if origin is Literal:
        return ", ".join(map(str, typing.get_args(hint)))
    if origin in (types.UnionType, typing.Union):
        return " or ".join(allowed(one) for one in typing.get_args(hint) if one is not type(None))
    if origin is tuple:
        items = typing.get_args(hint)
        many = "a list" if Ellipsis in items else f"a list of {len(items)}"
        return f"{many}: {allowed(items[0])} each"
    return _NUMBERS.get(hint, getattr(hint, "__name__", str(hint)))


def _range_words(limits: Range) -> str:
    zero = "0, or " if limits.or_zero else ""
    if limits.high == float("inf"):
        return f"{zero}{'above' if limits.above else 'at least'} {limits.low:g}"
    if limits.low == float("-inf"):
        return f"{zero}at most {limits.high:g}"
    low, high = (f"{end:.0f}" if float(end).is_integer() else f"{end:g}" for end in (limits.low, limits.high))
    return f"{zero}{'above ' if limits.above else ''}{low} to {high}"


def _about(kind: type[Any]) -> str:
    """The first paragraph of a class's docstring; dataclasses without one are given their signature by Python."""
    said = inspect.getdoc(kind) or ""
    return "" if said.startswith(f"{kind.__name__}(") else _plainly(said.split("\n\n")[0])


def _field_docstrings(kind: type[Any]) -> dict[str, str]:
    """The text under each field of a dataclass and of its bases; nothing where the source cannot be read."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        try:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            continue
        if isinstance(body, ast.ClassDef):
            found.update(_texts_under(body))
    return found


def _texts_under(body: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                yield field.target.id, _plainly(text)


def _plainly(text: str) -> str:
    """A docstring as running text."""
    return " ".join(text.replace("``", "`").split())
