"""The units under a real systemd, which is the first process of a container: keys as credentials, the sandbox, a kill."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dadc_net.deployment.systemd import units
from dadc_net.deployment.team import Team
from dadc_net.runtime.key_folders import write_folders
from tests.containers.engine import CannotBuild, call
from tests.containers.project import PATIENCE_SECONDS, wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2 * PATIENCE_SECONDS)]

RIGHTS = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH")
"""What systemd needs to build its sandboxes, beside what a container has."""


class Host:
    """A container in which systemd runs."""

    def __init__(self, image: str) -> None:
        rights = [option for right in RIGHTS for option in ("--cap-add", right)]
        open_to_systemd = ("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined")
        groups = ("--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--cgroupns", "host")
        folders = (*groups, "--tmpfs", "/run", "--tmpfs", "/tmp")
        named = ("--env", "container=docker", "--detach")
        self.id = call("docker", "run", *named, *rights, *open_to_systemd, *folders, image).strip()
        wait_until(lambda: self.does("systemctl is-system-running | grep -E 'running|degraded'"), "systemd")
        # On a host of its own systemd shares mounts between namespaces; its credentials need that.
        self.run("mount --make-rshared /")

    def run(self, line: str) -> str:
        """Run a shell's line in there."""
        return call("docker", "exec", self.id, "sh", "-c", line, seconds=PATIENCE_SECONDS)

    def does(self, line: str) -> bool:
        """Whether it ends with 0."""
        try:
            self.run(line)
        except CannotBuild:
            return False
        return True

    def put(self, folder: Path, where: str) -> None:
        """Copy what is in ``folder``, as root's."""
        self.run(f"mkdir -p {where}")
        call("docker", "cp", f"{folder}/.", f"{self.id}:{where}")
        self.run(f"chown -R root:root {where}")

    def log(self, unit: str) -> str:
        """What the unit has printed and what systemd says of it."""
        return self.run(f"journalctl --unit {unit} --no-pager --output cat")

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run(f"systemctl show --property {name} --value {unit}").strip()


@pytest.fixture
def host(image: str, tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {image}\nUSER root\n"
        "RUN apt-get update -qq && apt-get install -y --no-install-recommends systemd && rm -rf /var/lib/apt/lists/*\n"
        'CMD ["/lib/systemd/systemd"]\n',
        encoding="utf-8",
    )
    name = "dadc-systemd:local"
    command = ("docker", "build", "--network", "host", "--tag", name, tmp_path)
    call(*command, seconds=1800, environment={"DOCKER_BUILDKIT": "0"})
    made = Host(name)
    yield made
    call("docker", "rm", "--force", made.id)


def test_the_units_run_a_team(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "units"
    folder.mkdir()
    for name, text in units(Team(agents=2, task="mabc", options=("--updates=100",)), "127.0.0.1", "dadc launch").items():
        (folder / name).write_text(text, encoding="utf-8")
    write_folders(tmp_path / "keys", 2)
    host.put(folder, "/etc/systemd/system")
    host.put(tmp_path / "keys", "/etc/dadc")
    host.run("systemctl daemon-reload && systemctl start dadc-env dadc-agents.target")
    wait_until(lambda: "update " in host.log("dadc-env"), "an update")
    host.run("systemctl kill --signal KILL dadc-agent@2")
    parties = ("dadc-env", "dadc-agent@1", "dadc-agent@2")
    wait_until(lambda: all(host.shows(party, "ActiveState") == "inactive" for party in parties), "the end")
    assert [host.shows(party, "NRestarts") for party in parties] == ["0", "0", "1"]
    assert {host.shows(party, "Result") for party in parties} == {"success"}
    seeds = "--seed-file /etc/dadc/agent-1/team.seed --env-seed-file /var/lib/private/dadc-env/environment.seed"
    out = host.run(
        f"cd /tmp && export DADC_FILE_MODES=ignore && dadc simulate mabc --updates 100 {seeds} "
        "--set evaluation.trajectories=10 --json"
    )
    digest = re.findall(r'"learner_digest": "([0-9a-f]{64})"', out)[0]
    assert all(digest in host.log(party) for party in parties)
    print(f"digest of server, both agents and dadc simulate: {digest}")
    # A refusal is not started again, and says its true exit code.
    host.run("rm -r /etc/dadc/agent-1 && cp -r /etc/dadc/agent-2 /etc/dadc/agent-1")
    host.run("mv /etc/dadc/agent-1/agent-2.key /etc/dadc/agent-1/agent-1.key && systemctl start dadc-agent@1")
    wait_until(lambda: host.shows("dadc-agent@1", "ActiveState") == "failed", "the refusal")
    assert host.shows("dadc-agent@1", "ExecMainStatus") == "12"
    assert host.shows("dadc-agent@1", "NRestarts") == "0"
