"""What the rest of the house knows of an algorithm before it loads its implementation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.errors import ConfigError
from dadc_net.schema import Checked
from dadc_net.team.spaces import FiniteSpace, Space


class Situation(NamedTuple):
    """What an algorithm would have to learn with."""

    own: Any
    """Its own settings; None where it has none."""
    ais: AisSettings
    common: Space
    """Of the common observation."""
    theta: Space
    """Of prescription parameters."""


KINDS = {"menu": "a menu", "factored": "factored", "box": "continuous"}
"""Kinds of prescription parameters, and how a sentence calls prescriptions of them."""


_NAMES = {"menu": "menu", "factored": "factored", "box": "gibbs"}
"""Prescriptions of each kind that every task has; a menu while it is small."""


def kind_of(theta: Space) -> str:
    """Which of the kinds: finite with one factor, finite with several, or a box."""
    if isinstance(theta, FiniteSpace):
        return "menu" if len(theta.sizes) == 1 else "factored"
    return "box"


class Trial(NamedTuple):
    """A short run of the self-test."""

    label: str
    theta: str
    """Kind of theta."""
    own: Checked | None


def _accept(at: Situation) -> str:
    return ""


def _never(own: Any) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class AlgorithmSpec:
    """One algorithm."""

    name: str
    """In the configuration."""
    implementation: str
    """``module:Class`` below this package; loaded when a learner is made."""
    settings: Checked | None = None
    """The defaults of its own section of the configuration; None: it has no section."""
    thetas: tuple[str, ...] = tuple(KINDS)
    """Kinds of prescription parameters that it can learn."""
    refuse: Callable[[Situation], str] = _accept
    """Why it cannot learn in a situation, in three sentences; empty where it can."""
    plays_corners: Callable[[Any], bool] = _never
    """Whether, with these settings of its own, only the corners of the box of theta are played."""
    credits_used: bool = False
    """Whether it can leave out the choices of a factored prescription that did not act."""
    imitates: bool = False
    """Whether it can follow again what went well (``learner.imitation_weight``)."""
    knows_termination: bool = True
    """Whether episodes may terminate without ``ais.predicts_end``; they may always be truncated."""
    trial: Checked | None = None
    """Its own settings in the self-test, where it has to be quick; None: its defaults."""
    further_trials: Mapping[str, Checked] = field(default_factory=dict)
    """Further runs of the self-test, with the first kind of theta: label -> settings of its own."""

    def check(self, at: Situation, able: Sequence[str]) -> None:
        """Raise ConfigError for prescriptions, or anything else, that it cannot learn with.

        ``able``: names of the algorithms that can learn such prescriptions.
        """
        kind = kind_of(at.theta)
        if kind not in self.thetas:
            wanted = " or ".join(KINDS[kind] if kind == "menu" else f"{KINDS[kind]} ones" for kind in self.thetas)
            raise ConfigError(
                f"the prescriptions are {KINDS[kind]}, but the algorithm {self.name} can learn {wanted} only. They come "
                f"from the key prescriptions. Set prescriptions={' or '.join(_NAMES[kind] for kind in self.thetas)}, or "
                f"choose an algorithm that learns such: {', '.join(able)}."
            )
        refusal = self.refuse(at)
        if refusal:
            raise ConfigError(refusal)

    def trials(self) -> Iterator[Trial]:
        """The runs of the self-test."""
        for theta in self.thetas:
            label = f"learner {self.name}" + ("" if theta == "menu" else f", {KINDS[theta]} theta")
            yield Trial(label, theta, self.trial or self.settings)
        for name, own in self.further_trials.items():
            yield Trial(f"learner {self.name}, {name}", self.thetas[0], own)

    def load(self) -> type[Any]:
        """The implementation, a class over ``coordinator.algorithm.Algorithm``."""
        module, _, name = self.implementation.partition(":")
        found: type[Any] = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return found
