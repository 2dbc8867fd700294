"""What a party ends with where an engine starts everything again that does not end with 0."""

from __future__ import annotations

import signal

import click
import pytest

from dadc_net.cli.restarts import run_party
from dadc_net.errors import (
    FINAL_EXIT_CODES,
    AuthenticationError,
    DivergenceError,
    Interrupted,
    MismatchError,
    TemporaryError,
    UsageError,
)


def ended(error: Exception | None, monkeypatch: pytest.MonkeyPatch, rule: str | None) -> int:
    """The exit code of a party that fails with ``error``, under ``rule``."""

    @click.command()
    def command() -> None:
        if error is not None:
            raise error

    monkeypatch.setattr("sys.argv", ["dadc-agent"])
    if rule is None:
        monkeypatch.delenv("DADC_RESTART", raising=False)
    else:
        monkeypatch.setenv("DADC_RESTART", rule)
    with pytest.raises(SystemExit) as caught:
        run_party(command)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize("kind", [UsageError, DivergenceError, MismatchError, AuthenticationError])
def test_a_final_error_ends_with_0_and_says_so(
    kind: type[UsageError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rule in (None, "", "no"):
        assert ended(kind("Something. Differs. Mend it."), monkeypatch, rule) == kind.exit_code
        assert "final" not in capsys.readouterr().err
    assert ended(kind("Something. Differs. Mend it."), monkeypatch, "on-failure") == 0
    said = capsys.readouterr().err
    assert "error: Something. Differs. Mend it." in said
    assert f"exit code {kind.exit_code} is final" in said


@pytest.mark.parametrize("kind", [TemporaryError, Interrupted])
def test_what_may_go_better_next_time_keeps_its_code(kind: type[UsageError], monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(kind("text"), monkeypatch, "on-failure") == kind.exit_code
    assert kind.exit_code not in FINAL_EXIT_CODES
    assert 128 + signal.SIGKILL not in FINAL_EXIT_CODES


def test_an_error_that_nobody_foresaw_is_shown_and_final(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(ZeroDivisionError("oh"), monkeypatch, "on-failure") == 0
    said = capsys.readouterr().err
    assert "ZeroDivisionError: oh in " in said
    assert "Traceback" not in said
    assert "exit code 70 is final" in said
    monkeypatch.setenv("DADC_TRACEBACK", "1")
    assert ended(ZeroDivisionError("oh"), monkeypatch, "no") == 70
    assert "Traceback" in capsys.readouterr().err


def test_the_end_of_a_run_and_an_unknown_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(None, monkeypatch, "on-failure") == 0
    assert ended(None, monkeypatch, "always") == UsageError.exit_code
