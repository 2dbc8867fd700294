"""Where the transport's threads stay."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import zmq

from dadc_net.runtime.placement import Placement
from dadc_net.wire import options


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores, which do not begin at 0; this process is number 9."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {6, 2, 3, 5})
    monkeypatch.setattr(os, "getpid", lambda: 9)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("agents", [4, 5, 7])
def test_processes_take_turns_where_there_are_more_of_them_than_cores(agents: int) -> None:
    placement = Placement(agents)
    assert [placement.core(agent) for agent in range(agents + 1)] == [3, 5, 6, 2, 3, 5, 6, 2][: agents + 1]


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("agents", [1, 3, 8, 100])
def test_the_system_decides_where_each_has_a_core_and_where_none_is_idle(agents: int) -> None:
    placement = Placement(agents)
    assert {placement.core(agent) for agent in range(agents + 1)} == {None}


@pytest.mark.parametrize("found", [{4}, set()])
def test_a_single_core_needs_no_choice(found: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: found)
    assert Placement(1).core(0) is None


def test_a_system_that_cannot_be_told_decides_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert Placement(2).core(1) is None


def affinities(context: options.Context) -> list[set[int]]:
    """Of the threads that a socket of ``context`` brings; those of others in this process are left out."""
    before = set(os.listdir("/proc/self/task"))
    socket = context.socket(zmq.DEALER)
    try:
        deadline, found = time.monotonic() + 10, list[int]()
        while not found and time.monotonic() < deadline:  # A thread gives itself its name, and its core before that.
            threads = set(os.listdir("/proc/self/task")) - before
            found = [int(thread) for thread in threads if "IO" in Path(f"/proc/self/task/{thread}/comm").read_text()]
        return [os.sched_getaffinity(thread) for thread in found]
    finally:
        socket.close(0)
        context.term()


def test_the_transports_thread_stays_and_the_main_thread_does_not() -> None:
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    assert affinities(options.new_context(core)) == [{core}]
    assert os.sched_getaffinity(0) == allowed


def test_without_a_core_the_thread_runs_anywhere() -> None:
    """The control of the test above, where this machine has two cores."""
    assert affinities(options.new_context()) == [os.sched_getaffinity(0)]


def test_a_core_that_is_gone_is_not_insisted_on() -> None:
    """The transport would end the process."""
    assert affinities(options.new_context(100_000)) == [os.sched_getaffinity(0)]


def test_a_sandbox_that_forbids_it_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    assert affinities(options.new_context(max(os.sched_getaffinity(0)))) == [os.sched_getaffinity(0)]
