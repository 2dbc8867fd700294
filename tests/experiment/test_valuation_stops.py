"""A signal ends a valuation, however long that would take; the run that was valued is kept."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.errors import Interrupted
from dadc_net.experiment.result_file import read_report
from dadc_net.experiment.valuer import Valuer
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Checkpointed
from tests.runtime.test_events import Remembers

pytestmark = pytest.mark.timeout(60)


class Endless:
    """An evaluator that computes until somebody stops it, who does so at once with ``number``; None: it must not begin."""

    def __init__(self, number: int | None) -> None:
        self._number = number

    def exact(self, *_: Any) -> None:
        if self._number is None:
            raise RuntimeError("nobody was to begin")
        os.kill(os.getpid(), self._number)
        while True:
            np.ones(100).sum()

    compared = exact


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    made = StopRequest()
    made.install()
    yield made
    for number, handler in before:
        signal.signal(number, handler)


def valuer(stop: StopRequest, told: Remembers, number: int | None) -> Valuer:
    made = Valuer(resolve("mabc"), lambda _: ({}, 1), told, stop)
    made._evaluator = Endless(number)  # type: ignore[assignment]
    return made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_during_a_run_it_goes_without_the_value(number: signal.Signals, stop: StopRequest) -> None:
    told = Remembers()
    valuer(stop, told, number).on(Checkpointed(agent=1, update=1))
    assert stop.reason == number.name
    assert told.heard == []


def test_at_the_end_it_says_how_to_value_it(stop: StopRequest, tmp_path: Path) -> None:
    report = {"value": None, "task": "mabc", "learner_digest": "00"}
    with pytest.raises(Interrupted, match=rf"^stopped by SIGINT while .* kept\. Then: dadc evaluate {tmp_path}$"):
        valuer(stop, Remembers(), signal.SIGINT).finish(tmp_path, report, {})
    kept = read_report(tmp_path)
    assert kept is not None
    assert kept["task"] == "mabc"


def test_one_that_was_stopped_before_is_not_begun(stop: StopRequest) -> None:
    stop.request("SIGTERM")
    told = Remembers()
    valuer(stop, told, None).on(Checkpointed(agent=1, update=1))
    assert told.heard == []


def outside(stop: StopRequest) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)


def inside(stop: StopRequest) -> None:
    with stop.interrupting():
        outside(stop)


@pytest.mark.parametrize(("where", "raised"), [(outside, False), (inside, True)])
def test_a_signal_raises_only_where_nobody_waits(
    where: Callable[[StopRequest], None], raised: bool, stop: StopRequest
) -> None:
    found = False
    try:
        where(stop)
    except KeyboardInterrupt:
        found = True
    assert found is raised
    assert stop.reason == "SIGINT"
