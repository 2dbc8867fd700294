"""The consistency-check harness, offline: do the journals of all parties agree, and if not, where did they part first?

Each journal is audited by itself first. Then questions are asked in the order that finds causes before effects. At each
record: did everybody see the same common log? Then, at a record that closed a batch, is the learner state equal, tensor by
tensor? Then, are AIS and prescription equal? Last, did the server receive what each agent says it sent, and each agent what
the server says it sent? The first "no" is the answer.

With the shared seed a fresh learner takes part as a referee: it computes every record again, and whoever differs from it is
wrong, also where two agents stand against each other, and also where all agents agree on the same wrong bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dadc_net.audit.first_divergence import REFEREE, FirstDivergence, differing_facts
from dadc_net.audit.journal_audit import audit
from dadc_net.audit.receipts import compare_receipts
from dadc_net.audit.referee import Referee
from dadc_net.coordinator.settings.learning import INDEPENDENT
from dadc_net.errors import CorruptStateError, UsageError
from dadc_net.node.rows import UpdateRow
from dadc_net.node.server.agreement import find_suspects
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.run_folder import PRUNED_FILE

_COLUMNS = (
    ("parameters", "all"),
    ("ais", "x_t"),
    ("prescription", "theta_t"),
    ("step digest", "keyed digest"),
)
"""Component and tensor of the digests in a step's row, in the order in which causes come before effects."""
_SERVER, _REFEREE = 0, -1
"""Numbers of the parties that are no agents."""
_NAMES = {_SERVER: "server", _REFEREE: REFEREE}


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What the harness found."""

    consistent: bool
    first_divergence: FirstDivergence | None
    parties: list[str]
    last_records: dict[str, int]
    """party -> number of the last record in its journal"""
    steps_compared: int
    updates_compared: int
    learner_digest: str
    complete: bool
    """Every party's journal ends with the run's last record."""
    recomputed: bool
    """A referee took part."""
    learners_compared: bool = True
    """False for independent learners: only what they were told is compared, because what they learn differs."""

    def to_plain(self) -> dict[str, Any]:
        """Plain data for --json."""
        return asdict(self)


class _Party:
    """One column of the comparison."""

    def __init__(self, agent: int, reader: JournalReader | Referee) -> None:
        self.agent = agent
        self.name = _NAMES.get(agent, f"agent {agent}")
        self.reader = reader
        self._updates = reader.updates() if isinstance(reader, JournalReader) and agent > 0 else iter(())
        self._pending: UpdateRow | None = None

    def update_at(self, step: int) -> UpdateRow | None:
        """The update that record ``step`` closed; asked for in the order of steps."""
        if isinstance(self.reader, Referee):
            return self.reader.update_at(step)
        while self._pending is None or self._pending.step < step:
            self._pending = next(self._updates, None)
            if self._pending is None:
                return None
        return self._pending if self._pending.step == step else None


def find_journals(folders: Sequence[Path]) -> list[Path]:
    """Folders that hold a journal: the given ones, or their direct subfolders.

    Raises:
        UsageError: if a given folder has none.
    """
    found: list[Path] = []
    for folder in folders:
        names = (JOURNAL_NAME, PRUNED_FILE)  # A reader says of what was cut that it was.
        own = any((folder / name).is_file() for name in names)
        inside = [folder] if own else sorted({path.parent for name in names for path in folder.glob(f"*/{name}")})
        if not inside:
            raise UsageError(
                f"{folder} holds no {JOURNAL_NAME}, nor does a folder in it. It is not a run that can be checked. "
                "Give the folder of a run, or the folders of its parties."
            )
        found += inside
    return found


def check(folders: Sequence[Path], shared_seed: bytes | None = None) -> CheckResult:
    """Compare the journals in ``folders``, which may come from several hosts; with the shared seed, recompute them.

    Raises:
        UsageError: if there are not at least two agents' journals of one and the same run.
        CorruptStateError: if a journal cannot be read, or a row in it is damaged.
        MismatchError: if the seed is not this run's.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(JournalReader(folder))) for folder in find_journals(folders)]
        readers.sort(key=lambda reader: reader.agent)
        _refuse_unless_one_run(readers)
        parties = [_Party(reader.agent, reader) for reader in readers]
        tips = {party.name: audit(reader) for party, reader in zip(parties, readers, strict=True)}
        if shared_seed is not None:
            agents = [reader for reader in readers if reader.agent]
            referee = Referee(max(agents, key=lambda reader: tips[f"agent {reader.agent}"]), shared_seed)
            referee.refuse_wrong_seed(agents)
            parties.append(_Party(_REFEREE, referee))
        return _Comparison(parties).result(tips)


def _refuse_unless_one_run(readers: Sequence[JournalReader]) -> None:
    agents = [reader.agent for reader in readers if reader.agent]
    if len(agents) < 2 or len(set(agents)) != len(agents):
        raise UsageError(
            f"journals of the agents {agents} were found. A check compares at least two different agents of one run. "
            "Give the run's folder, or one folder per agent."
        )
    runs = {str(reader.facts.get("run_id")) for reader in readers}
    if len(runs) > 1:
        raise UsageError(
            f"the journals belong to {len(runs)} different runs: {', '.join(sorted(run[:8] for run in runs))}. "
            "They cannot be compared. Give folders of one run."
        )
    if any(reader.facts.get("settings") != readers[0].facts.get("settings") for reader in readers):
        raise CorruptStateError(
            f"the journals of run {readers[0].facts.get('run_id', '')[:8]} do not hold the same settings. One of them was "
            "changed or is damaged. Restore the parties' folders from copies."
        )


