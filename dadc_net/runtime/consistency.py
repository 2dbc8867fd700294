"""The consistency-check harness, offline: do the journals of all parties agree, and if not, where did they part first?

Questions are asked in the order that finds causes before effects. At each record: did everybody see the same common
log? Then, at a record that closed a batch, is the learner state equal, tensor by tensor? Then, are AIS and
prescription equal? Last, did the server receive what the agent says it sent? The first "no" is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dadc_net.errors import CorruptStateError, UsageError
from dadc_net.node.agreement import find_suspects
from dadc_net.node.journal import UpdateRow
from dadc_net.runtime.journal_file import JOURNAL_NAME
from dadc_net.runtime.journal_reader import JournalReader

_COLUMNS = (
    ("parameters", "all"),
    ("ais", "x_t"),
    ("prescription", "theta_t"),
    ("step digest", "keyed digest"),
)
"""Component and tensor of the digests in a step's row, in the order in which causes come before effects."""


@dataclass(frozen=True)
class FirstDivergence:
    """Where journals part first."""

    step: int
    phase: str
    """log, update, act or delivery."""
    component: str
    tensor: str
    agents: list[int]
    """The minority, or all where there is no majority."""
    digests: dict[str, str]
    """party -> digest (hex)"""

    def text(self) -> str:
        """One sentence for people."""
        shown = ", ".join(f"{party} {value[:16]}" for party, value in self.digests.items())
        names = " and ".join(f"agent {agent}" for agent in self.agents)
        return (
            f"first divergence at step {self.step}, phase {self.phase}, component {self.component}, tensor "
            f"{self.tensor}: {shown}; {names} differ{'s' if len(self.agents) == 1 else ''}"
        )


@dataclass(frozen=True)
class CheckResult:
    """What the harness found."""

    consistent: bool
    first_divergence: FirstDivergence | None
    parties: list[str]
    steps_compared: int
    updates_compared: int
    learner_digest: str
    complete: bool
    """Every party's journal ends with the run's last record."""
    learners_compared: bool = True
    """False for independent learners: only what they were told is compared, because what they learned differs."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for --json."""
        return asdict(self)


@dataclass
class _Party:
    name: str
    agent: int
    """0: the server."""
    reader: JournalReader


def find_journals(folders: Sequence[Path]) -> list[Path]:
    """Folders that hold a journal: the given ones, or their direct subfolders.

    Raises:
        UsageError: if a given folder has none.
    """
    found: list[Path] = []
    for folder in folders:
        inside = (
            [folder]
            if (folder / JOURNAL_NAME).is_file()
            else sorted(found.parent for found in folder.glob(f"*/{JOURNAL_NAME}"))
        )
        if not inside:
            raise UsageError(
                f"{folder} holds no {JOURNAL_NAME}, nor does a folder in it. It is not a run that can be checked. "
                "Give the folder of a run, or the folders of its parties."
            )
        found += inside
    return found


def check(folders: Sequence[Path]) -> CheckResult:
    """Compare the journals in ``folders``, which may come from several hosts.

    Raises:
        UsageError: if there are not at least two agents' journals of one and the same run.
        CorruptStateError: if a journal cannot be read.
    """
    parties: list[_Party] = []
    try:
        for folder in find_journals(folders):
            reader = JournalReader(folder)
            agent = int(reader.facts.get("agent", 0))
            parties.append(_Party("server" if agent == 0 else f"agent {agent}", agent, reader))
        parties.sort(key=lambda party: party.agent)
        _refuse_unless_one_run(parties)
        return _compare(parties)
    finally:
        for party in parties:
            with closing(party.reader):
                pass


def _refuse_unless_one_run(parties: Sequence[_Party]) -> None:
    agents = [party.agent for party in parties if party.agent]
    if len(agents) < 2 or len(set(agents)) != len(agents):
        raise UsageError(
            f"journals of the agents {agents} were found. A check compares at least two different agents of one run. "
            "Give the run's folder, or one folder per agent."
        )
    runs = {str(party.reader.facts.get("run_id")) for party in parties}
    if len(runs) > 1:
        raise UsageError(
            f"the journals belong to {len(runs)} different runs: {', '.join(sorted(run[:8] for run in runs))}. "
            "They cannot be compared. Give folders of one run."
        )


