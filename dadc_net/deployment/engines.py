"""Which files belong to which engine."""

from __future__ import annotations

from dadc_net.deployment.compose import compose_file
from dadc_net.deployment.kubernetes import manifest
from dadc_net.deployment.slurm import batch_script
from dadc_net.deployment.swarm import stack_file
from dadc_net.deployment.systemd import units
from dadc_net.deployment.team import Team

ENGINES = ("compose", "swarm", "kubernetes", "slurm", "systemd")


def files(engine: str, team: Team, *, build: bool, server: str, made_by: str) -> dict[str, str]:
    """File name -> text.

    Args:
        engine: one of ``ENGINES``.
        team: who takes part.
        build: for Compose, whether the image is built from this package's sources.
        server: for systemd, the host of the environment server.
        made_by: the command that made them.
    """
    if engine == "compose":
        return {"docker-compose.yml": compose_file(team, build, made_by)}
    if engine == "swarm":
        return {"dadc-stack.yml": stack_file(team, made_by)}
    if engine == "kubernetes":
        return {"dadc-kubernetes.yml": manifest(team, made_by)}
    if engine == "slurm":
        return {"dadc.sbatch": batch_script(team, made_by)}
    return units(team, server, made_by)
