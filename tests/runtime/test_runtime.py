"""Files and processes: arrays, the check, and the periodic look at this process's arithmetic."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dadc_net.audit.consistency import check
from dadc_net.errors import CorruptStateError, SelftestError, UsageError
from dadc_net.exact import compiled
from dadc_net.runtime import host
from dadc_net.runtime.host import require_subnormals
from dadc_net.runtime.sabotage import Sabotage
from dadc_net.storage import arrays_file
from dadc_net.storage.agent_journal import AgentJournalFile
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journal_reader import JournalReader
from tests.team_in_memory import MakeConfig, Team


def test_arrays_come_back_and_damage_is_noticed(tmp_path: Path) -> None:
    arrays = {"a": np.linspace(0, 1, 7).reshape(7, 1), "b": np.array([1, -2]), "c": np.array([True, False])}
    arrays["d"] = np.zeros(0)
    path = tmp_path / "x.arrays"
    arrays_file.save(path, arrays, {"n": 1})
    found, meta = arrays_file.load(path)
    assert meta == {"n": 1}
    assert all(np.array_equal(found[name], value) and found[name].dtype == value.dtype for name, value in arrays.items())
    assert [p.name for p in tmp_path.iterdir()] == ["x.arrays"]
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:20], b"", whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], b"x" + whole):
        path.write_bytes(damaged)
        with pytest.raises(CorruptStateError, match=r"x\.arrays"):
            arrays_file.load(path)
    with pytest.raises(CorruptStateError, match="does not exist"):
        arrays_file.load(tmp_path / "none")
    with pytest.raises(UsageError, match="the array words has the type"):
        arrays_file.save(path, {"words": np.array(["a"])}, {})


def _write_journals(team: Team, folder: Path, run_id: str = "ab") -> list[Path]:
    folders = []
    for agent, node in team.agents.items():
        path = folder / f"agent-{agent}"
        path.mkdir(parents=True)
        store = AgentJournalFile(path, "process")
        store.create({"agent": agent, "run_id": run_id, "last_step": team.server.last_step})
        store.write([node.log.row(account.record.step) for account in team.accounts[agent]])
        store.close()
        folders.append(path)
    return folders


def test_journals_of_an_undisturbed_team_agree(small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=3)).run()
    folders = _write_journals(team, tmp_path)
    result = check(folders)
    assert result.consistent
    assert result.complete
    assert (result.steps_compared, result.updates_compared) == (16, 3)
    assert result.learner_digest in team.digests()
    assert [p.name for p in folders[0].iterdir()] == [JOURNAL_NAME]


def test_the_check_names_step_component_and_tensor(small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=6), tamper={2: Sabotage("sqrt-ulp", 7)}).run()
    found = check(_write_journals(team, tmp_path)).first_divergence
    assert found is not None
    assert (found.step, found.phase, found.component, found.agents) == (10, "update", "actor-critic", [1, 2])
    assert found.tensor.endswith((".weight", ".bias"))


def test_what_cannot_be_checked_is_refused(small: MakeConfig, tmp_path: Path) -> None:
    team = Team(small(updates=2)).run()
    first, second = _write_journals(team, tmp_path / "one")
    other = _write_journals(team, tmp_path / "two", run_id="cd")
    for folders, words in (
        ([first], "at least two"),
        ([first, first], "at least two"),
        ([first, other[1]], "different runs"),
        ([tmp_path / "none"], "holds no"),
    ):
        with pytest.raises(UsageError, match=words):
            check(folders)
    (second / JOURNAL_NAME).write_bytes(b"no database at all")
    with pytest.raises(CorruptStateError, match="cannot be read"):
        JournalReader(second)


def test_a_process_that_begins_to_flush_subnormals_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    require_subnormals(3)
    monkeypatch.setattr("dadc_net.exact.selftest.flushes_subnormals", lambda: True)
    with pytest.raises(SelftestError, match="after update 3"):
        require_subnormals(3)


def test_later_runs_of_a_process_look_only_at_what_may_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(host, "_passed", set())
    monkeypatch.setattr(host, "checked_selftest", lambda: ran.append(os.environ["DADC_FAST"]))
    monkeypatch.setattr(compiled, "kernels", None)
    for switch in ("1", "1", "0", "0", "1"):
        monkeypatch.setenv("DADC_FAST", switch)
        host.pass_selftest()
    assert ran == ["1", "0"]
    assert compiled.kernels is not None, "back as the test of the first run left them"
    monkeypatch.setenv("DADC_FAST", "0")
    host.pass_selftest()
    assert compiled.kernels is None
    monkeypatch.setattr("dadc_net.exact.selftest.flushes_subnormals", lambda: True)
    host.pass_selftest()
    assert ran == ["1", "0", "0"]
