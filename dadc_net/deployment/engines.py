"""Which files belong to which engine."""

from __future__ import annotations

from dadc_net.deployment.compose import compose_file
from dadc_net.deployment.team import Team


def files(engine: str, team: Team, *, build: bool, server: str, made_by: str) -> dict[str, str]:
    """File name -> text.

    Args:
        engine: compose, swarm, kubernetes, slurm or systemd.
        team: who takes part.
        build: for Compose, whether the image is built from this package's sources.
        server: for systemd, the host of the environment server.
        made_by: the command that made them.
    """
    if engine == "compose":
        return {"docker-compose.yml": compose_file(team, build, made_by)}
    raise ValueError(engine)
