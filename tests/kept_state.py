"""The state folders of a team that has finished, made in memory and written as its hosts would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dadc_net.config import resolve
from dadc_net.runtime.events import Joined, Left, ServerFinished, Updated
from dadc_net.runtime.history import HistoryFile
from dadc_net.runtime.metrics import MetricsFile
from dadc_net.storage import arrays_file
from dadc_net.storage.agent_journal import AgentJournalFile, checkpoint_path
from dadc_net.storage.server_journal import ServerJournalFile
from tests.journals import write_journals
from tests.team_in_memory import Team

SMALL = {
    **{"updates": 2, "learner.num_envs": 2, "learner.batch_steps": 20},
    **{"evaluation.trajectories": 4, "evaluation.monte_carlo_trajectories": 4},
}


def finish(folder: Path, agents: int, digest: str) -> None:
    """Note the end of the run in every journal."""
    for agent in range(1, agents + 1):
        store = AgentJournalFile(folder / f"agent-{agent}", "process")
        store.note("state", "finished")
        store.note("learner_digest", digest)
        store.close()
    server = ServerJournalFile(folder / "server", agents, "process")
    server.open_or_create({})
    server.note("learner_digests", [digest] * agents)
    server.note("state", "finished")
    server.close()


def make_state(folder: Path, **changed: Any) -> Path:
    """The state folders of a server and two agents that have finished, as separate hosts leave them behind."""
    config = resolve("mabc", (), {**SMALL, **changed})
    team = Team(config).run()
    write_journals(team, folder)
    for agent, node in team.agents.items():
        assert node.member is not None
        for step in (10, 20):
            state = node.member.replica.coordinator.snapshot()
            arrays_file.save(checkpoint_path(folder / f"agent-{agent}", step), state, {"update": step // 10})
    (folder / "server/config.toml").write_text(config.to_toml(), encoding="utf-8")
    metrics = MetricsFile(folder / "server")
    for update in (1, 2):
        facts: dict[str, Any] = {"update": update, "updates": 2, "env_steps": 20 * update, "reward_per_step": 0.25 * update}
        metrics.on(Updated(**facts, lock_steps=10, lock_steps_here=10, seconds=1.0))
    metrics.close()
    finish(folder, 2, "ab" * 32)
    history = HistoryFile(folder / "server")
    for event in (
        Joined(agent=1, hostname="host-1", missing=[2]),
        Joined(agent=2, hostname="<script>alert(1)</script>", missing=[]),
        Left(agent=2, step=7),
        Updated(**facts, lock_steps=10, lock_steps_here=10, seconds=1.0),
        ServerFinished(learner_digests={}, steps=20, seconds=2.0),
    ):
        history.on(event)
    history.close()
    for path in folder.iterdir():
        path.chmod(0o700)
    return folder
