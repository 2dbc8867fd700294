"""What the fuzzer begins from: what this version itself would write, and the corpus of inputs that once reached something.

``corpus/TARGET.txt`` holds an input a line, in base64: text, so that a repository shows what came and went.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dadc_net.config import RunConfig, build
from dadc_net.experiment.sweep import trial
from dadc_net.node.messages import Begin, Step
from dadc_net.node.rows import Answers, ServerRow
from dadc_net.storage import arrays_file
from dadc_net.storage.tail_entry import TailEntry
from dadc_net.storage.tail_file import TailFile, key_of
from dadc_net.wire.framing import encode
from dadc_net.wire.keys import AUTHORISED, write_keys
from tests.journals import write_journals
from tests.process.rogue import messages
from tests.team_in_memory import Team

CORPUS = Path(__file__).with_name("corpus")
SEPARATOR = b"\xff|FRAME|\xff"
TAIL_KEY = key_of("ab")
_LEARNERS = {"learner": {"num_envs": 2, "batch_steps": 8, "hidden_size": 4}, "ais": {"size": 4}}
SMALL = {"task": "mabc", "updates": 2, **_LEARNERS}
_DPOMDP = """\
    agents: 2
    discount: 0.9
    values: reward
    states: up down
    start:
    0.25 0.75
    actions:
    go wait
    3
    observations:
    2
    yes no
    T: * :
    uniform
    T: go 1 : up : down : 1
    O: * :
    uniform
    R: go 0 : up : * : * : -2
    """
_SWEEP = """\
    title = "x"
    seeds = [0, 3]
    [common]
    evaluation = { trajectories = 20 }
    [[curve]]
    name = "A b"
    env_steps = 900
    task = "mabc"
    ais = { size = 4 }
    [[curve]]
    name = "C"
    panel = "p"
    label = "l"
    seeds = 2
    updates = 3
    """
_CONFIGURATIONS = (
    'task = "mabc"\nupdates = 3\nalgorithm = "ppo"\n[ppo]\nepochs = 2\n',
    'task = "mabc"\nlearning = "off"\n[env]\ntransmission_cost = 0.5\n[learner]\nnum_envs = 2\nbatch_steps = 8\n',
    'task = "mabc"\nstructure = "control-sharing"\n[evaluation]\ntrajectories = 3\n[runtime]\nlockstep_timeout_s = 3.5\n',
)


def framed(frames: list[bytes]) -> bytes:
    """Frames as one input."""
    return SEPARATOR.join(frames)


def small_team() -> Team:
    """A team that stands in the middle of its run, with agents 1 and 2 seated."""
    team = Team(build(SMALL))
    for agent, node in team.agents.items():
        for delivery in team.server.receive(f"peer-{agent}".encode(), agent, node.join(), 0.0):
            team.sent.append((delivery.peer, delivery.message))
    return team


def seeds(name: str) -> list[bytes]:
    """Inputs of a target to begin from: those of the corpus, and what this version itself would write."""
    return [*kept(name), *_written(name)] or [b""]


def kept(name: str) -> list[bytes]:
    """The inputs in the corpus."""
    path = CORPUS / f"{name}.txt"
    return [base64.b64decode(line) for line in path.read_text("ascii").split()] if path.is_file() else []


def keep(name: str, inputs: Iterable[bytes]) -> None:
    """Make these the corpus, the shortest first."""
    CORPUS.mkdir(exist_ok=True)
    lines = [base64.b64encode(one).decode("ascii") + "\n" for one in sorted(set(inputs), key=lambda one: (len(one), one))]
    (CORPUS / f"{name}.txt").write_text("".join(lines), "ascii")


def _written(name: str) -> list[bytes]:
    if name in ("message", "server", "member", "agent", "begin"):
        sent = [message for _, message in small_team().sent]
        if name == "begin":
            return [encode(message)[1] for message in sent if isinstance(message, Begin)]
        return [framed(encode(message)) for message in (*messages(2).values(), *sent)]
    if name in ("journal", "tail"):
        return _journals() if name == "journal" else [_tail()]
    if name == "arrays":
        return [arrays_file.pack({"a": np.arange(6.0).reshape(2, 3), "b": np.zeros(0, np.uint8)}, {"agent": 1})]
    if name in ("secret-key", "key-list"):
        return [_keys(name)]
    return [text.encode() for text in _texts(name)]


def _texts(name: str) -> list[str]:
    curve = {"curve": "c", "panel": "p", "label": "l", "task": "mabc", "algorithm": "ppo", "seed": 1, "configuration": {}}
    status = {"agent": 1, "run_id": "ab", "phase": "running", "step": 3, "server_silent_s": None, "written": 1.5}
    lines = {
        "report": {"learner_digest": "00", "value": 1.0, "optimum": None, "gap": 0.5},
        "status": status,
        "sweep-result": {"format": trial.FORMAT, **curve, "updates": 3, "env_steps": 9, "digest": "d"},
        "collection": {"format": "dadc-net sweep collection 1", "title": "t", "curves": [{**curve, "seeds": [{"seed": 1}]}]},
        "history": {"time": 1.5, "event": "Left", "agent": 1, "step": 3},
        "metrics": {"kind": "reward", "update": 1, "env_steps": 40, "reward_per_step": 0.5, "seconds": 1.0},
    }
    if name in lines:
        return [json.dumps(lines[name]) + "\n"]
    if name == "configuration":
        return [*_CONFIGURATIONS, build(SMALL).to_toml()]
    return [textwrap.dedent({"dpomdp": _DPOMDP, "sweep": _SWEEP, "seed": "0123456789abcdef" * 4}[name])]


def _keys(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_keys(Path(folder), 2)
        return (Path(folder) / ("agent-1.key" if name == "secret-key" else AUTHORISED)).read_bytes()


def tail_bodies() -> list[bytes]:
    """Two entries: record 0 of a team of two, and then its answers and record 1."""
    record = next(message.record for _, message in small_team().sent if isinstance(message, Step))
    row = ServerRow(record, (b"\0\0", b"\1\0"))
    answers = Answers(0, (b"\0", b"\1"), (bytes(32), bytes(32)), (b"", b""))
    later = row._replace(record=record._replace(step=1))
    return [TailEntry(None, row, b"state").pack(), TailEntry(answers, later, b"").pack()]


def _tail() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = TailFile(Path(folder) / "tail", synced=False)
        file.key = TAIL_KEY
        file.open()
        for body in tail_bodies():
            file.append(body)
        file.close(remove=False)
        return file.path.read_bytes()


def _journals() -> list[bytes]:
    """A server's and an agent's, as small as SQLite makes them."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for one in write_journals(Team(_tiny()).run(), Path(folder))[:2]:
            path = one / "journal.sqlite"
            database = sqlite3.connect(path)
            database.executescript("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM")
            database.close()
            found.append(path.read_bytes())
    return found


def _tiny() -> RunConfig:
    return build({**SMALL, "updates": 1, "learner": {"num_envs": 1, "batch_steps": 2, "hidden_size": 2}, "ais": {"size": 2}})
