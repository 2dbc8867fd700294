"""Information structures as the planner sees them: which part of every agent's memory becomes common, and when.

An agent's memory is a word of symbols, the oldest first; at each step one symbol is appended. Then some of it becomes
common and is taken off, and some may be forgotten. Because prescriptions are deterministic, an agent's past actions are
functions of what is common and of its past observations, so that a symbol is an observation alone; only where memory is cut
off by force is a symbol the action together with the observation after it.

| structure | becomes common after the step from t to t + 1 | what stays private |
| --- | --- | --- |
| full-sharing | everything | nothing |
| delayed-sharing | a_{t+1-d}, o_{t+1-d} | the last d observations |
| periodic-sharing, reading a | at t + 1 = 0 mod p everything | all since then |
| periodic-sharing, reading c | at t + 1 = 0 mod p everything but o_{t+1} | all since then |
| control-sharing | a_t | all observations, or the last m + 1 |
| no-sharing | nothing | everything, or the last m + 1 |

Of any other structure a model is made first whose agents are told at every step what is common and what each has to itself
(``laid_out``): a memory is then the present observation alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.schema import closest

_PARAMETERS: dict[str, dict[str, Any]] = {
    "full-sharing": {},
    "delayed-sharing": {"delay_steps": 1},
    "periodic-sharing": {"period_steps": 2, "reading": "a"},
    "control-sharing": {"memory_steps": None},
    "no-sharing": {"memory_steps": None},
}
_TOLD = "told"
TOLD = ", all are told "
"""In the name of an observation: what comes after it is common."""


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """One structure with its parameters."""

    name: str
    delay_steps: int = 0
    """d of delayed sharing; 0 elsewhere"""
    period_steps: int = 0
    """p of periodic sharing; 0 elsewhere"""
    reading: str = "a"
    """Whether sharing at a multiple of p includes the observation of that moment ("a") or not ("c")."""
    memory_steps: int | None = None
    """m: how many observations before the present one are kept; None: all"""
    commons: int = 0
    """Z of a structure that says itself what is common: an observation of the first agent is l Z + z; 0 elsewhere"""
    structure: str = ""
    """The name of such a structure."""
    parameters: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def knows(cls, name: str) -> bool:
        """Whether the planner has a view of its own of the structure ``name``."""
        return name in _PARAMETERS

    @classmethod
    def from_record(cls, name: str, parameters: Mapping[str, Any] | None = None) -> Sharing:
        """The planner's view of the structure ``name`` with ``parameters``.

        Raises:
            UsageError: if there is no such structure or parameter, or its value makes no sense.
        """
        if name not in _PARAMETERS:
            raise UsageError(
                f"there is no exact planner for the information structure {name!r}. {closest(name, _PARAMETERS)} "
                "Choose one of these."
            )
        given = dict(parameters or {})
        for key in given:
            if key not in _PARAMETERS[name]:
                raise UsageError(
                    f"the structure {name} has no parameter {key!r}. "
                    + (closest(key, _PARAMETERS[name]) if _PARAMETERS[name] else "It has none.")
                    + f" Correct structure.{key}."
                )
        values = {**_PARAMETERS[name], **given}
        for key, least in (("delay_steps", 1), ("period_steps", 1), ("memory_steps", 0)):
            value = values.get(key)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise UsageError(
                    f"structure.{key} is {value!r}. It counts steps and must be a whole number of at least {least}. "
                    "Correct it."
                )
        if values.get("reading", "a") not in ("a", "c"):
            raise UsageError(
                f"structure.reading is {values['reading']!r}. Periodic sharing reads either everything, the observation of "
                "the moment included ('a'), or all but that ('c'). Give one of them."
            )
        return cls(name=name, **values)

    @classmethod
    def told(cls, structure: str, parameters: Mapping[str, Any], commons: int) -> Sharing:
        """Of a model whose agents observe what they have to themselves; the first one also what is common, Z ``commons``."""
        return cls(name=_TOLD, memory_steps=0, commons=commons, structure=structure, parameters=tuple(parameters.items()))

    @property
    def title(self) -> str:
        """The name of the structure."""
        return self.structure or self.name

    @property
    def keeps_whole_words(self) -> bool:
        """Whether a memory becomes common wholly or not at all, so that memories that say the same may be merged."""
        return self.memory_steps is None and self.delay_steps == 0

    @property
    def phases(self) -> int:
        """How many different steps there are: p of periodic sharing, 1 elsewhere."""
        return max(1, self.period_steps)

    def shares_all_at(self, step: int) -> bool:
        """Whether arriving at ``step`` shares everything that is due then."""
        return self.name == "full-sharing" or (self.period_steps > 0 and step % self.period_steps == 0)

    def text(self) -> str:
        """In words, with the parameters that matter."""
        given = self.parameters or [(key, getattr(self, key)) for key in _PARAMETERS.get(self.name, ())]
        parts = [f"{key} {value}" for key, value in given if value is not None]
        return self.title + (f" ({', '.join(parts)})" if parts else "")
