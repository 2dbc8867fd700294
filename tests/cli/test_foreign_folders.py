"""The folder of a run is data: what it names is not imported unless the command line names it too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dadc_net.cli.main import dadc
from dadc_net.cli.parties import agent_command, environment_command
from dadc_net.config import resolve
from dadc_net.errors import DadcError
from tests.journals import write_journals
from tests.team_in_memory import Team

MODULE = "planted_in_a_folder"
NAME = f"{MODULE}:make"
SMALL = {"updates": 1, "learner.num_envs": 2, "learner.batch_steps": 20}


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that can be imported from here; the file that it leaves when that happens."""
    found = tmp_path / "imported"
    (tmp_path / f"{MODULE}.py").write_text(
        f"open({str(found)!r}, 'w').close()\nfrom tests.user_task import make_task as make\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield found
    sys.modules.pop(MODULE, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a real run, but for the task that its config.toml names."""
    path = tmp_path / "run"
    config = resolve("mabc", (), SMALL)
    write_journals(Team(config).run(), path)
    (path / "keys").mkdir()
    (path / "config.toml").write_text(config.to_toml().replace('task = "mabc"', f'task = "{NAME}"'), encoding="utf-8")
    assert NAME in (path / "config.toml").read_text(encoding="utf-8")
    return path


def outcome(command: click.Command, arguments: list[str]) -> str:
    """What a command says when it refuses; empty where it does not."""
    try:
        command.main(arguments, standalone_mode=False)
    except (DadcError, click.ClickException) as error:
        return str(error)
    return ""


COMMANDS: dict[str, tuple[click.Command, list[str], bool]] = {
    "evaluate": (dadc, ["evaluate", "run"], True),
    "run from it": (dadc, ["run", "run/config.toml", "--out", "elsewhere"], True),
    "run into it, other task": (dadc, ["run", "mabc", "--out", "run"], True),
    "simulate": (dadc, ["simulate", "run/config.toml", "--out", "elsewhere"], True),
    "plan": (dadc, ["plan", "run/config.toml"], True),
    "server": (environment_command, ["--task", "run/config.toml", "--insecure", "--state-dir", "state"], True),
    "agent": (agent_command, ["--id", "1", "--config", "run/config.toml", "--insecure"], True),
    "check": (dadc, ["check", "run"], False),
    "replay": (dadc, ["replay", "run", "--seed", "7"], False),
    "status": (dadc, ["status", "run"], False),
    "plot": (dadc, ["plot", "run", "-o", "figure.png"], False),
    "show": (dadc, ["show", "run"], False),
    "runs": (dadc, ["runs", "."], False),
    "prune": (dadc, ["prune", "run"], False),
}
"""what -> command, arguments, whether it would need the task"""


@pytest.mark.parametrize("what", COMMANDS)
def test_nothing_is_imported_because_a_folder_names_it(what: str, folder: Path, marker: Path) -> None:
    command, arguments, needs_the_task = COMMANDS[what]
    text = outcome(command, arguments)
    assert not marker.exists()
    if needs_the_task:
        assert NAME in text
        assert "imported" in text


@pytest.mark.parametrize(
    "arguments", [["evaluate", "run", "--task", NAME], ["plan", "run/config.toml", "--set", f"task={NAME}"], ["plan", NAME]]
)
def test_what_the_command_line_names_is_imported(arguments: list[str], folder: Path, marker: Path) -> None:
    """Control: the module can be imported, and the remedies of the sentences work."""
    text = outcome(dadc, arguments)
    assert marker.exists()
    assert "may come from anywhere" not in text


def test_another_task_than_the_runs_is_refused(folder: Path, marker: Path) -> None:
    text = outcome(dadc, ["evaluate", "run", "--task", "http.server:test"])
    assert "Nothing was imported" in text
    assert NAME in text
    assert not marker.exists()


def test_a_users_own_file_may_name_code(folder: Path, marker: Path) -> None:
    """A TASK file is chosen by who writes the command line; only what a run leaves behind is not."""
    Path("mine.toml").write_text(f'task = "{NAME}"\n', encoding="utf-8")
    assert resolve("mine.toml").task.name == "two-radios"
    assert marker.exists()
