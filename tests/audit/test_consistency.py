"""The check on journals of all parties: what agrees is said to agree, and each difference is named where it begins."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from dadc_net.audit.consistency import CheckResult, check
from dadc_net.audit.first_divergence import FirstDivergence
from dadc_net.errors import CorruptStateError, MismatchError, UsageError
from dadc_net.exact.digest import GENESIS, chain
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.rows import row_check
from dadc_net.node.server.roster import Credentials
from dadc_net.runtime.sabotage import Sabotage
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journal_reader import JournalReader
from tests.journals import write_journals
from tests.team_in_memory import MakeConfig, Team

SEED = seed_bytes(7)
HOSTS = {
    1: {"hostname": "left", "pid": "3", "cpu": "A", "torch": "2"},
    2: {"hostname": "right", "pid": "4", "cpu": "B", "torch": "2"},
}


def divergence(result: CheckResult) -> FirstDivergence:
    assert result.first_divergence is not None
    assert not result.consistent
    assert not result.complete
    return result.first_divergence


def change(folder: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(folder / JOURNAL_NAME)
    database.execute(statement, values)
    database.commit()
    database.close()


def column(folder: Path, table: str, step: int, names: str) -> list[bytes]:
    database = sqlite3.connect(folder / JOURNAL_NAME)
    try:
        return list(database.execute(f"SELECT {names} FROM {table} WHERE step = ?", (step,)).fetchone())
    finally:
        database.close()


@pytest.mark.parametrize("seed", [None, SEED])
def test_journals_of_an_undisturbed_team_agree(seed: bytes | None, small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=3)).run()
    folders = write_journals(team, tmp_path / "run")
    result = check([tmp_path / "run"], seed)
    assert (result.consistent, result.complete, result.recomputed) == (True, True, seed is not None)
    assert (result.steps_compared, result.updates_compared) == (16, 3)
    assert result.parties == ["server", "agent 1", "agent 2"]
    assert result.last_records == {"server": 15, "agent 1": 15, "agent 2": 15}
    assert result.learner_digest in team.digests()
    for index, folder in enumerate(folders):  # As if each had been copied from a host of its own.
        shutil.copytree(folder, tmp_path / f"copy-{index}" / "state")
    assert check([tmp_path / f"copy-{index}" / "state" for index in (2, 0, 1)], seed) == result
    assert check(folders[1:], seed).consistent


@pytest.mark.parametrize("wrong", [1, 2])
def test_a_flipped_bit_is_named_and_the_referee_decides_between_two(wrong: int, small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=6), tamper={wrong: Sabotage("flip-bit", 7)}).run()
    folders = write_journals(team, tmp_path, hosts=HOSTS)
    found = divergence(check(folders))
    assert (found.step, found.phase, found.component, found.agents) == (7, "act", "ais", [1, 2])
    assert (found.tensor, found.decided_by) == ("encoder.recurrent.weight", "")
    assert found.hosts == {"agent 1": {"hostname": "left", "cpu": "A"}, "agent 2": {"hostname": "right", "cpu": "B"}}
    decided = divergence(check(folders, SEED))
    assert (decided.step, decided.tensor, decided.agents, decided.decided_by) == (7, found.tensor, [wrong], "referee")
    assert decided.digests["referee"] == decided.digests[f"agent {3 - wrong}"] != decided.digests[f"agent {wrong}"]
    assert f"agent {wrong} is wrong, says the referee" in decided.text()
    assert "right" in decided.text()


def test_a_wrong_square_root_is_found_in_the_update(small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=6), tamper={2: Sabotage("sqrt-ulp", 7)}).run()
    folders = write_journals(team, tmp_path)
    for seed, agents in ((None, [1, 2]), (SEED, [2])):
        found = divergence(check(folders, seed))
        assert (found.step, found.phase, found.component, found.agents) == (10, "update", "actor-critic", agents)
        assert found.tensor.endswith((".weight", ".bias"))


def test_agents_that_agree_on_wrong_bits_are_found_by_the_referee_alone(small: MakeConfig, tmp_path: Path) -> None:
    tamper = {agent: Sabotage("flip-bit", 7) for agent in (1, 2)}
    folders = write_journals(Team(small(updates=3), tamper=tamper).run(), tmp_path)
    assert check(folders).consistent
    found = divergence(check(folders, SEED))
    assert (found.step, found.agents, found.decided_by) == (7, [1, 2], "referee")


def test_the_wrong_seed_is_not_taken_for_a_divergence(small: MakeConfig, tmp_path: Path) -> None:
    folders = write_journals(Team(small(updates=1)).run(), tmp_path)
    with pytest.raises(MismatchError, match="seed is not this run's"):
        check(folders, seed_bytes(8))


def test_another_record_in_one_log_is_a_difference_of_the_log(small: MakeConfig, tmp_path: Path) -> None:
    """A forged journal whose chain and checks fit: only the others can tell."""
    folders = write_journals(Team(small(updates=2)).run(), tmp_path)
    head = column(folders[2], "records", 5, "head")[0]
    for step in range(6, 11):
        common = column(folders[2], "records", step, "common")[0]
        forged = bytes([common[0] ^ 1]) + common[1:] if step == 6 else common
        head = chain(head, forged)
        change(folders[2], "UPDATE records SET head = ?, common = ? WHERE step = ?", head, forged, step)
    found = divergence(check(folders))
    assert (found.step, found.phase, found.agents, found.decided_by) == (6, "log", [2], "majority")
    assert divergence(check(folders[1:])).agents == [1, 2]


@pytest.mark.parametrize(
    ("table", "name", "component"),
    [
        ("private", "observation", "observation on the way to the agent"),
        ("private", "actions", "actions on the way to the server"),
    ],
)
def test_what_did_not_arrive_as_it_was_sent(
    table: str, name: str, component: str, small: MakeConfig, tmp_path: Path
) -> None:
    folders = write_journals(Team(small(updates=2)).run(), tmp_path)
    values = dict(zip(("observation", "actions"), column(folders[2], table, 4, "observation, actions"), strict=True))
    values[name] = bytes([values[name][0] ^ 1]) + values[name][1:]
    check_value = row_check(4, values["observation"], values["actions"])
    change(folders[2], f"UPDATE {table} SET {name} = ?, checked = ? WHERE step = 4", values[name], check_value)
    found = divergence(check(folders))
    assert (found.step, found.phase, found.component, found.agents) == (4, "delivery", component, [2])
    assert check(folders[1:]).consistent


ROTTEN = [
    (0, "records", "common"),
    (1, "records", "head"),
    (0, "observations_2", "observation"),
    (0, "answers_1", "step_digest"),
    (1, "private", "observation"),
    (2, "steps", "ais"),
]


@pytest.mark.parametrize(("party", "table", "name"), ROTTEN)
def test_a_rotten_row_is_named(party: int, table: str, name: str, small: MakeConfig, tmp_path: Path) -> None:
    folders = write_journals(Team(small(updates=2)).run(), tmp_path)
    value = column(folders[party], table, 5, name)[0]
    change(folders[party], f"UPDATE {table} SET {name} = ? WHERE step = 5", value[:-1] + bytes([value[-1] ^ 1]))
    with pytest.raises(CorruptStateError, match=rf"{folders[party].name}.*record 5 in table {table}"):
        check(folders)


def test_a_fact_whose_name_has_rotted_is_missed_in_a_sentence(small: MakeConfig, tmp_path: Path) -> None:
    folders = write_journals(Team(small(updates=1)).run(), tmp_path)
    change(folders[0], "UPDATE facts SET name = ? WHERE name = 'num_agents'", "num_agentr")
    with pytest.raises(CorruptStateError, match="does not state 'num_agents' of its run"):
        check(folders)


def test_a_name_inside_a_fact_that_has_rotted_is_missed_in_a_sentence(small: MakeConfig, tmp_path: Path) -> None:
    folders = write_journals(Team(small(updates=1)).run(), tmp_path)
    team = json.dumps({"commitmemt": "00", "selftest": "00", "answers": {}})
    change(folders[0], "INSERT OR REPLACE INTO facts VALUES ('team', ?)", team)
    reader = JournalReader(folders[0])
    with pytest.raises(CorruptStateError, match="does not state 'commitment' of its run"):
        Credentials.from_plain(reader.facts["team"])
    reader.close()


@pytest.mark.parametrize(("party", "table"), [(0, "records"), (2, "steps"), (1, "private"), (0, "observations_1")])
def test_a_hole_and_a_finished_journal_without_its_end_are_named(
    party: int, table: str, small: MakeConfig, tmp_path: Path
) -> None:
    folders = write_journals(Team(small(updates=2)).run(), tmp_path)
    change(folders[party], f"DELETE FROM {table} WHERE step = 4")
    with pytest.raises(CorruptStateError, match=f"table {table} has no row of record 4"):
        check(folders)


def test_a_shorter_journal_is_sound_unless_it_says_that_it_is_finished(small: MakeConfig, tmp_path: Path) -> None:
    folders = write_journals(Team(small(updates=2)).run(), tmp_path)
    for table in ("records", "private", "steps", "updates"):
        change(folders[2], f"DELETE FROM {table} WHERE step > 7")
    result = check(folders, SEED)
    assert (result.consistent, result.complete, result.steps_compared) == (True, False, 8)
    assert result.last_records == {"server": 10, "agent 1": 10, "agent 2": 7}
    change(folders[2], "INSERT INTO facts VALUES ('state', '\"finished\"')")
    with pytest.raises(CorruptStateError, match="its last record is 7 and the run's is 10"):
        check(folders)


def test_a_copy_without_its_wal_and_a_rotten_wal_are_refused(small: MakeConfig, tmp_path: Path) -> None:
    folders = write_journals(Team(small(updates=2)).run(), tmp_path / "run")
    database = sqlite3.connect(folders[1] / JOURNAL_NAME, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        for number in range(6):
            database.execute("INSERT OR REPLACE INTO facts VALUES ('n', ?)", (str(number) * 3000,))
        shutil.copytree(folders[1], tmp_path / "whole")
        shutil.copytree(folders[1], tmp_path / "rotten")
        shutil.copytree(folders[1], tmp_path / "without")
    finally:
        database.close()
    assert check([tmp_path / "whole", folders[2]]).consistent
    (tmp_path / "without" / f"{JOURNAL_NAME}-wal").unlink()
    with pytest.raises(CorruptStateError, match=r"without the file journal\.sqlite-wal"):
        check([tmp_path / "without", folders[2]])
    log = tmp_path / "rotten" / f"{JOURNAL_NAME}-wal"
    raw = bytearray(log.read_bytes())
    raw[32 + 24 + 100] ^= 1
    log.write_bytes(raw)
    with pytest.raises(CorruptStateError, match="damaged in frame 0"):
        check([tmp_path / "rotten", folders[2]])


def test_what_cannot_be_compared_is_refused(small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=2)).run()
    _, first, second = write_journals(team, tmp_path / "one")
    other = write_journals(team, tmp_path / "two", run_id="cd")
    for folders, words in (
        ([first], "at least two"),
        ([first, first], "at least two"),
        ([first, other[2]], "different runs"),
        ([tmp_path / "none"], "holds no"),
    ):
        with pytest.raises(UsageError, match=words):
            check(folders)
    (second / JOURNAL_NAME).write_bytes(b"no database at all")
    with pytest.raises(CorruptStateError, match="cannot be read"):
        check([first, second])


def test_the_chain_of_the_test_is_the_real_one(small: MakeConfig, tmp_path: Path) -> None:
    folders = write_journals(Team(small(updates=1)).run(), tmp_path)
    head, common = column(folders[0], "records", 0, "head, common")
    assert head == chain(GENESIS, common)
