"""Nobody sees what is not theirs: all bytes that each party receives and all files that it has, searched.

What each agent observed and did is in the server's journal. None of it may be in what another agent holds: not as it is, in
no usual encoding, and not as a hash of it, by which few possibilities would be found by trying. Nor may a seed be there,
nor anything by which a seed could be found. Each search has a control that finds.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.cli.shell import DEFAULT_ENVIRONMENT_SEED
from dadc_net.config import RunConfig, resolve
from dadc_net.exact.digest import chain, digest
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.rows import row_check
from dadc_net.node.server.world import World
from dadc_net.runtime.problem import make_problem
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.wire.keys import write_keys
from tests.journals import received
from tests.process.commands import finish, free_port, start
from tests.team_in_memory import Team

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]
TASK = "tests.whispers:make_task"
COPIES = 16
SMALL = {"updates": 2, "learner.num_envs": COPIES, "learner.batch_steps": COPIES * 12}
AGENTS = (1, 2)


@dataclass
class Held:
    """All that one party has at the end: what it received, and its files."""

    bytes: bytes
    folder: Path


def encodings(values: NDArray[np.int64]) -> Iterator[bytes]:
    """How a row of values may stand somewhere: whole, and, where that cannot be a coincidence, the half of it."""
    wide = values.max() > 255
    half = len(values) // 2
    for part in (values, *((values[:half], values[half:]) if wide else ())):
        for kind in ("<i2", ">i2", "<i4", "<i8", "<f8", *(() if wide else ("u1",))):
            yield part.astype(kind).tobytes()
        yield json.dumps(part.tolist())[1:-1].encode()


def hashes(step: int, raw: bytes) -> Iterator[bytes]:
    """What anybody could compute from a row without a key: the first eight bytes, as they are and as text."""
    values = (digest(raw), hashlib.sha256(raw).digest(), hashlib.sha512(raw).digest(), hashlib.md5(raw).digest())
    framed = (digest(raw, raw), chain(bytes(32), raw), row_check(step, raw), digest(str(step).encode(), raw))
    for value in (*values, *framed):
        yield value[:8]
        yield value.hex()[:16].encode()


TYPES = {"observations": "<u2", "actions": "u1"}
"""In which a value travels. Half a row of observations is no coincidence; half a row of 16 actions is: one of 3^8, which
stands somewhere in what the other agent did, whatever it was told. (Read as numbers of two bytes, actions looked wide, and
such halves were 'found': 6.2 of 24 rows in what the team-mate held, 6.1 in what an agent of another run held.)"""


def found(rows: Iterable[tuple[int, bytes]], where: bytes, kind: str) -> dict[str, int]:
    """How many of the rows (step, one value of type ``kind`` per copy) stand in ``where``: as they are, or hashed."""
    counts = {"plain": 0, "hashed": 0, "rows": 0}
    for step, raw in rows:
        values = np.frombuffer(raw, dtype=kind).astype(np.int64)
        counts["rows"] += 1
        counts["plain"] += any(pattern in where for pattern in encodings(values))
        counts["hashed"] += any(pattern in where for pattern in hashes(step, raw))
    return counts


def private_rows(server: Path, agent: int) -> dict[str, list[tuple[int, bytes]]]:
    """What an agent observed and did, from the server's journal."""
    reader = JournalReader(server)
    rows = {
        "observations": list(reader.observations(agent)),
        "actions": [(step, actions) for step, actions, _, _ in reader.answers(agent) if actions],
    }
    reader.close()
    return rows


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Held]:
    """A run of three real processes, each with the files that belong on its host and no others."""
    base = tmp_path_factory.mktemp("hosts")
    made = base / "made"
    write_keys(made, 2)
    (made / "team.seed").write_text("0123456789abcdef" * 4 + "\n")
    own = {"server": ["server.key", "server.pub", "authorised.toml"]}
    own |= {f"agent-{k}": [f"agent-{k}.key", "server.pub", "team.seed"] for k in AGENTS}
    address = f"tcp://127.0.0.1:{free_port()}"
    options = [*(f"--set={key}={value}" for key, value in SMALL.items())]
    processes = {}
    for party, files in own.items():
        home = base / party
        (home / "keys").mkdir(parents=True, mode=0o700)
        for name in files:
            (home / "keys" / name).write_bytes((made / name).read_bytes())
            (home / "keys" / name).chmod(0o600)
        common = ["--keys", "keys", "--state-dir", "state"]
        line = ["dadc-env", "--task", TASK, "--bind", address, *options, *common]
        if party != "server":
            line = ["dadc-agent", "--id", party[-1], "--server", address, "--seed-file", "keys/team.seed", *common]
            line += ["--structure", "tests.whispers:Whispered"]
        processes[party] = start(home, *line, prefix=[sys.executable, "-m", "tests.process.recorder", "received"])
    ended = {party: finish(process) for party, process in processes.items()}
    assert {one.code for one in ended.values()} == {0}, [one.err for one in ended.values()]
    for party, one in ended.items():
        (base / party / "printed").write_text(one.out + one.err)
    return {party: Held(content(base / party), base / party) for party in own}


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("what", ["observations", "actions"])
def test_no_agent_holds_what_another_observed_or_did(agent: int, what: str, parties: dict[str, Held]) -> None:
    rows = private_rows(parties["server"].folder / "state", agent)[what]
    assert len(rows) >= 24
    other = next(k for k in AGENTS if k != agent)
    nothing = {"plain": 0, "hashed": 0, "rows": len(rows)}
    assert found(rows, parties[f"agent-{other}"].bytes, TYPES[what]) == nothing
    assert found(rows, parties[f"agent-{agent}"].bytes, TYPES[what])["plain"] == len(rows), "control: its own are found"