class _Comparison:
    """Walks all journals side by side."""

    def __init__(self, parties: Sequence[_Party]) -> None:
        self._parties = parties
        self._agents = [party for party in parties if party.agent > 0]
        self._learners = [party for party in parties if party.agent != _SERVER]
        self._server = next((party.reader for party in parties if party.agent == _SERVER), None)
        settings = [party.reader.facts.get("settings", {}) for party in self._agents]
        self._shared = all(one.get("learning") != INDEPENDENT.name for one in settings)
        self._steps = self._updates = 0
        self._learner_digest = b""

    def result(self, tips: dict[str, int]) -> CheckResult:
        found = self._computed()
        if isinstance(self._server, JournalReader):
            readers = [party.reader for party in self._agents if isinstance(party.reader, JournalReader)]
            delivered = compare_receipts(self._server, readers)
            if delivered is not None and (found is None or delivered.step < found.step):
                found = delivered
        readers_of = {party.name: party.reader for party in self._parties if isinstance(party.reader, JournalReader)}
        last = {int(reader.facts.get("last_step", -1)) for reader in readers_of.values()}
        complete = found is None and len(last) == 1 and set(tips.values()) == last
        recomputed = any(party.agent == _REFEREE for party in self._parties)
        return CheckResult(
            consistent=found is None,
            first_divergence=found,
            parties=list(readers_of),
            last_records=tips,
            steps_compared=self._steps,
            updates_compared=self._updates,
            learner_digest=self._learner_digest.hex(),
            complete=complete,
            recomputed=recomputed,
            learners_compared=self._shared,
        )

    def _computed(self) -> FirstDivergence | None:
        """The first difference in what was seen and computed."""
        for step, rows in _aligned([party.reader.steps() for party in self._parties]):
            self._steps += 1
            found = self._compare(step, "log", "common log", "chain head", self._parties, [row[0] for row in rows])
            if not self._shared:
                if found is not None:
                    return found
                continue
            own = [row for party, row in zip(self._parties, rows, strict=True) if party.agent != _SERVER]
            updates = [party.update_at(step) for party in self._learners]
            if found is None and any(updates):
                found = self._compare_updates(step, updates)
            for column, (component, tensor) in enumerate(_COLUMNS, start=1):
                if found is None:
                    found = self._compare(step, "act", component, tensor, self._learners, [row[column] for row in own])
            if found is not None:
                return self._named(found) if found.component == "parameters" else found
        return None

    def _compare(
        self, step: int, phase: str, component: str, tensor: str, parties: Sequence[_Party], values: Sequence[bytes]
    ) -> FirstDivergence | None:
        if len(set(values)) <= 1:
            return None
        by_agent = {party.agent: value for party, value in zip(parties, values, strict=True)}
        shown = {party.name: value.hex() for party, value in zip(parties, values, strict=True)}
        right = by_agent.pop(_REFEREE, None)
        # The referee reads its log from an agent's journal, so about the log itself it knows nothing.
        if right is not None and phase != "log":
            wrong, decided_by = tuple(agent for agent, value in by_agent.items() if value != right), REFEREE
        else:
            wrong = find_suspects(by_agent)
            decided_by = "majority" if len(wrong) < len(by_agent) else ""
        wrong = tuple(sorted(wrong))
        return FirstDivergence(
            step=step,
            phase=phase,
            component=component,
            tensor=tensor,
            agents=list(wrong),
            digests=shown,
            decided_by=decided_by,
            hosts=self._hosts(wrong),
        )

    def _hosts(self, wrong: Sequence[int]) -> dict[str, dict[str, str]]:
        """Hosts of the agents that are named and, to compare with, of one that is not."""
        facts = differing_facts({party.name: _host(party) for party in self._agents})
        named = [party.name for party in self._agents if party.agent in wrong]
        others = [party.name for party in self._agents if party.agent not in wrong]
        return {name: facts[name] for name in [*named, *others[:1]]}

    def _compare_updates(self, step: int, rows: Sequence[UpdateRow | None]) -> FirstDivergence | None:
        made = [row for row in rows if row is not None]
        if len(made) < len(rows):
            values = [b"" if row is None else row.learner_digest for row in rows]
            return self._compare(step, "update", "learner", "an update that not everybody made", self._learners, values)
        self._updates += 1
        self._learner_digest = made[0].learner_digest
        for name in made[0].tensors:
            component, _, tensor = name.partition("/")
            values = [row.tensors.get(name, b"") for row in made]
            found = self._compare(step, "update", component, tensor, self._learners, values)
            if found is not None:
                return found
        return self._compare(step, "update", "learner", "all", self._learners, [row.learner_digest for row in made])

    def _named(self, found: FirstDivergence) -> FirstDivergence:
        """The parameter that differs, where every agent wrote down its tensors when the run stopped at this step."""
        notes = [party.reader.facts.get("stopped", {}) for party in self._learners]
        if any(note.get("step") != found.step for note in notes):
            return found
        for name in notes[0]["tensors"]:
            values = [bytes.fromhex(note["tensors"].get(name, "")) for note in notes]
            component, _, tensor = name.partition("/")
            differing = self._compare(found.step, found.phase, component, tensor, self._learners, values)
            if differing is not None:
                return differing
        return found


def _host(party: _Party) -> dict[str, str]:
    return {str(name): str(value) for name, value in party.reader.facts.get("host", {}).items()}


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
