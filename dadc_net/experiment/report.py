"""The report of a finished run: one flat record, printed with ``--json`` and kept as ``result.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dadc_net.config import RunConfig
from dadc_net.experiment.comparison import FIELDS
from dadc_net.experiment.evaluation import Valuation


def make_report(
    config: RunConfig,
    seed: int | None,
    agent_digests: Mapping[int, str],
    lock_steps: int,
    seconds: float,
    wall: float,
    replicas: int,
) -> dict[str, Any]:
    """The record without values.

    Args:
        lock_steps, seconds: what this command did, and the time of the lock-steps alone; less than all if it resumed a run.
        wall: the time of everything.
        replicas: how many coordinators were computed; where one stands for all agents, ``agent_digests`` are its own.
    """
    settings = config.settings
    copies = settings.learner.num_envs
    rate = lock_steps / seconds if seconds > 0 else 0.0
    return {
        "task": config.task.name,
        "structure": config.structure.to_plain(),
        "seed": seed,
        "algorithm": settings.algorithm,
        "learning": settings.learning,
        "prescriptions": config.prescriptions,
        "menu": config.menu,
        "num_agents": settings.num_agents,
        "replicas": replicas,
        "num_envs": copies,
        "updates": settings.updates,
        "env_steps": settings.updates * settings.learner.batch_steps,
        "learner_digest": agent_digests[1],
        "agent_digests": {str(agent): digest for agent, digest in agent_digests.items()},
        **dict.fromkeys(FIELDS),
        **Valuation(None, None).to_plain(),
        "valued": False,
        "valuation_troubles": [],
        "env_steps_per_s": rate * copies,
        "lockstep_per_s": rate,
        "wall_s": wall,
    }


def add_valuation(report: dict[str, Any], valuation: Valuation) -> None:
    """Fill in what the learned rule is worth, and what of it could not be told."""
    report |= valuation.to_plain()
    report["valued"], report["valuation_troubles"] = True, list(valuation.troubles)
