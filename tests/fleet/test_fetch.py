"""Building hosts: what fails says why, and leaves nothing behind that looks finished. Runs with every test run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fleet import fetch, test_fleet
from tests.fleet.hosts import FLEET, NATIVE, Host, Interpreter


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("DADC_FLEET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_folder_appears_when_it_is_complete_and_is_built_once(own_cache: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "part").write_text("x", encoding="utf-8")
        assert not (own_cache / "host").exists()

    assert fetch.once("host", build) == fetch.once("host", build) == own_cache / "host"
    assert len(built) == 1
    assert (own_cache / "host" / "part").read_text(encoding="utf-8") == "x"


def test_what_was_interrupted_is_not_taken_for_finished(own_cache: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "part").write_text("x", encoding="utf-8")
        raise fetch.CannotBuild("no network")

    with pytest.raises(fetch.CannotBuild, match="no network"):
        fetch.once("host", interrupted)
    assert list(own_cache.iterdir()) == []


def test_a_client_that_fails_or_is_missing_is_quoted() -> None:
    with pytest.raises(fetch.CannotBuild, match=r"failed with 3:\n.*out of space"):
        fetch.call(sys.executable, "-c", "import sys; print('out of space', file=sys.stderr); sys.exit(3)")
    with pytest.raises(fetch.CannotBuild, match="no-such-client is missing"):
        fetch.call("no-such-client")
    assert fetch.call(sys.executable, "-c", "print(7)") == "7\n"


def test_a_host_that_cannot_be_built_fails_its_test() -> None:
    def impossible() -> Interpreter:
        raise fetch.CannotBuild("there is no emulator")

    with pytest.raises(pytest.fail.Exception, match="'moon' cannot be built here: there is no emulator"):
        test_fleet.report_of(Host("moon", impossible))


def test_a_host_sees_none_of_this_processs_numerical_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("DADC_FAST", "0")
    process = NATIVE.start("-c", "import os; print(sorted(k for k in os.environ if k.startswith(('ATEN', 'DADC'))))")
    out, err = process.communicate(timeout=60)
    assert out.strip() == "[]", err


def test_hosts_have_names_of_their_own() -> None:
    assert len({host.name for host in FLEET}) == len(FLEET)