def test_a_hash_of_an_action_would_be_found(parties: dict[str, Held]) -> None:
    """Control, the sentence that named unkeyed digests of all agents' actions."""
    rows = private_rows(parties["server"].folder / "state", 1)["actions"]
    sentence = f"the replicas diverged: digests of the actions are agent 1: {digest(rows[7][1]).hex()[:16]}, agent 2: ..."
    assert found(rows, parties["agent-2"].bytes + sentence.encode(), TYPES["actions"])["hashed"] == 1


def test_each_seed_is_where_it_belongs_alone(parties: dict[str, Held]) -> None:
    seeds = {
        "environment": (parties["server"].folder / "state" / "environment.seed").read_text().strip(),
        "team": (parties["agent-1"].folder / "keys" / "team.seed").read_text().strip(),
    }
    holders = {"environment": {"server"}, "team": {"agent-1", "agent-2"}}
    for name, seed in seeds.items():
        forms = [seed.encode(), bytes.fromhex(seed), seed.encode().hex().encode(), str(int(seed, 16)).encode()]
        forms += [value[:8] for value in (digest(seed.encode()), hashlib.sha256(seed.encode() + b"\n").digest())]
        assert {party for party, held in parties.items() if any(form in held.bytes for form in forms)} == holders[name]


def rebuilt(config: RunConfig, seeds: Iterable[bytes], own: list[bytes], agent: int, records: int) -> list[list[bytes]]:
    """What ``agent`` does to see the others' observations: try environment seeds until one gives its own observation.

    Args:
        own: what it observed, by record.

    Returns:
        Everybody's observations by record; empty if no seed fits.
    """
    for seed in seeds:
        world = World(make_problem(config), seed)
        entries = [world.first()]
        if entries[0].observations[agent - 1] != own[0]:
            continue
        nothing = np.zeros((COPIES, len(AGENTS)), dtype=np.int64)
        entries += [world.advance(nothing) for _ in range(records - 1)]
        return [list(entry.observations) for entry in entries]
    return []


SHORT = 300
"""How many short seeds are tried; the attack that this stands for tried until it found, in half a minute."""


def short_seeds() -> Iterator[bytes]:
    yield seed_bytes(DEFAULT_ENVIRONMENT_SEED)
    yield from (seed_bytes(number) for number in range(SHORT))


@pytest.mark.parametrize("seed", [DEFAULT_ENVIRONMENT_SEED, 287])
def test_a_public_or_short_environment_seed_gives_everything_away(seed: int) -> None:
    """Control of the next test: agent 1 rebuilds all that agent 2 observed."""
    config = resolve(TASK, (), SMALL)
    team = Team(config, environment_seed=seed, structure=config.task.structure).run()
    assert team.finished
    own, others = ([message.observation for message in received(team, k)] for k in AGENTS)
    again = rebuilt(config, short_seeds(), own, 1, len(own))
    assert [row[1] for row in again] == others


def test_the_seed_that_a_server_draws_is_not_found(parties: dict[str, Held]) -> None:
    rows = private_rows(parties["server"].folder / "state", 1)["observations"]
    own = [raw for _, raw in rows]
    config = resolve(TASK, (), SMALL)
    assert rebuilt(config, short_seeds(), own, 1, len(own)) == []
    kept = (parties["server"].folder / "state" / "environment.seed").read_bytes()
    right = rebuilt(config, [seed_bytes(kept)], own, 1, len(own))
    assert [row[0] for row in right] == own, "control: with the seed itself it works"


def test_files_of_each_party_are_closed(parties: dict[str, Held]) -> None:
    for held in parties.values():
        assert (held.folder / "state").stat().st_mode & 0o077 == 0
        for path in (held.folder / "state").glob("journal*"):
            assert path.stat().st_mode & 0o077 == 0, path
