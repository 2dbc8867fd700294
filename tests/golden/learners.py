"""Golden learner digests: every algorithm on the multi-access broadcast problem, and continuous theta on demand response.

Every algorithm after 1, 10, 100 and 1,000 updates; actor-critic also after 100,000, with the smallest batches: long enough
for rare doubts of the rounding test, for schedules that end and for moments that decay.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.coordinator.coordinator import UpdateReport
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.runtime.events import Observer

LEARNERS = Path(__file__).with_name("learners.json")
MARKS = (1, 10, 100, 1000)
LONG_ALGORITHM, LONG_MARKS = "actor-critic", (1000, 10_000, 100_000)
OVERRIDES = (
    *("learner.num_envs=4", "learner.batch_steps=48", "ais.size=5", "learner.hidden_size=5"),
    *("planning.model_steps=1", "planning.windows=8", "planning.window=10", "planning.warm_up=3"),
    *("planning.value_steps=2", "planning.states=16", "planning.memory_steps=4000"),
    *("naf.steps=1", "naf.windows=8", "naf.window=10", "naf.warm_up=3", "naf.memory_steps=4000", "naf.hidden_size=16"),
)
OWN_OVERRIDES = {"ais-planning": ("ais.learning_rate=0.01",)}
"""What else is held fixed where a preset may move."""
LOAD_OVERRIDES = (
    *("env.agents=5", "learner.num_envs=2", "learner.batch_steps=24", "learner.hidden_size=6", "ppo.epochs=2"),
    *("naf.steps=2", "naf.windows=12", "naf.hidden_size=6", "naf.first_steps=50", "naf.memory_steps=2000"),
    "gaussian.learning_rate=0.02",
)
_ON_DEMAND_RESPONSE = ("actor-critic", "ppo", "trpo", "naf-dqn")
_FACTORED = ("ppo",)
RUNS = {
    **{algorithm: ("mabc", algorithm, ()) for algorithm in ALGORITHMS},
    **{f"demand-response {algorithm}": ("demand-response", algorithm, ()) for algorithm in _ON_DEMAND_RESPONSE},
    **{
        f"demand-response {algorithm}, factored": ("demand-response", algorithm, ("prescriptions=factored",))
        for algorithm in _FACTORED
    },
}
"""Name of a golden run -> task, algorithm, what else it sets."""
LONG_OVERRIDES = ("learner.num_envs=2", "learner.batch_steps=8", "ais.size=5", "learner.hidden_size=5")


def learner_digests(name: str, updates: int) -> dict[str, str]:
    """Digest of the run ``name`` after each mark up to ``updates``; demand response has five loads.

    Schedules always run over 1,000 updates, so that a short run is a prefix.
    """
    task, algorithm, further = RUNS[name]
    overrides = (*OVERRIDES, *OWN_OVERRIDES.get(algorithm, ())) if task == "mabc" else LOAD_OVERRIDES
    return _digests(resolve(task, (*overrides, *further), {"updates": MARKS[-1], "algorithm": algorithm}), MARKS, updates)


def long_digests() -> dict[str, str]:
    """Digests of the long run at its marks; five minutes or more."""
    config = resolve("mabc", LONG_OVERRIDES, {"updates": LONG_MARKS[-1], "algorithm": LONG_ALGORITHM})
    return _digests(config, LONG_MARKS, LONG_MARKS[-1])


class _Enough(Exception):
    """Ends a run."""


class _Noting(Simulation):
    """Keeps the learner's digest at the end of some updates, and ends the run after the last."""

    def __init__(self, config: RunConfig, marks: Sequence[int], updates: int) -> None:
        super().__init__(config, seed_bytes(7), seed_bytes(1), digests=True)
        self._marks, self._updates = marks, updates
        self.found: dict[str, str] = {}

    def _after_update(self, observer: Observer | None, update: int, reports: Sequence[UpdateReport | None]) -> None:
        super()._after_update(observer, update, reports)
        if update in self._marks and reports[0] is not None:
            self.found[str(update)] = reports[0].learner_digest.hex()
        if update == self._updates:
            raise _Enough


def _digests(config: RunConfig, marks: Sequence[int], updates: int) -> dict[str, str]:
    simulation = _Noting(config, marks, updates)
    with contextlib.suppress(_Enough):
        simulation.run()
    return simulation.found


def committed() -> dict[str, dict[str, str]]:
    """The committed digests by algorithm, and those of the long run."""
    stored: dict[str, dict[str, str]] = json.loads(LEARNERS.read_text(encoding="utf-8"))
    return stored


def write(names: Sequence[str]) -> None:
    """Compute the digests of the named runs (and of "long") and put them into the file, in a fixed order."""
    found = committed() if LEARNERS.is_file() else {}
    for name in names:
        found[name] = long_digests() if name == "long" else learner_digests(name, MARKS[-1])
    ordered = {name: found[name] for name in (*RUNS, "long") if name in found}
    LEARNERS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
