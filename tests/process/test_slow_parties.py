"""Updates and environment steps that take minutes: nobody aborts, nobody is called gone, and the digest is right.

In the faults lane ten teams run at a time, each started when the one before it has begun: starting takes a processor, the
slow record takes none. DADC_SLOW_RUNS says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.process.commands import SMALL, wait_for
from tests.process.conftest import MakeTeam, assert_undisturbed
from tests.process.process_team import SERVER, ProcessTeam
from tests.process.slow_point import STEP, UPDATE, VARIABLE

pytestmark = [pytest.mark.process, pytest.mark.timeout(3000)]
long_lane = pytest.mark.faults
RUNS = int(os.environ.get("DADC_SLOW_RUNS", "10"))
RECORD = 12
"""Which call is slow: neither the first nor the last."""
Digest = Callable[..., str]


def slow_team(team: MakeTeam, party: str, seconds: float, how: str, *options: str) -> ProcessTeam:
    """A team in which one party takes ``seconds`` for a record."""

    def wrap(name: str, line: list[str]) -> list[str]:
        if name != party:
            return line
        script = "dadc-env" if party == SERVER else "dadc-agent"
        return [line[0], "-m", "tests.process.slow_point", script, *line[line.index("-c") + 2 :]]

    point = f"{STEP if party == SERVER else UPDATE}:{RECORD}:{seconds}:{how}"
    return team([*SMALL, *options], wrap=wrap, variables={party: {VARIABLE: point}})


def assert_nobody_was_blamed(running: ProcessTeam) -> None:
    for party in running.parties:
        log = running.log(party)
        assert not any(word in log for word in ("has gone", "connecting anew", "reads nothing", "did not answer")), log


@pytest.mark.parametrize(
    ("party", "seconds", "how", "runs"),
    [
        ("agent-2", 3, "hold", 1),
        (SERVER, 8, "sleep", 1),
        pytest.param("agent-2", 70, "sleep", RUNS, marks=long_lane),
        pytest.param("agent-2", 150, "hold", RUNS, marks=long_lane),
        pytest.param(SERVER, 70, "hold", RUNS, marks=long_lane),
        pytest.param(SERVER, 150, "sleep", RUNS, marks=long_lane),
    ],
)
def test_a_record_may_take_its_time(
    party: str, seconds: float, how: str, runs: int, team: MakeTeam, undisturbed: Digest
) -> None:
    expected = undisturbed(SMALL)
    teams = []
    for _ in range(runs):
        teams.append(slow_team(team, party, seconds, how).start())
        wait_for(lambda: "takes part in run" in teams[-1].log("agent-1"), "the beginning of the run", 600)
    for running in teams:
        assert set(running.wait_codes(seconds + 400).values()) == {0}, running.errors()
        codes, digests = running.codes, set(running.digests().values())
        print(f"{party} {seconds} s, {how}: exit codes {codes}, digests {digests}", flush=True)
        assert_undisturbed(running, expected)
        if (party, how) != (SERVER, "hold"):
            assert_nobody_was_blamed(running)


@pytest.mark.parametrize("party", ["agent-2", SERVER])
def test_past_the_limit_the_right_party_is_named(party: str, team: MakeTeam) -> None:
    running = slow_team(team, party, 600, "sleep", "--set", "runtime.lockstep_timeout_s=3")
    running.start()
    codes = {}
    for name in (SERVER, "agent-1"):
        codes[name] = running.running.pop(name).wait(90)
    assert codes == {SERVER: 75, "agent-1": 75}, running.errors()
    named = "agent 2 (connected) did not answer step" if party == "agent-2" else "the environment needed 3."
    other = "the environment needed" if party == "agent-2" else "did not answer"
    for name in codes:
        assert named in running.stderr(name), running.errors()
        assert other not in running.stderr(name)
