"""A learned rule that a run begins with: what it is, which runs it fits, and the digest by which agents compare it.

The digest covers everything that decides what is played: the learner's settings, the information structure, the family of
prescriptions, and every parameter. What single agents see and do stands beside it, for whoever holds the rule alone: an
agent knows its own only, so that it cannot be part of what all must have equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.learning import MODES, Snapshot
from dadc_net.errors import MismatchError
from dadc_net.exact import canonical
from dadc_net.exact.digest import digest
from dadc_net.schema import differences
from dadc_net.team.spaces import space_from_plain

SHOWN = 16
"""Digits of a digest in a sentence."""
_PROBLEM = ("num_agents", "learning", "common_space", "theta_space")
"""What of the settings belongs to the problem; the rest shows in the tensors."""


@dataclass(frozen=True, kw_only=True)
class StartingRule:
    """One learned rule; of independent learners all of theirs."""

    settings: Mapping[str, Any]
    """``CoordinatorSettings.to_plain()`` of the learner; JSON data, as the two that follow."""
    structure: Mapping[str, Any]
    family: Mapping[str, Any]
    update: int
    """After how many updates it was taken."""
    arrays: Snapshot
    agents: Mapping[str, Any]
    """Agent, as a decimal number -> ``observation_space`` and ``action_space``, as far as they are known."""

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that are equal exactly when two rules are."""
        told = {"settings": self.settings, "structure": self.structure, "family": self.family, "update": self.update}
        return digest(b"dadc-net rule", canonical.encode(told), canonical.encode(self.arrays))

    def check_form(self) -> None:
        """Look at what came out of a file or a checkpoint, whose digest whoever made it has made as well.

        Raises:
            ConfigError, ProtocolError, ValueError, TypeError, RecursionError: if it is no rule; which tensors it needs is
                known to the learner that begins with it, and checked there.
        """
        settings = CoordinatorSettings.from_plain(self.settings)
        if set(self.structure) != {"name", "parameters"} or not isinstance(self.structure["parameters"], Mapping):
            raise ValueError("its information structure has not a name and parameters")
        if not isinstance(self.structure["name"], str) or not isinstance(self.family.get("kind"), str):
            raise ValueError("its information structure has no name, or its prescriptions no kind")
        for agent, own in self.agents.items():
            if agent not in map(str, range(1, settings.num_agents + 1)) or not isinstance(own, Mapping):
                raise ValueError(f"it tells of the agent {agent!r} of {settings.num_agents}")
            for name in ("observation_space", "action_space"):
                if not isinstance(own.get(name), Mapping):
                    raise ValueError(f"it does not tell the {name} of agent {agent}")
                space_from_plain(own[name])
        len(self.digest)  # Of what cannot be encoded there is none.

    def part(self, agent: int) -> Snapshot:
        """What ``agent``'s learner begins with."""
        return MODES[self.settings["learning"]].part(self.arrays, agent)

    def check_problem(
        self, settings: CoordinatorSettings, structure: Mapping[str, Any], family: Mapping[str, Any]
    ) -> None:
        """Compare the problem that it was learned for with a run's.

        Raises:
            MismatchError: if they differ in the number of agents, what is common, the structure or the prescriptions.
        """
        told = settings.to_plain()
        for what, held, given in (
            ("problem", {key: self.settings[key] for key in _PROBLEM}, {key: told[key] for key in _PROBLEM}),
            ("information structure", self.structure, structure),
            ("prescriptions", self.family, family),
        ):
            differing = differences(plain(held), plain(given))
            if differing:
                raise MismatchError(
                    f"the rule {self.digest.hex()[:SHOWN]} was learned for another {what} than this run's: "
                    f"{_cut(differing)}. No step was taken. Give the task and options that it was learned with, or another "
                    "rule."
                )


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """``record`` as it comes back from a file or from the wire: tuples have become lists."""
    found: dict[str, Any] = json.loads(json.dumps(dict(record)))
    return found


def _cut(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[:most] + " .."


def start_of(settings: CoordinatorSettings, rule: StartingRule | None, agent: int) -> Snapshot | None:
    """What the learner of ``agent`` begins with in a run of these settings; None: with parameters drawn anew.

    Raises:
        MismatchError: if the run begins with another rule than the given one.
    """
    wanted, given = settings.start.rule, "" if rule is None else rule.digest.hex()
    if wanted != given:
        raise MismatchError(
            f"the run begins with {named(wanted)}, and {named(given)} was given. No step was taken. "
            "Start every agent with --from and the file that dadc export made, or with none where the run has none."
        )
    return None if rule is None else rule.part(agent)


def named(rule: str) -> str:
    """How a sentence names a rule by its digest in hexadecimal; empty: there is none."""
    return f"the learned rule {rule[:SHOWN]}" if rule else "no learned rule"
