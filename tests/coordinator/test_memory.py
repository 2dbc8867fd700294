"""The replay memory: windows are what happened, warm-up does not count, and a ring forgets the oldest."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.memory import ReplayMemory, pick_below
from dadc_net.coordinator.prescription import Menu
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.spaces import FiniteSpace

SPACE = FiniteSpace((4,))
STEPS, COPIES = 5, 3


def batches(number: int) -> list[Batch]:
    """A log whose rewards are 100 copy + lock-step, with episodes of 7 steps."""
    total = number * STEPS + 1
    t = np.arange(total)[:, None]
    index = (t + np.arange(COPIES)) % 4
    begin = np.broadcast_to(t % 8 == 0, (total, COPIES))
    ended = np.broadcast_to(np.where(t % 8 == 7, 1, 0), (total, COPIES)).astype(np.uint8)
    theta = np.stack([(t + c) % 2 for c in range(COPIES)], axis=1)[..., 0]
    code = (np.roll(theta, 1, axis=0)[..., None] == np.arange(2)) * ~begin[..., None]
    inputs = np.concatenate((SPACE.features(index[..., None]), code.astype(np.float64)), axis=2)
    rewards = 100.0 * np.arange(COPIES) + t
    found = []
    for first in range(0, total - 1, STEPS):
        part, last = slice(first, first + STEPS + 1), first + STEPS
        keep = 1.0 - begin[part, :, None].astype(np.float64)
        found.append(
            Batch(
                inputs=inputs[part],
                keep=keep,
                start=np.zeros((COPIES, 6)),
                common_index=index[part],
                prescriptions=theta[first:last],
                rewards=rewards[first:last],
                ended=ended[part],
            )
        )
    return found


def filled(capacity: int, number: int) -> ReplayMemory:
    memory = ReplayMemory(capacity, COPIES, SPACE, Menu(2), 6)
    for batch in batches(number):
        memory.add(batch)
    return memory


@pytest.mark.parametrize(("capacity", "oldest"), [(100, 0), (12, 28)])
def test_windows_are_stretches_of_the_log(capacity: int, oldest: int) -> None:
    memory = filled(capacity, 8)
    windows = memory.windows(Stream("test", seed_bytes(1)), 0, 200, 6, 2)
    copy, step = np.divmod(windows.rewards, 100.0)
    assert (step[1:] == step[:-1] + 1).all()
    assert (copy == copy[0]).all()
    assert step.min() >= oldest
    assert step.max() < 40
    assert len(np.unique(step[0])) > min(4, capacity - 7)
    assert np.array_equal(windows.prescriptions, (step + copy) % 2)
    assert np.array_equal(windows.common_index[:-1], (step + copy) % 4)
    assert np.array_equal(windows.inputs[:, :, :4], SPACE.features(windows.common_index[..., None]))
    assert np.array_equal(windows.keep[:-1, :, 0] == 0.0, step % 8 == 0)
    previous = windows.inputs[1:, :, 4:]
    assert np.array_equal(previous[..., 1][step % 8 != 7], windows.prescriptions[step % 8 != 7])
    assert windows.start.shape == (200, 6)


def test_steps_count_after_the_warm_up_or_a_begin() -> None:
    memory = filled(100, 8)
    windows = memory.windows(Stream("test", seed_bytes(1)), 0, 200, 6, 2)
    _, step = np.divmod(windows.rewards, 100.0)
    place = np.arange(6)[:, None]
    begun = np.maximum.accumulate(step % 8 == 0, axis=0)
    assert np.array_equal(windows.valid > 0, ((place >= 2) | begun) & (step % 8 != 7))
    assert 0 < windows.valid.sum() < windows.valid.size


def test_too_short_a_past_gives_no_windows() -> None:
    assert not filled(100, 1).holds(5)
    assert filled(100, 2).holds(5)


def test_restored_it_gives_the_same_windows_and_digest() -> None:
    memory, other = filled(12, 8), ReplayMemory(12, COPIES, SPACE, Menu(2), 6)
    other.restore(memory.snapshot())
    assert other.head == memory.head
    one, two = (m.windows(Stream("test", seed_bytes(1)), 3, 20, 6, 2) for m in (memory, other))
    assert np.array_equal(one.inputs, two.inputs)
    assert np.array_equal(one.rewards, two.rewards)


def test_the_digest_covers_what_was_forgotten() -> None:
    assert filled(12, 8).head == filled(100, 8).head
    assert filled(12, 8).head != filled(12, 7).head


def test_picks_are_uniform_and_below_the_limit() -> None:
    picks = pick_below(Stream("test", seed_bytes(2)).words(0, 1, 30_000)[0], 7)
    assert picks.min() == 0
    assert picks.max() == 6
    assert np.abs(np.bincount(picks) / 30_000 - 1 / 7).max() < 0.01
