"""What the other engines' own checks say of their files; Swarm, which every Docker engine has, runs a team as well."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dadc_net.deployment.engines import files
from dadc_net.deployment.team import Team
from tests.containers.engine import CannotBuild, call, install
from tests.containers.project import PATIENCE_SECONDS, wait_until
from tests.fleet.fetch import once

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2 * PATIENCE_SECONDS)]

TRICKY = ("--set=env.agents=8", "--set=label='a $b %c'")
TEAMS = [Team(agents=2, task="mabc"), Team(agents=8, task="demand-response", options=TRICKY, structure="a.b:C")]


def written(folder: Path, engine: str, team: Team) -> list[Path]:
    """The files of ``engine`` in ``folder``."""
    folder.mkdir(exist_ok=True)
    made = files(engine, team, build=False, server="127.0.0.1", made_by="dadc launch")
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in made]


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_kubernetes_schemas(team: Team, version: str, tmp_path: Path) -> None:
    def fetch(folder: Path) -> None:
        call(sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "kubernetes-validate>=1.37", seconds=900)

    validator = once("kubernetes-validate", fetch)
    (manifest,) = written(tmp_path, "kubernetes", team)
    command = (sys.executable, validator / "bin" / "kubernetes-validate", "--strict", "-k", version, manifest)
    shown = call("sh", "-c", '"$@" 2>&1', "sh", *command, environment={"PYTHONPATH": str(validator)})
    kinds = re.findall(r"passed for resource (\w+)/", shown)
    assert sorted(kinds) == sorted(["service", "persistentvolumeclaim", *["networkpolicy"] * 2, *["job"] * 2])
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("completionMode", "completedMode"), encoding="utf-8")
    with pytest.raises(CannotBuild, match="completedMode"):
        call("sh", "-c", '"$@" 2>&1', "sh", *command, environment={"PYTHONPATH": str(validator)})


@pytest.mark.parametrize("team", TEAMS)
def test_shellcheck(team: Team, tmp_path: Path) -> None:
    install({"shellcheck": "shellcheck"})
    (script,) = written(tmp_path, "slurm", team)
    assert call("shellcheck", script) == ""
    text = script.read_text(encoding="utf-8")
    script.write_text(text.replace('keys "$DADC_RUN/keys"', "keys $DADC_RUN/keys"), encoding="utf-8")
    with pytest.raises(CannotBuild, match="SC2086"):
        call("shellcheck", script)


@pytest.mark.parametrize("team", TEAMS)
def test_systemd(team: Team, tmp_path: Path) -> None:
    install({"systemd-analyze": "systemd"})
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("dadc-env", "dadc-agent"):
        (bin_folder / name).symlink_to("/bin/true")
    made = written(tmp_path / "units", "systemd", team)
    for path in made:
        path.write_text(path.read_text(encoding="utf-8").replace("/opt/dadc/bin", str(bin_folder)), encoding="utf-8")
    told = call("sh", "-c", '"$@" 2>&1', "sh", "systemd-analyze", "verify", *made)
    assert told == ""
    for path in made[:2]:
        shown = call("systemd-analyze", "security", "--offline=true", path)
        exposure = float(re.findall(r"Overall exposure level for \S+: ([\d.]+)", shown)[0])
        print(f"{path.name}: exposure {exposure} of 10")
        assert exposure < 2.0
    made[0].write_text(made[0].read_text(encoding="utf-8").replace("ProtectHome=yes", "ProtectHomes=yes"), encoding="utf-8")
    assert "ProtectHomes" in call("sh", "-c", '"$@" 2>&1', "sh", "systemd-analyze", "verify", *made)


@pytest.fixture
def swarm(image: str) -> Iterator[None]:
    """The engine as a swarm of one host; one that is no swarm before is none afterwards."""
    state = call("docker", "info", "--format", "{{.Swarm.LocalNodeState}}").strip()
    if state != "active":
        call("docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        node = call("docker", "node", "ls", "--quiet").split()[0]
        call("docker", "node", "update", "--label-add", "dadc=server", node)
        yield
    finally:
        if state != "active":
            call("docker", "swarm", "leave", "--force")


def test_a_team_in_a_swarm(swarm: None, image: str, tmp_path: Path) -> None:
    stack = f"dadc-test-{os.getpid()}"
    call(sys.executable, "-m", "dadc_net", "keys", tmp_path / "dadc-keys", "-K", "2", "--folders")
    (file,) = written(tmp_path, "swarm", Team(agents=2, task="mabc", options=("--updates=150", "--env-seed=5"), image=image))
    call("docker", "stack", "deploy", "--compose-file", file, stack)

    def tasks(service: str) -> list[str]:
        return call("docker", "service", "ps", "--format", "{{.CurrentState}}", f"{stack}_{service}").splitlines()

    def container(service: str) -> list[str]:
        wanted = f"label=com.docker.swarm.service.name={stack}_{service}"
        return call("docker", "ps", "--quiet", "--filter", wanted).split()

    def runs() -> bool:
        status = ("dadc", "status", "/state", "--json")
        try:
            return '"phase": "running"' in call("docker", "exec", *container("environment"), *status)
        except CannotBuild:
            return False

    try:
        wait_until(runs, "the run")
        with suppress(CannotBuild):  # The container goes under the command.
            call("docker", "exec", *container("agent-2"), "sh", "-c", "kill -KILL -1")
        wait_until(lambda: len(tasks("agent-2")) > 1, "another task for agent 2")
        services = ("environment", "agent-1", "agent-2")
        wait_until(lambda: all(tasks(service)[0].startswith("Complete") for service in services), "the end")
        printed = {call("docker", "service", "logs", "--raw", f"{stack}_{service}") for service in services}
        seed = tmp_path / "dadc-keys" / "agent-1" / "team.seed"
        program = ("-m", "dadc_net", "simulate", "mabc", "--updates", "150", "--env-seed", "5", "--seed-file", seed)
        short = ("--set", "evaluation.trajectories=10", "--json")
        out = call(sys.executable, *program, "--out", tmp_path / "run", *short, seconds=1800)
        digest = re.findall(r'"learner_digest": "([0-9a-f]{64})"', out)[0]
        assert all(digest in text for text in printed)
        print(f"digest of server, both agents and dadc simulate: {digest}")
    finally:
        call("docker", "stack", "rm", stack)
        for service in ("environment", "agent-1", "agent-2"):
            wait_until(lambda: not container(service), f"{service} has gone")  # noqa: B023
