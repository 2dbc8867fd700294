"""The report of a finished run: one flat record, printed with ``--json`` and kept as ``result.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dadc_net import atomic_file
from dadc_net.config import RunConfig
from dadc_net.errors import CorruptStateError
from dadc_net.experiment.comparison import FIELDS
from dadc_net.experiment.evaluation import Valuation

RESULT_NAME = "result.json"


def make_report(
    config: RunConfig, seed: int | None, agent_digests: Mapping[int, str], lock_steps: int, seconds: float, wall: float
) -> dict[str, Any]:
    """The record without values.

    Args:
        lock_steps, seconds: what this command did, and the time of the lock-steps alone; less than all if it resumed a run.
        wall: the time of everything.
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


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report in a run's folder; None before the run's end.

    Raises:
        CorruptStateError: if the file is none.
    """
    path = folder / RESULT_NAME
    if not path.is_file():
        return None
    try:
        report: dict[str, Any] = json.loads(path.read_bytes())
        values = [report.get(name) for name in ("value", "optimum", "gap")]
        if isinstance(report["learner_digest"], str) and all(isinstance(value, float | int | None) for value in values):
            return report
        raise ValueError("its values are no numbers, or its digest is none")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptStateError(
            f"{path} is no report of a run: {error}. Nothing was read from it. Remove it, and give the same command again: "
            "what was learned is in the agents' folders."
        ) from error


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Keep the report in the run's folder."""
    atomic_file.replace(folder / RESULT_NAME, (json.dumps(dict(report), indent=2) + "\n").encode("utf-8"))
