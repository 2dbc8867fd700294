"""Options of commands that begin with a learned rule: where it comes from, and whether it is only acted with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dadc_net.errors import UsageError

if TYPE_CHECKING:
    from dadc_net.config import RunConfig
    from dadc_net.node.agent.starting_rule import StartingRule

Command = TypeVar("Command", bound=Callable[..., Any])
_DIGEST = re.compile(r"[0-9a-f]{64}")


def from_option(command: Command) -> Command:
    """--from RUN"""
    return click.option(
        "--from",
        "origin",
        metavar="RUN",
        help="Begin with what was learned: the folder of a run or of an agent, or a file of dadc export.",
    )(command)


def start_options(command: Command) -> Command:
    """--from, --frozen and --drawn."""
    for decorate in (
        click.option("--drawn", is_flag=True, help="With --frozen: prescriptions are drawn from the rule, not its best."),
        click.option("--frozen", is_flag=True, help="With --from: act with the rule, and learn nothing."),
        from_option,
    ):
        command = decorate(command)
    return command


@dataclass(frozen=True)
class Beginning:
    """What the options say."""

    rule: StartingRule | None
    options: dict[str, Any]
    """Configuration keys."""

    @property
    def before(self) -> dict[str, Any] | None:
        """The settings of the learner that goes on: whatever the user does not say stays as it was."""
        if self.rule is None:
            return None
        settings = dict(self.rule.settings)
        # The rule leads: drawing uniformly first, as a new learner does, would leave it unused.
        return {**settings, "learner": {**settings["learner"], "uniform_share": 0.0}}

    def check(self, config: RunConfig) -> None:
        """Raise MismatchError if the rule was learned for another problem than ``config``'s."""
        if self.rule is not None:
            self.rule.check_problem(config.settings, config.structure.to_plain(), config.family.to_plain())

    def note(self, config: RunConfig) -> str:
        """How a headline says it; empty where a learner begins anew."""
        start = config.settings.start
        if not start.rule:
            return ""
        after = "" if self.rule is None else f" of update {self.rule.update}"
        does = {"": "learns on from", "greedy": "acts greedily with", "drawn": "draws from"}[start.frozen]
        return f", {does} the rule {start.rule[:16]}{after}"


def beginning(origin: str | None, frozen: bool, drawn: bool, digest_allowed: bool = False) -> Beginning:
    """What --from, --frozen and --drawn say; with ``digest_allowed`` a rule's digest does in its place.

    Raises:
        UsageError: if they do not fit together, or there is no rule at ``origin``.
        CorruptStateError: if it is damaged.
    """
    if drawn and not frozen:
        raise UsageError(
            "--drawn was given without --frozen. A learner that goes on draws its prescriptions anyway. Add --frozen, or "
            "leave --drawn out."
        )
    options = {"start.frozen": ("drawn" if drawn else "greedy") if frozen else None}
    if origin is None:
        return Beginning(None, options)
    if digest_allowed and _DIGEST.fullmatch(origin):
        return Beginning(None, {"start.rule": origin, **options})
    rule = rule_at(origin)
    return Beginning(rule, {"start.rule": rule.digest.hex(), **options})


def rule_at(origin: str) -> StartingRule:
    """The learned rule at ``origin``. Raises like ``find_rule``."""
    from dadc_net.runtime.learned_rule import find_rule

    if not Path(origin).exists():
        raise UsageError(
            f"--from {origin} does not exist. Nothing was started. Give the folder of a run or of an agent, or a file that "
            "dadc export made."
        )
    return find_rule(Path(origin))
