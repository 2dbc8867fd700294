"""A short run of every algorithm on fixed records, with every kind of theta that it takes: what the self-test compares
beside the primitives.

The primitives say which function of a host errs. These runs say that the functions are put together as they are elsewhere:
a host may compute every primitive right and still hold another version of an algorithm. Records come from raw Philox
words; episodes end and begin within a batch, and the learner acts in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.coordinator.algorithms.spec import Trial
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.golden import GOLDEN
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.exact import canonical
from dadc_net.exact.digest import digest
from dadc_net.exact.selftest import KnownAnswers
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space

_COPIES, _LOCK_STEPS, _UPDATES = 2, 6, 2
_END = 3
_TRUNCATED, _TERMINATED = 1, 2
_SPACE = FiniteSpace((2, 3))
_THETAS: dict[str, Space] = {
    "menu": FiniteSpace((3,)),
    "factored": FiniteSpace((2, 3, 2)),
    "box": BoxSpace((-1.0, 0.0), (1.0, 2.0)),
}


def _settings(algorithm: str, trial: Trial) -> CoordinatorSettings:
    return CoordinatorSettings(
        num_agents=2,
        updates=_UPDATES,
        discount=0.9,
        algorithm=algorithm,
        common_space=_SPACE.to_plain(),
        theta_space=_THETAS[trial.theta].to_plain(),
        learner=LearnerSettings(num_envs=_COPIES, batch_steps=_COPIES * _LOCK_STEPS, hidden_size=4),
        ais=AisSettings(size=4),
        own={} if trial.own is None else {trial.own.section: trial.own},
    )


def _records(ending: int) -> Iterator[CommonRecord]:
    """All records of the run; copy 1 ends, by ``ending``, and begins anew in the middle of the first batch."""
    stream = Stream("selftest/learner", seed_bytes(7))
    for step in range(_UPDATES * _LOCK_STEPS + 1):
        draws = stream.uniforms(step, _COPIES, 2)
        begin, ended = np.full(_COPIES, step == 0), np.zeros(_COPIES, dtype=np.uint8)
        begin[1] |= step == _END
        ended[1] = ending if step == _END else 0
        rewards = draws[:, 1] * 2.0 - 1.0 if step else np.zeros(_COPIES)
        yield CommonRecord(step, _SPACE.values((draws[:, 0] * _SPACE.num_values).astype(np.int64)), rewards, begin, ended)


def _run(algorithm: str, trial: Trial) -> bytes:
    """Digest of the learner after two updates, of what it chose on the way, and of its scores."""
    coordinator = Coordinator(_settings(algorithm, trial), seed_bytes(7))
    ending = _TERMINATED if ALGORITHMS[algorithm].knows_termination else _TRUNCATED
    decisions = [coordinator.receive(record) for record in _records(ending)]
    chosen = [decision.prescriptions for decision in decisions if decision.prescriptions is not None]
    scores = coordinator.algorithm.greedy()(decisions[-1].ais)
    return digest(coordinator.digest(), canonical.encode(np.stack(chosen)), canonical.encode(scores))


_RUNS: dict[str, Callable[[], bytes]] = {
    trial.label: partial(_run, algorithm, trial) for algorithm, spec in ALGORITHMS.items() for trial in spec.trials()
}
LEARNERS = KnownAnswers(_RUNS, GOLDEN)
"""Two updates of every algorithm, and the committed digests."""
