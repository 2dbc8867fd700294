"""The learners that ``dadc bench numerics`` compares: the exact one, with and without kernels, and plain torch."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from dadc_net.bench.plain_learner import PlainBatch, PlainLearner
from dadc_net.coordinator.coordinator import Coordinator, UpdateReport
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import InvariantError
from dadc_net.exact import acting, compiled
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import FiniteSpace, Space


def _records(settings: CoordinatorSettings, space: FiniteSpace) -> Iterator[CommonRecord]:
    """Common records of random observations and rewards; all copies begin at record 0 and never end."""
    stream, copies = Stream("bench", seed_bytes(2)), settings.learner.num_envs
    for step in range(settings.updates * settings.learner.batch_lock_steps + 1):
        draw = stream.uniforms(step, copies, 2)
        common = space.values((draw[:, 0] * space.num_values).astype(np.int64))
        rewards = draw[:, 1] * 2.0 - 1.0 if step else np.zeros(copies)
        yield CommonRecord(step, common, rewards, np.full(copies, step == 0), np.zeros(copies, dtype=np.uint8))


def _finite(space: Space) -> FiniteSpace:
    """Raises InvariantError where z is not finite; the bench's own problem is."""
    if not isinstance(space, FiniteSpace):
        raise InvariantError(f"the bench was given the common space {space}, and its records are values of a finite one")
    return space


class ExactVariant:
    """A replica that is fed records without end; one update is the record that closes a batch."""

    def __init__(self, settings: CoordinatorSettings, use_kernels: bool) -> None:
        self.use_kernels = use_kernels
        self.coordinator = Coordinator(settings, seed_bytes(7))
        self._records = _records(settings, _finite(self.coordinator.space))
        self.report: UpdateReport | None = None
        copies, inputs = settings.learner.num_envs, self.coordinator.space.feature_size + settings.num_prescriptions
        self._inputs, self._keep = np.zeros((copies, inputs)), np.ones((copies, 1))
        self._words = Stream("bench", seed_bytes(0)).words(0, copies, 1)[:, 0]
        self.switch()
        self.coordinator.receive(next(self._records))

    def switch(self) -> None:
        """Take this variant's arithmetic into use."""
        compiled.unload()
        if self.use_kernels and not compiled.load():
            raise InvariantError("numba was there a moment ago and is gone")

    def update(self) -> float:
        """CPU seconds of the record that closes the next batch: update, digests, and the acting step that follows."""
        while True:
            record = next(self._records)
            start = time.process_time()
            self.report = self.coordinator.receive(record).update
            if self.report is not None:
                return time.process_time() - start

    def act(self) -> None:
        """Encoder, recurrent step, actor and draw of E rows; moves nothing."""
        state = self._encode(self._inputs, self._keep, self._state)
        acting.draw(self._logits(state), self._words)

    def prepare_acting(self) -> None:
        """Round the present weights, as after an update."""
        coordinator = self.coordinator
        self._encode, self._logits = coordinator.approximator.behaviour(), coordinator.algorithm.behaviour(0)
        self._state = np.zeros((self._inputs.shape[0], coordinator.settings.ais.size))


class PlainVariant:
    """The plain learner on one batch of the same shape."""

    def __init__(self, settings: CoordinatorSettings, dtype: torch.dtype) -> None:
        exact = Coordinator(settings, seed_bytes(7))
        inputs, outcomes = exact.space.feature_size + settings.num_prescriptions, _finite(exact.space).num_values
        self._learner = PlainLearner(settings, inputs, outcomes, dtype)
        steps, copies = settings.learner.batch_lock_steps, settings.learner.num_envs
        draw = Stream("bench", seed_bytes(1)).uniforms(0, 1, (steps + 1) * copies * (inputs + 3))[0]
        cells = torch.from_numpy(draw.reshape(steps + 1, copies, inputs + 3))
        self._batch = PlainBatch(
            cells[:, :, :inputs].round().to(dtype),
            (cells[:, :, inputs] * outcomes).long(),
            (cells[:-1, :, inputs + 1] * settings.num_prescriptions).long(),
            (cells[:-1, :, inputs + 2] * 2.0 - 1.0).to(dtype),
        )
        self._start = torch.zeros(copies, settings.ais.size, dtype=dtype)

    def switch(self) -> None:
        """Nothing to do: torch is always there."""

    def update(self) -> float:
        """CPU seconds of one update."""
        start = time.process_time()
        self._learner.update(self._batch, self._start)
        return time.process_time() - start

    def prepare_acting(self) -> None:
        """Nothing to do: weights are used as they are."""

    def act(self) -> None:
        """One acting step of E rows."""
        self._learner.act(self._batch.inputs[0], self._start)


Variant = ExactVariant | PlainVariant
