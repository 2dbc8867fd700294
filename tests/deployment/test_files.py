"""The files that start a team: who is given what, what may not be in them, and that they fit the image and the exit codes.

What the engines themselves say of the files is in tests/containers.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.deployment.compose import AGENTS_MAX, compose_file
from dadc_net.deployment.engines import ENGINES, files
from dadc_net.deployment.team import USER_ID, Team
from dadc_net.errors import FINAL_EXIT_CODES, UsageError

ROOT = Path(__file__).parents[2]
TWO = Team(agents=2, task="mabc")
TRICKY = Team(agents=3, task="demand-response", options=("--set=env.agents=3", "--set=label='a $b %c'", '--set=text="q\\"'))


def launched(*arguments: str) -> str:
    """What ``dadc launch`` prints."""
    shown = CliRunner().invoke(dadc, ["launch", *arguments], catch_exceptions=False)
    assert shown.exit_code == 0
    return shown.stdout


def text(engine: str, team: Team) -> str:
    """All files of ``engine`` in one."""
    return "\n".join(files(engine, team, build=True, server="127.0.0.1", made_by="dadc launch").values())


def services(compose: str) -> dict[str, str]:
    """Name -> text of each service."""
    body = compose.split("\nservices:\n")[1].split("\nvolumes:\n")[0]
    parts = re.split(r"^  ([a-z0-9-]+):\n", body, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_committed_file_is_what_the_command_writes() -> None:
    assert launched("compose", "-K", "2") == (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("agents", [1, 2, 4, 100])
def test_a_party_sees_its_own_volumes_and_no_other(agents: int) -> None:
    found = services(compose_file(Team(agents=agents, task="demand-response")))
    mounts = {name: set(re.findall(r"^      - ([a-z0-9-]+):(/\S+)$", part, re.MULTILINE)) for name, part in found.items()}
    own = {f"agent-{k}": {(f"agent-{k}-keys", "/keys:ro"), (f"agent-{k}-state", "/state")} for k in range(1, agents + 1)}
    assert mounts.pop("keys") == {
        ("server-keys", "/issued/server"),
        *((f"agent-{k}-keys", f"/issued/agent-{k}") for k in range(1, agents + 1)),
    }
    assert mounts == {"environment": {("server-keys", "/keys:ro"), ("server-state", "/state")}, **own}
    for k in range(1, agents + 1):
        assert f'DADC_AGENT_ID: "{k}"\n' in found[f"agent-{k}"]


def test_the_image_has_the_folders_and_the_user_that_the_file_counts_on() -> None:
    dockerfile = (ROOT / "launch" / "Dockerfile").read_text(encoding="utf-8")
    assert f"$(seq {AGENTS_MAX})" in dockerfile
    assert f"--uid {USER_ID} dadc" in dockerfile
    compose_file(Team(agents=AGENTS_MAX, task="demand-response"))
    with pytest.raises(UsageError, match=f"at most {AGENTS_MAX} agents"):
        compose_file(Team(agents=AGENTS_MAX + 1, task="demand-response"))


@pytest.mark.parametrize("engine", ENGINES)
def test_no_seed_and_no_key_stands_in_a_file(engine: str) -> None:
    found = text(engine, Team(agents=4, task="demand-response"))
    assert not re.search(r"--(env-)?seed[ =]", found)
    assert "DADC_SEED" not in found
    assert "team.seed" in found
    assert "secret_key" not in found


@pytest.mark.parametrize("engine", ["kubernetes", "slurm", "systemd"])
def test_engines_that_tell_exit_codes_apart_are_told_the_final_ones(engine: str) -> None:
    assert FINAL_EXIT_CODES == (1, 2, 10, 11, 12, 13, 14, 15, 16, 17, 70)
    found = re.search(r"(?:values: \[|RestartPreventExitStatus=|\n      )(1(?:[ ,|]+\d+)+)", text(engine, TWO))
    assert found is not None
    assert tuple(map(int, re.findall(r"\d+", found[1])))[: len(FINAL_EXIT_CODES)] == FINAL_EXIT_CODES
    assert "DADC_RESTART" not in text(engine, TWO)


@pytest.mark.parametrize("engine", ["compose", "swarm"])
def test_engines_that_do_not_are_told_0(engine: str) -> None:
    assert re.search(r"DADC_RESTART: (\$\{DADC_RESTART:-)?on-failure", text(engine, TWO))


def test_options_reach_the_server_as_they_were_given() -> None:
    wanted = ["dadc-env", *TRICKY.task_arguments]
    line = services(compose_file(TRICKY))["environment"].split("command: >-\n")[1].split("${DADC_OPTIONS")[0]
    assert shlex.split(line.replace("$$", "$"))[: len(wanted)] == wanted
    script = text("slurm", TRICKY)
    line = script.split("keep dadc-env ")[1].split(" --bind")[0]
    assert ["dadc-env", *shlex.split(line)] == wanted
    unit = text("systemd", TRICKY).split("ExecStart=/opt/dadc/bin/")[1].split(" --bind")[0]
    assert [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(unit)] == wanted


def test_the_units_let_the_transport_ask_for_interfaces() -> None:
    found = re.findall(r"^RestrictAddressFamilies=(.*)$", text("systemd", TWO), re.MULTILINE)
    assert len(found) == 2
    assert all("AF_NETLINK" in families.split() for families in found), "libzmq aborts without it"


def test_what_would_break_a_file_is_refused() -> None:
    for bad in (
        {"options": ("--set=a=1\nb",)},
        {"image": "Not An Image"},
        {"memory": "lots"},
        {"agents": 0},
        {"structure": "a:f.<locals>.C"},
    ):
        with pytest.raises(UsageError):
            Team(**{"agents": 2, "task": "mabc", **bad})  # type: ignore[arg-type]


@pytest.mark.parametrize("team", [TWO, TRICKY, Team(agents=1, task="a:b", structure="a.b:C")])
def test_the_script_for_slurm_is_bash(team: Team, tmp_path: Path) -> None:
    script = tmp_path / "dadc.sbatch"
    script.write_text(text("slurm", team), encoding="utf-8")
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"#SBATCH --ntasks={team.agents}\n" in script.read_text(encoding="utf-8")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_command_finds_the_task_or_says_what_is_wrong(engine: str, tmp_path: Path) -> None:
    assert "--task mabc" in launched(engine, "-K", "2").replace('", "', " ")
    assert "env.agents=5" in launched(engine, "-K", "5")
    out = tmp_path / "made"
    assert launched(engine, "-K", "3", "--image", "example.org/x:1", "--memory", "500m", "-o", str(out)) == ""
    assert out.is_dir() == (engine == "systemd")
    for arguments, words in (
        (["mabc", "-K", "3"], "has 2 agents"),
        (["mabc", "--set", "menu=none"], "menu"),
        (["-K", "0"], "at least one agent"),
        (["mabc", "--memory", "1"], "--memory"),
    ):
        failed = CliRunner().invoke(dadc, ["launch", engine, *arguments])
        assert isinstance(failed.exception, UsageError)
        assert words in str(failed.exception)


def test_a_file_names_the_command_that_made_it() -> None:
    made = launched("compose", "-K", "4", "--updates", "7", "--set", "discount=0.8", "--memory", "2g")
    command = made.split("Made by: dadc ")[1].split("\n")[0]
    assert launched(*shlex.split(command)[1:]) == made
    assert "--updates=7" in made
    assert "mem_limit: 2g" in made


def test_the_room_loads_nothing_heavy() -> None:
    program = "import sys, dadc_net.deployment.engines; sys.exit(bool({'torch', 'zmq', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
