"""An agent's state after a record, from what its folder keeps: a wrong checkpoint shows, a right one does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dadc_net.audit.replay import compare_states
from dadc_net.errors import UsageError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.replica import Replica
from dadc_net.storage import arrays_file
from dadc_net.storage.agent_journal import checkpoint_path
from dadc_net.storage.run_folder import STOPPED_FILE
from tests.journals import received, write_journals
from tests.team_in_memory import MakeConfig, Team

SEED = seed_bytes(7)


def replica_after(team: Team, step: int) -> Replica:
    replica = Replica(team.config.settings, SEED)
    for message in received(team, 1)[: step + 1]:
        replica.receive(message.record)
    return replica


def keep(folder: Path, replica: Replica, step: int, run_id: str = "ab") -> None:
    meta = {"run_id": run_id, "head": replica.head.hex(), "step": step}
    arrays_file.save(checkpoint_path(folder, step), replica.coordinator.snapshot(), meta)


def test_equal_agents_have_equal_states_whatever_they_kept(small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=3)).run()
    _, first, _ = write_journals(team, tmp_path)
    keep(first, replica_after(team, 5), 5)
    for step in (4, 5, 9, 15):
        found = compare_states([tmp_path], SEED, (1, 2), step)
        assert (found.step, found.differences, found.left.right, found.right.right) == (step, [], True, True)
        assert ("checkpoint after record 5" in found.left.origin) is (step >= 5)
        assert "replayed from record 0" in found.right.origin
    assert compare_states([tmp_path], SEED, (2, 1), None).step == 15
    assert "no value differs" in found.text()


def test_a_wrong_bit_in_a_checkpoint_lives_on_in_the_replay(small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=3)).run()
    _, _, second = write_journals(team, tmp_path)
    replica = replica_after(team, 5)
    replica.coordinator.groups[0].values[3] += 0.25
    keep(second, replica, 5)
    found = compare_states([tmp_path], SEED, (1, 2), 8)
    assert (found.left.right, found.right.right) == (True, False)
    assert found.differences[0].differing == 1
    assert "agent 2: its checkpoint after record 5, replayed from there; differs from the fresh learner" in found.text()
    assert compare_states([tmp_path], SEED, (1, 2), 4).differences == []
    keep(second, replica, 5, run_id="another")
    assert compare_states([tmp_path], SEED, (1, 2), 8).differences == []


def test_the_state_in_which_an_agent_was_stopped_is_the_one_that_is_shown(small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=3)).run()
    _, _, second = write_journals(team, tmp_path)
    replica = replica_after(team, 7)
    replica.coordinator.groups[1].values[0] += 0.5
    arrays_file.save(second / STOPPED_FILE, replica.coordinator.snapshot(), {"step": 7})
    found = compare_states([tmp_path], SEED, (1, 2), None)
    assert (found.step, found.right.right) == (7, False)
    assert "when it was stopped" in found.right.origin
    assert compare_states([tmp_path], SEED, (1, 2), 8).differences == []
    with pytest.raises(UsageError, match="journals of two agents"):
        compare_states([tmp_path], SEED, (1, 1), None)
    with pytest.raises(UsageError, match="journals of two agents"):
        compare_states([tmp_path], SEED, (1, 3), None)
