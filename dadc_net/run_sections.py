"""The sections ``runtime`` and ``evaluation`` of a configuration, which can change no digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from dadc_net.schema import Checked, Range

_Trajectories = Annotated[int, Range(2, 10**7, "Give 2 to 10000000, or 0 for none.", or_zero=True)]
_Seconds = Annotated[float, Range(0, 1e7, "Give a positive number of seconds.", above=True)]
DRIVING = ("trajectories", "progress_trajectories", "monte_carlo_trajectories")
"""Keys of the section evaluation that ask for copies of the environment."""


@dataclass(frozen=True)
class RuntimeSettings(Checked, section="runtime"):
    """What concerns processes and clocks; it cannot change a digest."""

    lockstep_timeout_s: _Seconds = 300.0
    """How long the server waits while no agent makes progress: for a straggler, and for one that has gone to come back."""
    join_timeout_s: _Seconds = 300.0
    """How long the server waits for all agents to join."""
    journal: Literal["process", "host"] = "process"
    """What a run survives: ``process``, any killed process; ``host``, also a loss of power (every step is synced)."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Checked, section="evaluation"):
    """How the learned rule is valued; evaluation has streams of its own and cannot change a digest."""

    every_updates: Annotated[int, Range(0, remedy="Give 0 or more.")] = 0
    """Updates between evaluations during a run; 0: twenty times over the run."""
    trajectories: _Trajectories = 2000
    """Trajectories of the performance-difference estimator at the end; 0: none."""
    progress_trajectories: _Trajectories = 200
    """The same during the run, where evaluation competes with the team for cores; 0: none."""
    monte_carlo_trajectories: _Trajectories = 100
    """Plain Monte-Carlo returns, the paper's protocol; 0: none."""
    copies: Annotated[int, Range(0, 10**7, "Give 0 to 10000000.")] = 0
    """Copies of the environment that plain returns are taken from at once, again and again; 0: as many as returns."""
    plan_seconds: Annotated[float, Range(0, 1e7, "Give 0 to 10000000 seconds.")] = 5.0
    """How long the bounds of a finite task's optimum may be searched for, to value rules beside it by exact beliefs, which
    takes some seconds more; 0: the optimum stays unknown, and rules are valued by plain returns."""
