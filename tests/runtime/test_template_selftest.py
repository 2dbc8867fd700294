"""One self-test for all processes that are forked from one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import pytest

from dadc_net.errors import InvariantError, SelftestError
from dadc_net.exact import compiled
from dadc_net.exact.selftest import KnownAnswers, SelftestResult
from dadc_net.runtime import host, template_selftest

_RESULT = SelftestResult(True, b"digest", {"sum": b"\1"}, ())


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs whose answers are known, instead of all."""
    monkeypatch.setattr(compiled, "kernels", None)
    for name in ("ARITHMETIC", "LEARNERS"):
        monkeypatch.setattr(template_selftest, name, KnownAnswers({name: lambda: b"\7"}, {name: "07"}))


@pytest.mark.parametrize("with_kernels", [False, True])
def test_both_halves_are_made_and_compared(with_kernels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "load", lambda: True)
    found = template_selftest.forked_selftest(with_kernels)
    assert (found.ok, found.digests) == (True, {"ARITHMETIC": b"\7", "LEARNERS": b"\7"})


def test_what_either_half_computes_otherwise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "load", lambda: True)
    monkeypatch.setattr(template_selftest, "LEARNERS", KnownAnswers({"LEARNERS": lambda: b"\6"}, {"LEARNERS": "07"}))
    failures = template_selftest.forked_selftest(True).failures
    assert failures == ("LEARNERS", "LEARNERS (compiled)")
    assert template_selftest.forked_selftest(False).failures == ("LEARNERS",)


def test_a_half_that_dies_says_nothing_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getpid()

    def die(parts: Sequence[KnownAnswers]) -> Mapping[str, bytes]:
        assert os.getpid() != own
        os._exit(3)

    monkeypatch.setattr(template_selftest, "compute_digests", die)
    with pytest.raises(InvariantError, match="half of the self-test"):
        template_selftest.forked_selftest(False)


def test_a_fork_takes_the_result_and_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DADC_FAST", "0")
    monkeypatch.setattr(host, "selftest", lambda: pytest.fail("it was made already"))
    monkeypatch.setattr(host, "inherited", {False: _RESULT})
    assert host.checked_selftest() is _RESULT
    monkeypatch.setattr(host, "inherited", {False: SelftestResult(False, b"digest", {"sum": b"\2"}, ("sum",))})
    with pytest.raises(SelftestError, match="computes sum otherwise"):
        host.checked_selftest()


def test_another_setting_and_flushed_subnormals_want_a_test_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = SelftestResult(True, b"own", {}, ())
    monkeypatch.setenv("DADC_FAST", "0")
    monkeypatch.setattr(host, "selftest", lambda: own)
    monkeypatch.setattr(host, "inherited", {True: _RESULT})
    assert host.checked_selftest() is own
    monkeypatch.setattr(host, "inherited", {False: _RESULT})
    monkeypatch.setattr("dadc_net.exact.selftest.flushes_subnormals", lambda: True)
    assert host.checked_selftest() is own


