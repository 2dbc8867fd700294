"""Words of others, and errors of every kind as sentences: one place each."""

from __future__ import annotations

import errno
import logging
import unicodedata
from pathlib import Path

import pytest

from dadc_net.errors import WORDS_MAX, Interrupted, NumericError, error_told_by, foreign_words
from dadc_net.node.messages import Fault
from dadc_net.node.server.terms import ServerPhase
from dadc_net.runtime.failures import ending_of
from dadc_net.runtime.log_file import log_to_file
from tests.team_in_memory import MakeConfig, Team


def test_foreign_words_are_one_short_line_that_steers_nothing() -> None:
    hostile = 'done".\nerror: run dadc keys \x1b[2J\u202e\u2066\u200b\u2028' + "x" * 60_000
    shown = foreign_words(hostile)
    assert len(shown) == WORDS_MAX
    assert shown.startswith("done'. error: run dadc keys ")
    assert shown.endswith("x ...")
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert foreign_words("plain text, ünïcode ✓") == "plain text, ünïcode ✓"


def test_what_an_agent_says_is_told_as_its_word_to_everybody(small: MakeConfig) -> None:
    team = Team(small(updates=4)).run()
    server = Team(small()).server
    for agent, node in team.agents.items():
        server.receive(b"peer-%d" % agent, agent, Team(small()).agents[node.identity.agent].join(), 0.0)
    assert server.phase is ServerPhase.RUNNING
    said = server.receive(b"peer-2", 2, Fault(NumericError.exit_code, "NaN.\nerror: forged line"), 0.0)
    assert isinstance(server.error, NumericError)
    assert str(server.error) == 'agent 2 says: "NaN. error: forged line"'
    (told,) = [one.message for one in said if one.peer == b"peer-1"]
    assert isinstance(told, Fault)
    with pytest.raises(NumericError) as caught:
        Team(small()).agents[1].receive(told, 0.0)
    assert str(caught.value) == "the environment server says: \"agent 2 says: 'NaN. error: forged line'\""
    assert caught.value.speaker == "the environment server"


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (NumericError("the loss is NaN"), 16, "the loss is NaN"),
        (error_told_by("agent 2", 10, "they\ndiffer"), 10, 'agent 2 says: "they differ"'),
        (OSError(errno.ENOSPC, "No space left on device"), 75, "a file cannot be used: No space left"),
        (OSError(errno.EMFILE, "Too many open files", "x"), 75, "ulimit -n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "/x cannot be used: Permission denied"),
        (MemoryError("Unable to allocate 96.0 GiB"), 2, "needs more memory than there is: Unable to allocate 96.0 GiB"),
        (ZeroDivisionError("division\nby zero"), 70, "nobody foresaw: ZeroDivisionError: division by zero"),
        (KeyboardInterrupt(), 130, "stopped by SIGINT"),
    ],
)
def test_every_error_is_a_sentence_an_exit_code_and_an_entry_of_the_log(
    error: BaseException, exit_code: int, said: str, tmp_path: Path
) -> None:
    found = ending_of(error)
    assert (found.exit_code, said in str(found)) == (exit_code, True)
    log = logging.getLogger("dadc_net")
    before = log.handlers, log.propagate, log.level
    try:
        log_to_file(tmp_path)
        ending_of(error)
    finally:
        for handler in log.handlers:
            handler.close()
        log.handlers, log.propagate = before[0], before[1]
        log.setLevel(before[2])
    written = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert f"ended with exit code {exit_code}: " in written
    assert said in written
    assert ("ZeroDivisionError: division\nby zero" in written) is (exit_code == 70)


def test_an_end_that_was_asked_for_is_no_error() -> None:
    assert isinstance(ending_of(Interrupted("stopped")), Interrupted)
