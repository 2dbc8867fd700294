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

from dadc_net.coordinator.compatibility import kinds_of_theta
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.golden import GOLDEN
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.algorithms import NafSettings, PlanningSettings, TrpoSettings
from dadc_net.coordinator.settings.coordinator import ALGORITHMS, CoordinatorSettings
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
_THETAS: dict[str, Space] = {"menu": FiniteSpace((3,)), "box": BoxSpace((-1.0, 0.0), (1.0, 2.0))}


def _settings(algorithm: str, theta: Space, plays: str) -> CoordinatorSettings:
    return CoordinatorSettings(
        num_agents=2,
        updates=_UPDATES,
        discount=0.9,
        algorithm=algorithm,
        common_space=_SPACE.to_plain(),
        theta_space=theta.to_plain(),
        learner=LearnerSettings(num_envs=_COPIES, batch_steps=_COPIES * _LOCK_STEPS, hidden_size=4),
        ais=AisSettings(size=4),
        trpo=TrpoSettings(conjugate_gradient_steps=2, line_search_steps=2, value_steps=1),
        planning=PlanningSettings(
            memory_steps=_COPIES * _LOCK_STEPS * _UPDATES,
            model_steps=1,
            windows=2,
            window=4,
            warm_up=1,
            states=3,
            value_steps=1,
            value_hidden_size=4,
            uniform_share=0.0,
        ),
        naf=NafSettings(
            plays=plays,
            memory_steps=_COPIES * _LOCK_STEPS * _UPDATES,
            steps=1,
            windows=3,
            window=2,
            warm_up=1,
            first_steps=0,
            hidden_size=4,
        ),
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


def _run(algorithm: str, theta: Space, plays: str = "peak") -> bytes:
    """Digest of the learner after two updates, of what it chose on the way, and of its scores."""
    coordinator = Coordinator(_settings(algorithm, theta, plays), seed_bytes(7))
    # The learned model of ais-planning knows no termination, and refuses it.
    ending = _TRUNCATED if algorithm == "ais-planning" else _TERMINATED
    decisions = [coordinator.receive(record) for record in _records(ending)]
    chosen = [decision.prescriptions for decision in decisions if decision.prescriptions is not None]
    scores = coordinator.algorithm.greedy()(decisions[-1].ais)
    return digest(coordinator.digest(), canonical.encode(np.stack(chosen)), canonical.encode(scores))


def _runs() -> dict[str, Callable[[], bytes]]:
    runs: dict[str, Callable[[], bytes]] = {
        f"learner {algorithm}" + (", continuous theta" if kind == "box" else ""): partial(_run, algorithm, _THETAS[kind])
        for algorithm in ALGORITHMS
        for kind in kinds_of_theta(algorithm)
    }
    return {**runs, "learner naf-dqn, corners of theta": partial(_run, "naf-dqn", _THETAS["box"], "corners")}


LEARNERS = KnownAnswers(_runs(), GOLDEN)
"""Two updates of every algorithm, and the committed digests."""
