"""The messages of one run, and who may send each.

    Join    agent -> server   "I am agent k, and this far I have come": what must be equal is compared first
    Begin   server -> agent   the run's identity and every setting an agent may know
    Step    server -> agent   record t: common bytes (identical for all) and agent k's own observation
    Act     agent -> server   the answer to record t: actions, step digest, and after an update the learner digest
    End     server -> agents  the run is complete
    Bye     agent -> server   the agent has kept the result and leaves
    Probe   server -> agent   "are you still there?"
    Alive   agent -> server   the answer to Probe; also a sign of life into a silence
    Who     server -> agent   "this connection has not joined": the transport connected again without a word
    Query   server -> agent   after a divergence: which digests had each component at that record?
    Account agent -> server   the answer to Query
    Fault   either way        the sender stops, and why; carries the exit code

A message is plain data. Which run, server epoch, agent and step it belongs to is part of the
message, because the roles reason about them; how it becomes bytes is the business of ``wire``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from dadc_net.node.record import Record

RUN_ID_BYTES = 16
DIGEST_BYTES = 32
NO_RUN = bytes(RUN_ID_BYTES)
NO_HEAD = bytes(DIGEST_BYTES)
"""Chain hash of an empty log."""


@dataclass(frozen=True, kw_only=True)
class Join:
    """Agent ``agent`` (1..K) asks to take part."""

    agent: int
    commitment: bytes
    """HMAC under a key derived from the shared seed: equal for all agents, says nothing of a long seed."""
    selftest: bytes
    """Digest of the known-answer test of this host's arithmetic and streams."""
    settings_digest: bytes
    """Digest of the settings this agent insists on; empty: whatever the server says."""
    rule: bytes = b""
    """Digest of the learned rule this agent would begin with; empty: it has none."""
    host: dict[str, str] = field(default_factory=dict)
    """Host name, process id, versions, CPU features: for people who read a report, never compared."""
    answers: dict[str, str] = field(default_factory=dict)
    """Name of each primitive of the self-test -> the start of its digest, to name what differs where ``selftest`` does."""
    run_id: bytes = NO_RUN
    """The run that this agent has records of; zeros: none."""
    epoch: int = 0
    """The highest server epoch it has met in that run."""
    next_step: int = 0
    """The record it waits for: it holds all before it, and its own answers to them."""
    head: bytes = NO_HEAD
    """Chain hash after the last record it holds: it witnesses that the log was at least this long, and which log."""


EPOCH_MAX = 2**31 - 1
"""An epoch counts the starts of a server: what is higher was never counted. The wire would carry twice as much."""


@dataclass(frozen=True, kw_only=True)
class Begin:
    """The run's identity and the settings of the coordinator; first to all K, later to each that comes back."""

    run_id: bytes
    epoch: int
    settings: dict[str, object]
    """``CoordinatorSettings.to_plain()``; never a parameter of the environment."""
    structure: dict[str, object]
    """``InformationStructure.to_plain()``: whose ``local`` the agent applies."""
    family: dict[str, object]
    """``PrescriptionFamily.to_plain()``: what prescription parameters mean with local information."""
    observation_space: dict[str, object]
    """Space of the receiver's own observation; what others see is none of its business."""
    action_space: dict[str, object]
    """Space of the receiver's own action."""


class Step(NamedTuple):
    """A record: z_t, R_{t-1}, begin and ended for all copies; plus the receiver's own observation."""

    run_id: bytes
    epoch: int
    record: Record
    observation: bytes


class Act(NamedTuple):
    """The answer to record ``step``."""

    run_id: bytes
    epoch: int
    agent: int
    step: int
    actions: bytes
    """One int16 per copy, little endian; empty for the last record of a run."""
    step_digest: bytes
    """Keyed digest of (head, parameters, AIS, prescription parameters) of this step."""
    learner_digest: bytes
    """Digest of the learner after the update that this record closed; empty when there was none."""


@dataclass(frozen=True)
class End:
    """All updates are done; ``learner_digest`` is what the receiver reported last, and with shared learning everybody."""

    run_id: bytes
    epoch: int
    step: int
    """The run's last record."""
    learner_digest: bytes


@dataclass(frozen=True, kw_only=True)
class Bye:
    """The answer to End: the result is kept, and the agent needs nothing more."""

    run_id: bytes
    epoch: int
    agent: int
    step: int


@dataclass(frozen=True)
class Probe:
    """Asks whether the process that joined under this id still lives."""

    agent: int
    number: int = 0
    """Which question: 0 for the one of every second, otherwise one that decides a disputed id."""


@dataclass(frozen=True)
class Alive:
    """The answer to ``Probe``."""

    agent: int
    number: int = 0
    """Of the Probe that it answers; an answer that was under way before the question proves nothing. 0: unasked."""


@dataclass(frozen=True)
class Who:
    """The server does not know this connection; whoever is there joins again, on it."""


@dataclass(frozen=True)
class Query:
    """Asks for the component digests of record ``step``."""

    run_id: bytes
    epoch: int
    step: int


@dataclass(frozen=True, kw_only=True)
class Account:
    """The answer to ``Query``."""

    run_id: bytes
    epoch: int
    agent: int
    step: int
    digests: dict[str, bytes]
    """Name -> keyed digest, causes before effects: update/COMPONENT/TENSOR, act/COMPONENT/WHAT, state/COMPONENT/TENSOR."""


@dataclass(frozen=True)
class Fault:
    """The sender stops. ``exit_code`` is what the receiver should exit with, ``text`` what it should print."""

    exit_code: int
    text: str


Message = Join | Begin | Step | Act | End | Bye | Probe | Alive | Who | Query | Account | Fault
