"""Real containers: a team that is killed, taken down and put up again ends with the digest of ``dadc simulate``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dadc_net.deployment.compose import compose_file
from dadc_net.deployment.team import USER_ID, Team
from tests.containers.engine import ROOT, CannotBuild, call
from tests.containers.project import PATIENCE_SECONDS, Project, wait_until
from tests.fleet.fetch import debian

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2 * PATIENCE_SECONDS)]

Made = Callable[..., Project]


def compose_v2() -> tuple[str, ...]:
    """Compose v2 from Debian's packages, unpacked beside what the fleet fetches; it needs no installation."""
    machine = call("dpkg", "--print-architecture").strip()
    root = debian("compose-v2", "trixie", machine, ["docker-compose"])
    return (str(root / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"),)


@pytest.fixture
def project(image: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Made]:
    """Makes projects that are gone after the test, volumes and all."""
    made: list[Project] = []

    def make(file: Path = ROOT / "docker-compose.yml", options: str = "", compose: tuple[str, ...] = ()) -> Project:
        name = f"dadc-{abs(hash(request.node.name)) % 10**8}-{len(made)}"
        one = Project(name, file, options, compose or ("docker-compose",))
        made.append(one)
        return one

    yield make
    for one in made:
        one.compose("down", "--volumes", "--timeout", "1")


def agents_of(count: int) -> list[str]:
    return [f"agent-{agent}" for agent in range(1, count + 1)]


def assert_one_digest(team: Project, agents: list[str], digest: str) -> None:
    for service in ("environment", *agents):
        assert team.facts(service)["State"]["ExitCode"] == 0
        assert digest in team.log(service)[-3:], team.log(service)


def test_killed_taken_down_and_put_up_again(project: Made) -> None:
    team = project(options="--updates 150")
    team.compose("up", "--detach", "--no-build")
    wait_until(lambda: team.reaches(50), "record 50")
    for service in ("agent-2", "environment"):
        before = team.facts(service)["RestartCount"]
        team.crash(service)
        wait_until(lambda: team.facts(service)["RestartCount"] > before, f"{service} comes back")  # noqa: B023
        step = int(team.status("agent-1").get("step", 0))
        wait_until(lambda: team.reaches(step + 50), f"the run goes on without {service}'s first process")  # noqa: B023
    assert any("agent 2 has gone at record" in line for line in team.log("environment"))
    team.compose("down")
    assert team.container("environment") == ""
    team.compose("up", "--detach", "--no-build")
    wait_until(lambda: team.ended("environment", *agents_of(2)), "the end")
    assert any("server resumes at record" in line for line in team.log("environment"))
    digest = team.simulated_digest("mabc", "--updates", "150")
    assert_one_digest(team, agents_of(2), digest)
    print(f"digest of server, both agents and dadc simulate: {digest}")


def test_four_agents_under_compose_v2_with_a_seed_of_ones_own(project: Made, tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    team = Team(agents=4, task="demand-response", options=("--set=env.agents=4", "--updates=20"))
    file.write_text(compose_file(team), encoding="utf-8")
    four = project(file, compose=compose_v2())
    seed = "0123456789abcdef0123456789abcdef"
    command = ("dadc", "keys", "/issued", "-K", "4", "--folders", "--seed-file", "/dev/stdin")
    four.compose("run", "--rm", "-T", "keys", *command, given=seed)
    four.compose("up", "--detach", "--no-build")
    wait_until(lambda: four.ended("environment", *agents_of(4)), "the end")
    assert four.within("cat /keys/team.seed", "agent-4-keys:/keys:ro") == seed
    digest = four.simulated_digest("demand-response", "--set env.agents=4", "--updates 20")
    assert_one_digest(four, agents_of(4), digest)
    print(f"digest of server, four agents and dadc simulate: {digest}")


@pytest.mark.parametrize("what", ["a key of another team", "a key that was revoked"])
def test_a_refused_agent_is_not_started_again(project: Made, what: str) -> None:
    team = project(options="--updates 150")
    team.compose("run", "--rm", "keys")
    if what == "a key of another team":
        team.within("dadc keys x -K 2 && cp x/agent-2.key /keys/", "agent-2-keys:/keys")
    else:
        team.within("sed -i '/= 2$/d' /keys/authorised.toml", "server-keys:/keys")
    team.compose("up", "--detach", "--no-build")
    wait_until(lambda: team.ended("agent-2"), "the end of agent 2")
    facts = team.facts("agent-2")
    assert (facts["State"]["ExitCode"], facts["RestartCount"]) == (0, 0)
    assert "exit code 12 is final" in "\n".join(team.log("agent-2"))
    assert team.facts("environment")["State"]["Running"], "the server waits for the one that it admits"
    # The control: where nothing is started again, the exit code is the true one.
    team.variables["DADC_RESTART"] = "no"
    team.compose("up", "--detach", "--no-build", "--no-deps", "agent-2")
    wait_until(lambda: team.ended("agent-2"), "the end of agent 2")
    assert team.facts("agent-2")["State"]["ExitCode"] == 12


def test_the_control_a_refusal_with_its_own_code_is_started_again(project: Made, tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    file.write_text(text.replace("DADC_RESTART: ${DADC_RESTART:-on-failure}", 'DADC_RESTART: ""'), encoding="utf-8")
    team = project(file)
    team.compose("run", "--rm", "keys")
    team.within("rm /keys/agent-2.key", "agent-2-keys:/keys")
    team.compose("up", "--detach", "--no-build")
    wait_until(lambda: team.facts("agent-2")["RestartCount"] >= 2, "a loop")


def test_a_party_has_no_rights_and_no_secret_of_another(project: Made) -> None:
    team = project(options="--updates 500")
    team.compose("up", "--detach", "--no-build")
    wait_until(lambda: team.reaches(1), "record 1")
    own = {
        "environment": {"authorised.toml", "server.key", "server.pub"},
        **{f"agent-{k}": {f"agent-{k}.key", "server.pub", "team.seed"} for k in (1, 2)},
    }
    for service, files in own.items():
        assert set(team.run_in(service, "ls", "/keys").split()) == files
        facts = dict(
            line.split(":", 1) for line in team.run_in(service, "cat", "/proc/self/status").splitlines() if ":" in line
        )
        assert facts["Uid"].split() == [str(USER_ID)] * 4
        assert {facts[f"Cap{kind}"].strip() for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert facts["NoNewPrivs"].strip() == "1"
        for folder in ("/", "/home/dadc", "/opt/dadc", "/keys"):
            with pytest.raises(CannotBuild, match="Read-only file system"):
                team.run_in(service, "touch", f"{folder}/new")
        host = team.facts(service)["HostConfig"]
        assert host["Memory"] == host["MemorySwap"] == 2**30
        assert host["PidsLimit"] == 256
        assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    seed = team.within("cat /keys/team.seed", "agent-1-keys:/keys:ro").strip()
    assert seed not in json.dumps([team.facts(service) for service in ("keys", *own)])
    with pytest.raises(CannotBuild, match="No such file"):
        team.within("cat /keys/team.seed", "server-keys:/keys:ro")
    wait_until(lambda: all(team.facts(s)["State"]["Health"]["Status"] == "healthy" for s in own), "health")


def test_a_stop_is_within_the_grace_period_and_is_no_failure(project: Made) -> None:
    team = project(options="--updates 500")
    team.compose("up", "--detach", "--no-build")
    wait_until(lambda: team.reaches(20), "record 20")
    team.compose("stop")
    for service in ("environment", "agent-1", "agent-2"):
        assert team.facts(service)["State"]["ExitCode"] in (75, 130), "137 would be a kill after the grace period"


@pytest.mark.parametrize("agents", [1, 4, 256])
@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_of_compose_read_the_file(agents: int, version: int, tmp_path: Path, image: str) -> None:
    file = tmp_path / "docker-compose.yml"
    team = Team(agents=agents, task="demand-response", options=(f"--set=env.agents={agents}",))
    file.write_text(compose_file(team), encoding="utf-8")
    client = ("docker-compose",) if version == 1 else compose_v2()
    assert call(*client, "version").strip().splitlines()[0].lower().count(f"version {version}.") == 1
    shown = call(*client, "--file", file, "config")
    assert shown.count("DADC_AGENT_ID") == agents
    assert shown.count("read_only: true") >= agents + 2
    file.write_text(file.read_text(encoding="utf-8").replace("read_only", "reed_only"), encoding="utf-8")
    with pytest.raises(CannotBuild, match="reed_only"):
        call(*client, "--file", file, "config")
