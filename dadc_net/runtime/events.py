"""What happens in a run, as typed events, and who hears of it.

A party reports events; screens, metrics, the status file and whatever a user adds are observers. Between processes an event
travels as plain data with its type's name before it, so that a pipe carries no code. Nothing that an observer does or fails
to do reaches the run: no event changes a digest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Any, ClassVar, Protocol, Self, TypeVar, get_args, get_origin, get_type_hints

from dadc_net.descriptors import for_files

_log = logging.getLogger(__name__)
Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened; the name of its class is its tag. Fields are numbers, text, and containers of these."""

    _KINDS: ClassVar[dict[str, type[Event]]] = {}

    def __init_subclass__(cls) -> None:
        Event._KINDS[cls.__name__] = cls

    def to_plain(self) -> tuple[str, dict[str, Any]]:
        """Tag and fields as plain data."""
        return type(self).__name__, asdict(self)

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The event of this type with plain ``fields``, which may come out of a file.

        Raises:
            TypeError: if one is missing, too many, or not of the type of its hint; of containers the kind counts.
        """
        return require_types(cls(**fields))


def require_types(made: Made) -> Made:
    """The dataclass ``made``. Raises TypeError if a field holds what its hint does not allow."""
    kind: Any = type(made)
    for name, hint in _hints(kind).items():
        value, options = getattr(made, name), get_args(hint) if isinstance(hint, UnionType) else (hint,)
        if not any(_fits(value, get_origin(one) or one) for one in options):
            raise TypeError(f"{name} is {value!r}")
    return made


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fits(value: object, wanted: type) -> bool:
    if wanted in (int, float):
        return isinstance(value, Integral if wanted is int else Real) and not isinstance(value, bool)
    if wanted is list:
        return isinstance(value, list | tuple)
    return not isinstance(wanted, type) or isinstance(value, wanted)


def from_plain(plain: tuple[str, Mapping[str, Any]]) -> Event:
    """The inverse of ``Event.to_plain``; KeyError for a tag that this process does not know."""
    tag, fields = plain
    return Event._KINDS[tag].of_fields(fields)


# --- of the environment server --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Listening(Event):
    """The server can be reached."""

    endpoint: str


@dataclass(frozen=True, kw_only=True)
class Joined(Event):
    """An agent takes part."""

    agent: int
    hostname: str
    missing: list[int]
    """Agents that do not yet."""


@dataclass(frozen=True, kw_only=True)
class Left(Event):
    """An agent has gone; it is waited for."""

    agent: int
    step: int


@dataclass(frozen=True, kw_only=True)
class Waiting(Event):
    """A record has not been answered for long."""

    step: int
    agents: list[int]
    """Who is waited for."""
    present: list[int]


@dataclass(frozen=True, kw_only=True)
class ServerResumed(Event):
    """The server took up the run of its journal."""

    step: int
    lost: int
    """Records that its disk has lost and the agents are asked for."""
    mended: list[int]
    epoch: int
    anew: bool = False
    """Whether every copy begins a new episode, because the environment cannot be wound back."""


@dataclass(frozen=True, kw_only=True)
class Updated(Event):
    """All agents have made an update, of one learner with equal digests."""

    update: int
    updates: int
    """Of the whole run."""
    env_steps: int
    reward_per_step: float
    """Mean reward of the batch: its sum over copies and steps, by the number of steps that began no episode."""
    lock_steps: int
    """Of the run so far."""
    lock_steps_here: int
    """Of them by the process that reports."""
    seconds: float
    """Wall-clock time of ``lock_steps_here``."""


@dataclass(frozen=True, kw_only=True)
class ServerFinished(Event):
    """The run is over, and the server has all learner digests, hex."""

    learner_digests: dict[int, str]
    steps: int
    """Lock-steps since this process took up the run; 0 if it was finished already."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ServerMeasured(Event):
    """Totals of this server process, about once a second; for its own observers, not for the launcher."""

    records: int
    """Lock-steps."""
    phase_seconds: dict[str, float]
    resent: int
    """Records sent again, unanswered."""
    refused: dict[str, int]
    """Reason -> messages, keys, connections."""
    digests_compared: int
    tip: int
    """Number of the newest record."""
    memory_bytes: int


# --- of an agent ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Began(Event):
    """The agent takes part in the run."""

    agent: int
    run_id: str


@dataclass(frozen=True, kw_only=True)
class AgentResumed(Event):
    """The agent took up the run of its journal."""

    agent: int
    step: int
    computed: int
    """Records that it computed again."""


@dataclass(frozen=True, kw_only=True)
class Learned(Event):
    """The agent's learner has made an update: its losses, entropy, spread and rank of the AIS, as the algorithm has them."""

    agent: int
    update: int
    env_steps: int
    losses: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Checkpointed(Event):
    """The state after an update can be looked at."""

    agent: int
    update: int


@dataclass(frozen=True, kw_only=True)
class Silent(Event):
    """The agent does not hear of the server and connects anew."""

    agent: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Troubled(Event):
    """The agent's disk refuses; empty: it works again."""

    agent: int
    text: str


@dataclass(frozen=True, kw_only=True)
class AgentFinished(Event):
    """The agent has ended the run."""

    agent: int
    learner_digest: str


@dataclass(frozen=True, kw_only=True)
class AgentMeasured(Event):
    """The same of this agent process."""

    agent: int
    records: int
    phase_seconds: dict[str, float]
    tip: int
    server_silent_s: float | None
    """Seconds since the server was heard; None: it has not joined, or has all records."""
    memory_bytes: int


# --- of whoever looks after a run -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The rule as it was after an update has been valued; None: there is no such figure."""

    update: int
    env_steps: int
    value: float | None
    value_stderr: float | None
    gap: float | None
    round_robin_share: float | None
    best_constant_share: float | None = None
    no_better_than_blind: bool | None = None
    ais_collapsed: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """Something failed that the run does not depend on."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """A child process ended with an error."""

    party: str
    """Whose process it was."""
    exit_code: int
    text: str
    speaker: str
    """Another party, if the error is its word and not found by the child; otherwise empty."""


@dataclass(frozen=True, kw_only=True)
class Restarted(Event):
    """A child process was killed and is started again."""

    party: str
    signal: int
    times: int


@dataclass(frozen=True, kw_only=True)
class Refereed(Event):
    """A fresh learner computes the log again, to see who is wrong."""

    step: int


# --- who hears of them ----------------------------------------------------------------------------------------------


class Observer(Protocol):
    """Hears of what happens, in order, in the process that reports it or in the launcher's."""

    def on(self, event: Event) -> None:
        """React to ``event``; most observers leave most kinds alone."""


class Observers:
    """Tells each observer in turn. One that raises is left out from then on: a run does not end because of it."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        """Tell ``observer``, too, from now on."""
        self._observers.append(observer)

    def on(self, event: Event) -> None:
        """Tell all observers."""
        with for_files():
            self._tell(event)

    def _tell(self, event: Event) -> None:
        for observer in tuple(self._observers):
            try:
                observer.on(event)
            except Exception as error:  # A user's observer may raise anything.
                self._observers.remove(observer)
                _log.exception("an observer failed")
                self.on(
                    Warned(
                        text=f"the observer {type(observer).__name__} failed: {type(error).__name__}: {error}. It hears "
                        "nothing more, and the run goes on. Correct it before the next run."
                    )
                )

    def close(self) -> None:
        """Close those that can be closed."""
        for observer in self._observers:
            close = getattr(observer, "close", None)
            if callable(close):
                close()
