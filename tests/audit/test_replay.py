"""The state at any step, computed again from the log: it is the state that the agents had there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dadc_net.audit.fresh_learner import FreshLearner
from dadc_net.audit.replay import replay
from dadc_net.errors import CorruptStateError, MismatchError, UsageError
from dadc_net.exact.digest import digest
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.rows import CommonRow
from dadc_net.runtime.sabotage import Sabotage
from tests.journals import received, write_journals
from tests.team_in_memory import MakeConfig, Team

SEED = seed_bytes(7)


@pytest.mark.parametrize("step", [0, 1, 4, 5, 9, 15, None])
def test_the_state_at_a_step_is_what_agents_had_there(step: int | None, small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=3)).run()
    write_journals(team, tmp_path)
    found = replay([tmp_path], SEED, step)
    account = team.accounts[2][15 if step is None else step]
    state = found.state
    assert (state.step, state.update) == (account.step, account.step // 5)
    assert (state.parameters, state.ais_digest) == (account.parameters.hex(), account.ais.hex())
    assert (state.prescription_digest, state.sent) == (account.prescription.hex(), account.step_digest.hex())
    chosen = account.prescriptions
    assert state.prescriptions == (None if chosen is None else chosen.tolist())
    assert (len(state.ais), len(state.ais[0])) == (4, team.config.settings.ais.size)
    updates = [one.update.digest.hex() for one in team.accounts[1][: account.step + 1] if one.update is not None]
    assert state.learner_digest == (updates[-1] if updates else "")
    assert (found.agents, found.agreed, found.last_record) == ({1: [], 2: []}, True, 15)
    assert replay([tmp_path / "agent-2"], SEED, step).state == state
    if account.step == 15:
        node = team.agents[1].member
        assert node is not None
        assert state.state_digest == node.replica.coordinator.digest().hex()
        assert state.ais == node.replica.coordinator.snapshot()["carried/ais"].tolist()


def test_it_says_whose_account_differs_and_in_what(small: MakeConfig, tmp_path: Path) -> None:
    write_journals(Team(small(updates=6), tamper={2: Sabotage("flip-bit", 7)}).run(), tmp_path)
    before, at = replay([tmp_path], SEED, 6), replay([tmp_path], SEED, 7)
    assert before.agents == {1: [], 2: []}
    assert at.agents[1] == []
    assert at.agents[2] == ["parameters", "step digest"]  # The grid swallows the bit before it reaches x_t.
    assert not at.agreed


def test_what_cannot_be_replayed_is_refused(small: MakeConfig, tmp_path: Path) -> None:
    write_journals(Team(small(updates=1)).run(), tmp_path)
    with pytest.raises(UsageError, match="--until is 6, but the log of agent 1 holds the records 0 to 5"):
        replay([tmp_path], SEED, 6)
    with pytest.raises(UsageError, match="not 3"):
        replay([tmp_path], SEED, 1, agent=3)
    with pytest.raises(UsageError, match=r"agents \[\] were found"):
        replay([tmp_path / "server"], SEED, 1)
    with pytest.raises(MismatchError, match="seed is not this run's"):
        replay([tmp_path], seed_bytes(9), 1)


def test_a_fresh_learner_refuses_a_hole_and_an_empty_log(small: MakeConfig) -> None:
    team = Team(small(updates=1)).run()
    rows = [CommonRow(step.sequence, step.head, step.common) for step in received(team, 1)]
    learner = FreshLearner(team.config.settings, SEED)
    with pytest.raises(CorruptStateError, match="log is empty"):
        learner.state()
    with pytest.raises(CorruptStateError, match="record 2 stands where record 1 belongs"):
        list(learner.follow([rows[0], rows[2]]))
    assert digest(b"") != learner.state().sent