def _compare(parties: Sequence[_Party]) -> CheckResult:
    agents = [party for party in parties if party.agent]
    server = next((party for party in parties if party.agent == 0), None)
    update_streams = [party.reader.updates() for party in agents]
    pending: list[UpdateRow | None] = [next(stream, None) for stream in update_streams]
    divergence: FirstDivergence | None = None
    shared = all(party.reader.facts.get("settings", {}).get("learning") != "independent" for party in parties)
    steps = updates = 0
    learner = b""
    for step, rows in _aligned([party.reader.steps() for party in parties]):
        steps += 1
        divergence = _compare_values(step, "log", "common log", "chain head", parties, [row[0] for row in rows])
        own = rows if server is None else rows[1:]
        if not shared:
            if divergence is not None:
                break
            continue
        if divergence is None and all(row is not None and row.step == step for row in pending):
            divergence = _compare_updates(step, agents, [row for row in pending if row is not None])
            updates += 1
            learner = pending[0].learner if pending[0] is not None else learner
            pending = [next(stream, None) for stream in update_streams]
        for column, (component, tensor) in enumerate(_COLUMNS, start=1):
            if divergence is None:
                values = [row[column] for row in own]
                divergence = _compare_values(step, "act", component, tensor, agents, values)
        if divergence is not None and divergence.component == "parameters":
            divergence = _name_tensor(divergence, agents)
        if divergence is not None:
            break
    if divergence is None and server is not None:
        divergence = _compare_deliveries(server, agents)
    last = [int(party.reader.facts.get("last_step", -1)) for party in parties]
    complete = divergence is None and len(set(last)) == 1 and steps == last[0] + 1
    names = [party.name for party in parties]
    return CheckResult(divergence is None, divergence, names, steps, updates, learner.hex(), complete, shared)


def _aligned(streams: Sequence[Iterator[tuple[Any, ...]]]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Rows of all parties for the same step, until the shortest journal ends."""
    for rows in zip(*streams, strict=False):
        step = rows[0][0]
        if any(row[0] != step for row in rows):
            raise CorruptStateError(
                f"the journals do not have the same steps: {[row[0] for row in rows]} stand beside one another. "
                "A journal has a hole. Restore it from a copy."
            )
        yield step, [row[1:] for row in rows]


def _compare_values(
    step: int, phase: str, component: str, tensor: str, parties: Sequence[_Party], values: Sequence[bytes]
) -> FirstDivergence | None:
    if len(set(values)) <= 1:
        return None
    by_agent = {party.agent: value for party, value in zip(parties, values, strict=True)}
    shown = {party.name: value.hex() for party, value in zip(parties, values, strict=True)}
    suspects = [agent for agent in find_suspects(by_agent) if agent]
    return FirstDivergence(step, phase, component, tensor, suspects, shown)


def _name_tensor(found: FirstDivergence, agents: Sequence[_Party]) -> FirstDivergence:
    """The parameter that differs, where every agent wrote down its tensors when the run stopped at this step."""
    notes = [party.reader.facts.get("stopped", {}) for party in agents]
    if any(note.get("step") != found.step for note in notes):
        return found
    for name in notes[0]["tensors"]:
        values = [bytes.fromhex(note["tensors"][name]) for note in notes]
        component, _, tensor = name.partition("/")
        differing = _compare_values(found.step, found.phase, component, tensor, agents, values)
        if differing is not None:
            return differing
    return found


def _compare_updates(step: int, agents: Sequence[_Party], rows: Sequence[UpdateRow]) -> FirstDivergence | None:
    for name in rows[0].tensors:
        component, _, tensor = name.partition("/")
        values = [row.tensors[name] for row in rows]
        found = _compare_values(step, "update", component, tensor, agents, values)
        if found is not None:
            return found
    return _compare_values(step, "update", "learner", "all", agents, [row.learner for row in rows])


def _compare_deliveries(server: _Party, agents: Sequence[_Party]) -> FirstDivergence | None:
    """Did the server receive, for each record, what the agent's own journal says it sent?"""
    for party in agents:
        sent = {row[0]: row[5] for row in party.reader.steps()}
        for step, _, received, _ in server.reader.answers(party.agent):
            own = sent.get(step)
            if own is not None and own != received:
                shown = {"server": received.hex(), party.name: own.hex()}
                return FirstDivergence(step, "delivery", "step digest", "keyed digest", [party.agent], shown)
    return None
