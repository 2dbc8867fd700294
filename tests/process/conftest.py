"""The undisturbed result that every disturbed run must give, and teams that are ended with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.process.commands import SMALL, end_started, run
from tests.process.process_team import ProcessTeam

MakeTeam = Callable[..., ProcessTeam]
LONGER = ["--updates", "20", "--num-envs", "4", "--set", "learner.batch_steps=400"]
"""2000 records: long enough to be hit a hundred times on the way."""


@lru_cache
def simulated_digest(options: Sequence[str], seed: int, folder: Path) -> str:
    """Learner digest of ``dadc simulate``."""
    ended = run(folder, "dadc", "simulate", "mabc", "--seed", str(seed), *options, "--json")
    assert ended.code == 0, ended.err
    return str(ended.last["learner_digest"])


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """``undisturbed(options, seed=7)``: the digest of a simulation, computed once."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return lambda options=SMALL, seed=7: simulated_digest(tuple(options), seed, folder)


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """What a test that fails has started does not outlive it."""
    yield
    end_started()


@pytest.fixture
def team(tmp_path: Path) -> Iterator[MakeTeam]:
    """``team(options, ...)``: processes of one run, started by the test and ended with it."""
    made: list[ProcessTeam] = []

    def make(options: Sequence[str] = tuple(SMALL), **more: Any) -> ProcessTeam:
        made.append(ProcessTeam(tmp_path / f"team-{len(made)}", options, **more))
        return made[-1]

    yield make
    for one in made:
        one.end()


def assert_undisturbed(ended: ProcessTeam, expected: str) -> None:
    """Everybody printed the expected digest, and the journals agree."""
    assert ended.digests() == dict.fromkeys(ended.parties, expected)
    checked = run(ended.folder, "dadc", "check", *(str(ended.state(party)) for party in ended.parties), "--json")
    assert checked.code == 0, checked.out + checked.err
    assert (checked.last["consistent"], checked.last["complete"]) == (True, True)
    assert checked.last["learner_digest"] == expected


def assert_mended(stopped: ProcessTeam, expected: str) -> None:
    """Started again, with whatever was done to its folders, the run ends as if nothing had been."""
    stopped.start()
    stopped.supervise(120)
    assert_undisturbed(stopped, expected)
