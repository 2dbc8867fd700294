"""``--observer``: whatever a user wants to hear of a run is one function in a file of theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.cli.observers import load_observers
from dadc_net.errors import UsageError
from dadc_net.runtime.events import Evaluated, Event, Learned, Updated

SHORT = ["--updates", "4", "--num-envs", "4", "--set", "learner.batch_steps=40", "--set", "evaluation.trajectories=10"]


class Counts:
    """Counts kinds of events, and writes them down when it is closed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "counts.json"
        self._counts: dict[str, int] = {}

    def on(self, event: Event) -> None:
        name = type(event).__name__
        self._counts[name] = self._counts.get(name, 0) + 1

    def close(self) -> None:
        self._path.write_text(json.dumps(self._counts), encoding="utf-8")


class Fails:
    """Made with a folder, and no good."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on(self, event: Event) -> None:
        raise RuntimeError("no connection to the dashboard")


def test_a_users_observer_hears_of_a_run_and_one_that_fails_does_not_end_it(tmp_path: Path) -> None:
    names = [f"{__name__}:Fails", f"{__name__}:Counts"]
    options = [part for name in names for part in ("--observer", name)]
    ended = CliRunner().invoke(dadc, ["simulate", "mabc", *SHORT, *options, "--out", str(tmp_path / "s")])
    assert ended.exit_code == 0, ended.output
    counts = json.loads((tmp_path / "s" / "counts.json").read_text())
    assert [counts[kind.__name__] for kind in (Updated, Learned, Evaluated)] == [4, 4, 4]
    assert ended.output.count("the observer Fails failed: RuntimeError: no connection to the dashboard") == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no.such.module:Counts", "cannot be loaded: No module"),
        (f"{__name__}:Nothing", "cannot be loaded: .*no attribute"),
        (f"{__name__}", "cannot be loaded"),
        ("pathlib:Path", r"has no method on\(event\)"),
    ],
)
def test_what_is_no_observer_is_refused_before_the_run(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why):
        load_observers((name,), tmp_path)
