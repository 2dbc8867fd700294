"""The commands without processes of a run: help, documentation, and what they import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dadc_net import __version__
from dadc_net.cli.help import summary
from dadc_net.cli.main import dadc
from dadc_net.cli.parties import agent_command, environment_command
from dadc_net.config import resolve
from dadc_net.errors import ConfigError, UsageError, error_for_exit_code
from dadc_net.runtime.seed_files import TEAM_SEED
from dadc_net.team.tasks import TASKS
from dadc_net.wire.keys import write_keys


@pytest.mark.parametrize("name", sorted(dadc.commands))
def test_every_command_has_help(name: str) -> None:
    shown = CliRunner().invoke(dadc, [name, "--help"])
    assert shown.exit_code == 0
    assert len(dadc.commands[name].get_short_help_str()) > 10


def test_the_list_of_commands_cuts_no_sentence() -> None:
    shown = CliRunner().invoke(dadc, ["--help"])
    listed = shown.output.split("Commands:")[1]
    assert "..." not in listed
    for name, command in dadc.commands.items():
        assert summary(command) == dadc.summary(name), f"dadc_net.cli.main lists another sentence for {name}"
        assert summary(command).split()[-1] in listed


def test_a_task_is_explained_wherever_one_is_taken() -> None:
    shown = " ".join(CliRunner().invoke(dadc, ["run", "--help"]).output.split())
    assert all(name in shown for name in [*TASKS, ".dpomdp", "pettingzoo:"])


@pytest.mark.parametrize(
    ("typed", "meant"), [(["rum", "mabc"], "Did you mean 'run'?"), (["bench", "jurnal"], "Did you mean 'journal'?")]
)
def test_a_mistyped_command_is_told_with_one_that_exists(typed: list[str], meant: str) -> None:
    ended = CliRunner().invoke(dadc, typed)
    assert ended.exit_code == 2
    assert meant in ended.output


@pytest.mark.parametrize("command", [*dadc.commands.values(), environment_command, agent_command])
def test_every_command_says_its_version(command: click.Command) -> None:
    ended = CliRunner().invoke(command, ["--version"])
    assert (ended.exit_code, ended.output.split()[-1]) == (0, __version__)


@pytest.mark.parametrize("command", [*dadc.commands.values(), environment_command, agent_command])
def test_every_option_has_help(command: click.Command) -> None:
    bare = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert bare == []


def _loaded(statement: str) -> list[str]:
    """The modules that a fresh Python has after ``statement``."""
    program = f"{statement}; import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1].split()


@pytest.mark.parametrize(("typed", "loads"), [("--help", False), ("run --help", True)])
def test_the_list_of_commands_loads_none_of_them(typed: str, loads: bool) -> None:
    found = _loaded(f"from dadc_net.cli.main import dadc; dadc({typed.split()}, standalone_mode=False)")
    assert ("numpy" in found, "dadc_net.cli.run" in found) == (loads, loads)


@pytest.mark.parametrize(
    "statement",
    [
        "from dadc_net.cli.main import dadc; list(dadc.commands.values())",
        "import dadc_net.planning.planners",
        "import dadc_net.runtime.server_process",
        "import dadc_net.runtime.launcher, dadc_net.runtime.sabotage",
    ],
)
def test_server_planner_launcher_and_commands_that_only_look_do_not_load_torch(statement: str) -> None:
    assert "torch" not in _loaded(statement)


def test_the_file_of_a_hundred_loads_is_the_default_problem_in_fewer_lock_steps() -> None:
    found, default = resolve(str(Path(__file__).parents[1] / "launch" / "hundred-loads.toml")), resolve("demand-response")
    assert found.parameters == default.parameters
    assert (found.family, found.settings.algorithm) == (default.family, default.settings.algorithm)
    assert found.settings.num_agents == 100
    assert found.settings.updates * found.settings.learner.batch_lock_steps == 500


def test_the_file_in_launch_is_the_default_run() -> None:
    path = Path(__file__).parents[1] / "launch" / "multi-access-broadcast.toml"
    assert resolve(str(path)) == resolve("mabc")
    written = path.read_text(encoding="utf-8")
    for section, keys in resolve("mabc").to_plain().items():
        for key in keys if isinstance(keys, dict) else [section]:
            assert f"{key} = " in written


@pytest.mark.parametrize("overrides", [[], ["menu=all", "env.stay_probabilities=[0.9, 0.8]", "ais.size=7", "discount=0.95"]])
def test_a_written_configuration_loads_again(overrides: list[str], tmp_path: Path) -> None:
    config = resolve("mabc", overrides)
    (tmp_path / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    assert resolve(str(tmp_path / "config.toml")) == config


def test_options_win_over_set_and_file(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('task = "mabc"\nupdates = 5\n[ais]\nsize = 3\n', encoding="utf-8")
    config = resolve(str(tmp_path / "t.toml"), ["ais.size=4"], {"updates": 6})
    assert (config.settings.updates, config.settings.ais.size) == (6, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("updates = 3", "no key task"),
        ("task = ", "not valid TOML"),
        ('task = "mabc"\nspeed = 3', "no key speed"),
        ('task = "mabc"\n[env]\narrivals = [1, 2]', r"env\.arrivals"),
        ('task = "mabc"\n[env]\narrival_probabilities = [0.5]', "1 entries"),
        ('task = "mabc"\nupdates = true', "updates is True"),
        ('task = "mabc"\nais = 3', "ais"),
    ],
)
def test_bad_files_are_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ConfigError, UsageError), match=words):
        resolve(str(path))


def test_exit_codes_come_back_as_errors() -> None:
    for code in (2, 10, 11, 12, 13, 14, 15, 16, 70, 75, 130):
        error = error_for_exit_code(code, "why")
        assert error.exit_code == code
        assert str(error) == "why"


@pytest.mark.parametrize("command", [["run", "mabc"], ["simulate", "mabc"], ["keys"]])
def test_a_folder_that_cannot_be_made_is_named_without_a_traceback(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    options = [str(tmp_path / "file" / "below")] if command == ["keys"] else ["--out", str(tmp_path / "file" / "below")]
    program = "from dadc_net.cli.main import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *command, *options], timeout=60, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert str(tmp_path / "file") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_folder_of_other_settings_names_the_keys(tmp_path: Path) -> None:
    """The settings come back from the journal as they were: nothing else is said to differ."""
    program = "from dadc_net.cli.main import environment_main; environment_main()"
    # There is no such port; the folder holds the run's facts by then.
    task = ["--task", "demand-response", "--set", "env.agents=3", "--updates", "300"]
    listen = ["--insecure", "--bind", "tcp://127.0.0.1:99999", "--state-dir", str(tmp_path)]
    ended = [
        subprocess.run(
            [sys.executable, "-c", program, *task, *listen, *other], timeout=60, capture_output=True, text=True, check=False
        )
        for other in ([], ["--updates", "7", "--set", "ppo.epochs=77"], ["--env-seed", "3"])
    ]
    assert [one.returncode for one in ended] == [2, 11, 11], [one.stderr for one in ended]
    assert "with updates = 300 (given 7), ppo.epochs = " in ended[1].stderr
    assert ended[1].stderr.count("(given ") == 2
    assert "another environment, " in ended[2].stderr


def test_a_server_says_who_cannot_join_and_what_it_must_not_hold(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys", 2)
    (tmp_path / "keys" / TEAM_SEED).touch()
    (tmp_path / "file").touch()  # Keeps it from being started.
    options = ["--task", "demand-response", "--keys", str(tmp_path / "keys"), "--state-dir", str(tmp_path / "file")]
    told = CliRunner().invoke(environment_command, [*options, "--set", "env.agents=4", "--bind", "tcp://0.0.0.0:5555"]).output
    assert "lists no key of agent 3, agent 4, which cannot join. The run waits for all 4 agents." in told
    assert f"{TEAM_SEED} lies where the server runs, which must not know the agents' seed" in told
    # The control: everybody has a key, and all run on one machine.
    assert CliRunner().invoke(environment_command, [*options, "--set", "env.agents=2"]).output == ""


@pytest.mark.parametrize("seconds", ["inf", "nan", "-1", "0", "1e99", "soon"])
@pytest.mark.parametrize("option", ["--connect-timeout", "--rejoin-timeout"])
def test_a_length_of_time_is_a_number_that_a_clock_can_wait_for(option: str, seconds: str) -> None:
    ended = CliRunner().invoke(agent_command, ["--id", "1", option, seconds])
    assert ended.exit_code == 2
    assert "is no number of seconds above 0" in ended.output


@pytest.mark.parametrize("bind", ["tcp://[::1:5555", "tcp://", "[", "http://x:1"])
def test_an_address_that_is_none_is_refused_with_a_sentence(bind: str, tmp_path: Path) -> None:
    arguments = ["--bind", bind, "--keys", str(tmp_path / "keys"), "--state-dir", str(tmp_path / "state")]
    ended = CliRunner().invoke(environment_command, arguments)
    assert isinstance(ended.exception, UsageError)
    assert "is not of the form tcp://HOST:PORT" in str(ended.exception)
