"""What silence means to an agent, and when the server repeats itself."""

from __future__ import annotations

import itertools

from dadc_net.node.agent.silence import BEAT_SECONDS, DOUBT_SECONDS, SilenceWatch, Verdict
from dadc_net.node.server.probing import Probing
from dadc_net.node.server.resending import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Outstanding


def test_silence_is_calm_then_a_beat_then_a_doubt_then_the_end() -> None:
    watch = SilenceWatch(patience_s=20.0)
    watch.heard(100.0)
    found: dict[Verdict, float] = {}
    beats = doubts = 0
    for tenth in range(1000, 1210):
        verdict = watch.look(tenth / 10)
        found.setdefault(verdict, tenth / 10 - 100.0)
        beats += verdict is Verdict.BEAT
        doubts += verdict is Verdict.DOUBT
        if verdict is Verdict.LOST:
            break
    assert found[Verdict.CALM] == 0.0
    assert found[Verdict.BEAT] >= BEAT_SECONDS
    assert found[Verdict.DOUBT] >= DOUBT_SECONDS
    assert found[Verdict.LOST] >= 20.0
    assert (beats, doubts) == (16, 3)
    watch.heard(130.0)
    assert watch.look(130.5) is Verdict.CALM
    assert watch.silent(131.0) == 1.0


def test_a_record_is_sent_again_after_pauses_that_double() -> None:
    pace = Outstanding()
    pace.sent(1, 7, 0.0)
    assert pace.awaits(1, 7)
    assert not pace.awaits(1, 6)
    times = []
    for second in range(1, 400):
        for agent, step in pace.due(float(second)):
            assert (agent, step) == (1, 7)
            times.append(second)
            pace.sent(agent, step, float(second))  # as the server does, which does not shorten the pause
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times[0] == FIRST_PAUSE_SECONDS
    assert pauses[:4] == [4, 8, 16, 32]
    assert set(pauses[5:]) == {LONGEST_PAUSE_SECONDS}
    pace.answered(1)
    assert pace.due(1000.0) == []
    assert not pace.awaits(1, 7)


def test_nobody_is_asked_again_before_the_answer_except_ever_more_seldom() -> None:
    probing = Probing()
    asked = [second for second in range(301) if probing.ask(1, float(second))]
    assert asked == [0, 2, 6, 14, 30, 62, 122, 182, 242]
    probing.heard(1)
    assert not probing.ask(1, 242.5)
    for second in range(243, 250):  # Whoever answers is asked every second.
        assert probing.ask(1, float(second))
        probing.heard(1)
    probing.forget(1)
    assert probing.ask(1, 249.1)


def test_time_in_which_nobody_could_be_heard_does_not_count() -> None:
    pace = Outstanding()
    pace.sent(1, 7, 0.0)
    assert pace.busy(1)
    assert not pace.busy(2)
    pace.postpone(150.0)
    assert pace.due(151.9) == []
    assert pace.due(152.0) == [(1, 7)]
