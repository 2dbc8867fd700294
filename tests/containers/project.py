"""A team under Compose, as a user would start and stop it, and the blows it is dealt."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.containers.engine import IMAGE, ROOT, CannotBuild, call

PATIENCE_SECONDS = 600


class Project:
    """The services of one Compose file under a name of their own."""

    def __init__(self, name: str, file: Path, options: str, compose: tuple[str, ...] = ("docker-compose",)) -> None:
        """
        Args:
            name: of the project.
            file: docker-compose.yml.
            options: DADC_OPTIONS.
            compose: the client, version 1 or 2.
        """
        self.name = name
        self._command = [*compose, "--project-name", name, "--project-directory", str(ROOT), "--file", str(file)]
        self.variables = {"DADC_OPTIONS": options}

    def compose(self, *arguments: str, given: str = "") -> str:
        """Run the client."""
        return call(*self._command, *arguments, environment=self.variables, seconds=PATIENCE_SECONDS, given=given)

    def volume(self, name: str) -> str:
        """Full name of a volume."""
        return f"{self.name}_{name}"

    def container(self, service: str) -> str:
        """Id of the service's container, running or not."""
        label = ("--filter", f"label=com.docker.compose.project={self.name}")
        own = ("--filter", f"label=com.docker.compose.service={service}")
        return call("docker", "ps", "--all", "--quiet", *label, *own).strip()

    def facts(self, service: str) -> dict[str, Any]:
        """What the engine knows of the service's container."""
        found: dict[str, Any] = json.loads(call("docker", "inspect", self.container(service)))[0]
        return found

    def log(self, service: str) -> list[str]:
        """Lines that the service has printed, to both outputs."""
        return call("sh", "-c", f"docker logs {self.container(service)} 2>&1").splitlines()

    def run_in(self, service: str, *command: str) -> str:
        """Run a command inside a running container."""
        return call("docker", "exec", self.container(service), *command)

    def status(self, service: str) -> dict[str, Any]:
        """What ``dadc status --json`` says in there; empty while it says nothing."""
        try:
            found: dict[str, Any] = json.loads(self.run_in(service, "dadc", "status", "/state", "--json"))
        except CannotBuild:
            return {}
        return found

    def reaches(self, step: int) -> bool:
        """Whether the log has come so far."""
        return int(self.status("environment").get("step", -1)) >= step

    def crash(self, service: str) -> None:
        """Kill the party inside, as the system does when memory runs out; only the container's first process is spared."""
        try:
            self.run_in(service, "sh", "-c", "kill -KILL -1")
        except CannotBuild:
            return  # The container has gone under the command.

    def ended(self, *services: str) -> bool:
        """Whether all have ended and are not being started again."""
        return all(self.facts(service)["State"]["Status"] == "exited" for service in services)

    def within(self, command: str, *mounts: str) -> str:
        """Run a shell's command in a container with volumes of this project, and return what it printed."""
        volumes = [option for mount in mounts for option in ("--volume", f"{self.name}_{mount}")]
        closed = ("--rm", "--network", "none", "--workdir", "/tmp")
        return call("docker", "run", *closed, *volumes, IMAGE, "sh", "-c", command, seconds=PATIENCE_SECONDS)

    def simulated_digest(self, *arguments: str) -> str:
        """The digest of ``dadc simulate`` with this team's two seeds."""
        seeds = "--seed-file /keys/team.seed --env-seed-file /state/environment.seed"
        out = self.within(
            f"dadc simulate {' '.join(arguments)} {seeds} --set evaluation.trajectories=10 --json",
            *("agent-1-keys:/keys:ro", "server-state:/state:ro"),
        )
        return str(json.loads(out.splitlines()[-1])["learner_digest"])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that happens sooner or later."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.5)
