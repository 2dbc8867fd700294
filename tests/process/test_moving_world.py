"""A world that cannot be wound back, whose server is killed for good at exact points, on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dadc_net.config import resolve
from dadc_net.node.record import CommonLayout
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.team.spaces import space_from_plain
from tests.process.commands import SMALL, run, wait_for
from tests.process.conftest import MakeTeam
from tests.process.process_team import SERVER
from tests.process.test_kill_points import POINTS, with_kill_point

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
PLANT = ("--task", "tests.moving_world:make_task", *SMALL)
NAMES = (
    "server before it writes down the first record",
    "server before it writes down a record",
    "server between journal and publication",
    "server in the middle of a publication",
    "server with the environment moved, before it is written down",
    "server at the last answers",
    "server with the last answers written down",
    "agent with the answer computed and not sent",
)
IN_CI = NAMES[3]


def cuts_in(server_state: Path) -> list[int]:
    """Records that mark copies as cut."""
    settings = resolve("tests.moving_world:make_task", ("learner.num_envs=4",)).settings
    layout = CommonLayout(space_from_plain(settings.common_space), 4)
    reader = JournalReader(server_state)
    records = [layout.unpack(record) for record in reader.records()]
    reader.close()
    return [record.step for record in records if record.cut is not None]


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == IN_CI else pytest.mark.faults) for name in NAMES])
def test_whoever_is_killed_agents_stay_equal(name: str, team: MakeTeam) -> None:
    party, point = POINTS[name]
    running = team(PLANT)
    with_kill_point(party, point, running)
    wait_for(lambda: party in running.reap(party), f"the kill {name}", 150)
    running.start(party)
    running.supervise(180)
    assert len(set(running.digests().values())) == 1, running.errors()
    states = [str(running.state(one)) for one in running.parties]
    checked = run(running.folder, "dadc", "check", *states, "--recompute", "--seed", str(running.seed), "--json")
    assert checked.code == 0, checked.err
    assert (checked.last["consistent"], checked.last["complete"]) == (True, True)
    cuts = cuts_in(Path(states[0]))
    # Before the first record nothing is lost, after the last answers nothing is left, and an agent can be led again.
    expected = 1 if party == SERVER and "first" not in name and "last" not in name else 0
    assert len(cuts) == expected, cuts
