"""What a configuration says to the environment side of a run: the team problem, its terms, and what identifies both."""

from __future__ import annotations

import json
from functools import partial

from dadc_net.config import RunConfig
from dadc_net.exact.digest import digest
from dadc_net.node.server.terms import RunTerms
from dadc_net.node.server.world import TeamProblem
from dadc_net.team.conformance.trial import try_out


def make_problem(config: RunConfig) -> TeamProblem:
    """The team problem that a configuration describes."""
    environment = config.task.environment(config.parameters, config.settings.learner.num_envs)
    restart = int(getattr(config.parameters, "restart_steps", 0))
    return TeamProblem(environment, config.structure, config.family, restart)


def try_environment(config: RunConfig) -> None:
    """Move fresh environments a few steps, twice, before a run begins.

    Raises:
        NumericError, UserCodeError: if they do not do what an environment must.
    """
    try_out(partial(config.task.environment, config.parameters), config.structure, config.settings.learner.num_envs)


def make_terms(config: RunConfig) -> RunTerms:
    """What the server is told of the learner."""
    settings = config.settings
    return RunTerms(
        settings.to_plain(),
        settings.digest(),
        settings.learner.batch_lock_steps,
        settings.updates,
        config.runtime.lockstep_timeout_s,
        config.runtime.join_timeout_s,
        settings.mode.one_learner,
        settings.start.rule,
    )


def environment_digest(config: RunConfig, environment_seed: bytes) -> bytes:
    """What identifies the environment side of a run: everything configured that can change a record, and the seed."""
    mapping = {key: value for key, value in config.to_plain().items() if key not in ("runtime", "evaluation")}
    return digest(json.dumps(mapping, sort_keys=True).encode("utf-8"), environment_seed)
