"""Where the transport's threads of a real run stay, and that its main threads do not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.process.commands import SMALL, command, descendants, end_started, finish, start


def transport_cores(run: int) -> dict[str, tuple[frozenset[int], frozenset[int]]]:
    """Party -> the cores of its main thread, and of the one that sends and receives, once it has one."""
    found = {}
    for pid in descendants(run):
        try:
            name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b" of ")[0].decode()
            names = {int(task.name): (task / "comm").read_text() for task in Path(f"/proc/{pid}/task").iterdir()}
            threads = [thread for thread, said in names.items() if "ZMQbg/IO" in said]
            if threads and name.startswith("dadc "):
                found[name] = frozenset(os.sched_getaffinity(pid)), frozenset(os.sched_getaffinity(threads[0]))
        except (OSError, ValueError):
            continue  # It has ended meanwhile.
    return found


def test_on_two_cores_a_team_of_two_keeps_its_transport_in_place(tmp_path: Path) -> None:
    allowed = os.sched_getaffinity(0)
    both = frozenset(sorted(allowed)[:2])
    mask = ",".join(map(str, both))
    endless = [*SMALL, "--updates", "100000", "--set", "evaluation.every_updates=1000000"]
    process = start(tmp_path, *command("dadc", "run", "mabc", *endless, "--out", "run"), prefix=("taskset", "-c", mask))
    try:
        deadline, found = time.monotonic() + 60, transport_cores(process.pid)
        while len(found) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
            found = transport_cores(process.pid)
        assert sorted(found) == ["dadc agent-1", "dadc agent-2", "dadc server"]
        assert {main for main, _ in found.values()} == {both}
        server, first, second = (found[f"dadc {party}"][1] for party in ("server", "agent-1", "agent-2"))
        assert len(server) == 1
        assert (first, second) == (both - server or server, server)  # Or all of them on the only one.
    finally:
        process.send_signal(signal.SIGINT)
        ended = finish(process)
        end_started()
    assert ended.code == 130
