"""Kept runs: found in any folders, listed, shown, valued, drawn, and cut to what is needed later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dadc_net.cli.figures_text import shortened, size_text
from dadc_net.cli.main import dadc
from dadc_net.cli.runs import table
from dadc_net.errors import CorruptStateError, DadcError, DivergenceError, UsageError
from dadc_net.experiment.kept_runs import CUT, FINISHED, STOPPED, runs_in, summarise
from dadc_net.experiment.pruning import prune
from dadc_net.experiment.sweep.collection import REWARD, read_results
from dadc_net.runtime.key_folders import write_folders
from dadc_net.storage.agent_journal import AgentJournalFile, checkpoint_path, checkpoint_steps
from dadc_net.storage.folder import open_state_folder
from dadc_net.storage.kept_run import find_run
from tests.kept_state import make_state


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("hosts") / "dadc-state")


@pytest.fixture
def state(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "dadc-state")
    return tmp_path / "dadc-state"


def command(*arguments: str | Path) -> str:
    """What a command prints; an error of the user is raised."""
    done = CliRunner().invoke(dadc, [str(argument) for argument in arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_parties_are_found_together_and_apart_under_any_name(state: Path, tmp_path: Path) -> None:
    whole = find_run([state])
    assert list(whole.parties) == ["server", "agent 1", "agent 2"]
    assert whole.config == state / "server/config.toml"
    (state / "agent-2").rename(tmp_path / "copied")
    apart = find_run([state / "server", tmp_path / "copied"])
    assert apart.agents == {2: tmp_path / "copied"}
    assert find_run([state / "server", tmp_path]).agents == {2: tmp_path / "copied"}
    assert apart.size == sum(path.stat().st_size for folder in apart.folders for path in folder.rglob("*"))
    with pytest.raises(UsageError, match="no folder of agent 1"):
        apart.require_agent(1)
    shutil.copytree(tmp_path / "copied", tmp_path / "again")
    with pytest.raises(UsageError, match="both folders of agent 2"):
        find_run([tmp_path / "copied", tmp_path / "again"])
    with pytest.raises(UsageError, match="nothing of a run"):
        find_run([tmp_path / "none"])


@pytest.mark.parametrize("name", ["show", "evaluate", "prune", "report"])
def test_folders_of_keys_are_no_run(name: str, tmp_path: Path) -> None:
    """They have the names of parties as well."""
    write_folders(tmp_path / "team", 2)
    options = ["-o", tmp_path / "page.html"] if name == "report" else []
    with pytest.raises(UsageError, match="nothing of a run"):
        command(name, tmp_path / "team", *options)


def test_a_team_on_separate_hosts_is_valued_and_drawn(state: Path) -> None:
    together = json.loads(command("evaluate", state, "--json").splitlines()[-1])
    apart = json.loads(command("evaluate", state / "server", state / "agent-2", "--agent", "2", "--json").splitlines()[-1])
    assert together["value"] == apart["value"]
    assert together["optimum"] > together["value"]
    with pytest.raises(UsageError, match=r"holds no config\.toml"):
        command("evaluate", state / "agent-1")
    (record,) = read_results([state])
    assert record["quantity"] == REWARD
    assert record["learning"] == {"env_steps": [20, 40], "value": [0.25, 0.5]}
    assert record["panel"] == "mabc, while it learned"


def test_a_run_in_one_screen_and_in_one_line(state: Path, tmp_path: Path) -> None:
    found = summarise(find_run([state]))
    assert (found.state, found.task, found.update, found.updates) == (FINISHED, "mabc", 2, 2)
    assert found.hosts == {"1": "host-1", "2": "host-2"}
    shown = command("show", state)
    for words in ("update 2 of 2", "2 agents, 2 copies", "equal at 2 agents", "host-1 (agents 1)", "not valued yet"):
        assert words in shown
    assert len(shown.splitlines()) < 24
    assert json.loads(command("show", state, "--json"))["digests"] == {"1": "ab" * 32, "2": "ab" * 32}
    listed = command("runs", tmp_path)
    assert "dadc-state  finished" in listed
    assert "1 run in" in listed
    assert [run["task"] for run in json.loads(command("runs", tmp_path, "--json"))["runs"]] == ["mabc"]
    with pytest.raises(UsageError, match="is no folder"):
        command("runs", tmp_path / "none")


def test_a_run_that_did_not_end_is_no_finished_one(state: Path) -> None:
    store = AgentJournalFile(state / "agent-1", "process")
    store.note("state", "running")
    store.close()
    with pytest.raises(UsageError, match="is not finished"):
        prune(find_run([state]))
    (state / "server/journal.sqlite").unlink()
    shutil.rmtree(state / "agent-2")
    assert summarise(find_run([state])).state == STOPPED


def test_lines_fit_a_terminal_and_long_names_keep_both_ends(state: Path) -> None:
    state.rename(state.with_name("mabc-seed0-20261129-091000-and-some-more-words-of-a-user"))
    lines = table([summarise(run) for run in runs_in(state.parent)], 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "~" in lines[1]
    assert lines[1].split()[0].endswith("user")
    assert shortened("abcdefghij", 5) == "ab~ij"
    assert [size_text(size) for size in (999, 1_200_000, 215e6, 7.5e9)] == ["999 B", "1.2 MB", "215 MB", "7.5 GB"]


def test_a_finished_run_is_cut_to_what_is_needed_later(state: Path) -> None:
    before = command("evaluate", state, "--json")
    told = command("prune", state)
    assert "consistent: server, agent 1, agent 2 agreed on 21 records" in told
    assert not list(state.rglob("journal.sqlite*"))
    assert [checkpoint_steps(state / f"agent-{agent}") for agent in (1, 2)] == [[20], [20]]
    assert command("evaluate", state, "--json") == before
    found = summarise(find_run([state]))
    assert (found.state, found.digests["2"], found.hosts["2"]) == (CUT, "ab" * 32, "host-2")
    assert read_results([state])[0]["learning"]["env_steps"] == [20, 40]
    with pytest.raises(CorruptStateError, match="dadc prune has cut"):
        command("replay", state / "server")
    with pytest.raises(UsageError, match="dadc prune has cut"):
        open_state_folder(state / "agent-1")
    assert prune(find_run([state])).files == 0


@pytest.mark.parametrize("what", ["one journal", "journals that differ", "a rotten checkpoint"])
def test_nothing_is_removed_that_may_still_be_needed(what: str, state: Path) -> None:
    places, error = [state], DadcError
    if what == "one journal":
        places, error = [state / "server", state / "agent-1"], UsageError
    elif what == "journals that differ":
        error = DivergenceError
        store = AgentJournalFile(state / "agent-2", "process")
        row = store.row(7)
        assert row is not None
        store.write([row._replace(digests=row.digests._replace(ais=bytes(32)))])
        store.close()
    else:
        error = CorruptStateError
        path = checkpoint_path(state / "agent-1", 20)
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(error):
        prune(find_run(places))
    assert all((state / party / "journal.sqlite").exists() for party in ("server", "agent-1", "agent-2"))
    assert len(checkpoint_steps(state / "agent-2")) == 2
    if what == "one journal":
        assert prune(find_run(places), unchecked=True).files > 0
