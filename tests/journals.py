"""Journals of a team in memory, as its processes would have written them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dadc_net.errors import DivergenceError
from dadc_net.node.messages import Step
from dadc_net.node.rows import AgentRow, Answers, ServerRow
from dadc_net.storage.agent_journal import AgentJournalFile
from dadc_net.storage.server_journal import ServerJournalFile
from tests.team_in_memory import Team


def received(team: Team, agent: int) -> list[Step]:
    """The records that an agent was sent."""
    peer = f"peer-{agent}".encode()
    return [message for to, message in team.sent if isinstance(message, Step) and to == peer]


def agent_rows(team: Team, agent: int) -> list[AgentRow]:
    """An agent's journal."""
    rows = []
    for step, account, answer in zip(received(team, agent), team.accounts[agent], team.answers[agent], strict=True):
        rows.append(AgentRow(step.record, step.observation, answer.actions, account.digests, account.update))
    return rows


def write_journals(
    team: Team, folder: Path, run_id: str = "ab", hosts: Mapping[int, Mapping[str, str]] | None = None
) -> list[Path]:
    """Folders server, agent-1, ... with the journals of a team that has run."""
    agents = sorted(team.accounts)
    settings = team.config.settings.to_plain()
    last = team.server.last_step
    facts: dict[str, Any] = {"run_id": run_id, "num_agents": len(agents), "settings": settings, "last_step": last}
    folders = [folder / name for name in ("server", *(f"agent-{agent}" for agent in agents))]
    for path in folders:
        path.mkdir(parents=True)
    server = ServerJournalFile(folders[0], len(agents), "process")
    server.open_or_create({"agent": 0, **facts})
    rows = {agent: agent_rows(team, agent) for agent in agents}
    for index, row in enumerate(rows[agents[0]]):
        before = [team.answers[agent][index - 1] for agent in agents] if index else []
        observations = tuple(rows[agent][index].observation for agent in agents)
        server.commit(_round(index - 1, before), ServerRow(row.record, observations), None)
    server.commit(_round(len(rows[1]) - 1, [team.answers[agent][-1] for agent in agents]), None, None)
    server.close()
    for agent, path in zip(agents, folders[1:], strict=True):
        store = AgentJournalFile(path, "process")
        store.create({"agent": agent, **facts, "host": dict((hosts or {}).get(agent, {"hostname": f"host-{agent}"}))})
        store.write(rows[agent])
        if isinstance(team.errors.get(agent), DivergenceError):
            store.note("stopped", _stopped(team, agent))
        store.close()
    return folders


def _stopped(team: Team, agent: int) -> dict[str, Any]:
    """What an agent writes down when it is told of a divergence."""
    node = team.agents[agent]
    assert node.member is not None
    tensors = {name: value.hex() for name, value in node.member.replica.coordinator.tensor_digests().items()}
    return {"step": node.next_step - 1, "tensors": tensors}


def _round(step: int, answers: list[Any]) -> Answers | None:
    if not answers:
        return None
    columns = zip(*((one.actions, one.step_digest, one.learner_digest) for one in answers), strict=True)
    return Answers(step, *(tuple(column) for column in columns))
