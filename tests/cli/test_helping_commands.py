"""What helps a user along: completion, a look at the host, and whose keys are missing."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

import dadc_net
from dadc_net.cli.main import dadc
from dadc_net.cli.parties import _server_keys
from dadc_net.runtime import doctor
from dadc_net.wire.keys import write_keys
from tests.process.commands import environment


def said(command: click.Command, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(command, arguments, prog_name=command.name)
    assert done.exit_code == code, done.output
    return done.output


def test_the_version_is_one() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{dadc_net.__version__}"\n' in project


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_all_three_programs(shell: str) -> None:
    script = said(dadc, "completion", shell)
    for program in ("dadc", "dadc-env", "dadc-agent"):
        assert f"_{program.upper().replace('-', '_')}_COMPLETE" in script
    if shutil.which(shell) is not None and shell == "bash":
        checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, timeout=30)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_a_shell_that_asks_is_answered() -> None:
    asked = {**environment(), "_DADC_COMPLETE": "bash_complete", "COMP_WORDS": "dadc ev", "COMP_CWORD": "1"}
    program = "import sys; sys.argv[0] = 'dadc'; from dadc_net.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program], env=asked, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "plain,evaluate", done.stderr


def test_a_doctor_finds_a_fit_host_fit(tmp_path: Path) -> None:
    found = json.loads(said(dadc, "doctor", str(tmp_path), "--quick", "--json"))["findings"]
    assert {"python", "torch", "numba", "encryption", "locale", "descriptors", "disk", "clock", "memory"} <= {
        finding["what"] for finding in found
    }
    assert not [finding for finding in found if finding["state"] == doctor.BAD]
    assert list(tmp_path.iterdir()) == [], "what it tries it takes away"
    assert re.search(r"^ok +file system +has modes", said(dadc, "doctor", str(tmp_path), "--quick"), re.MULTILINE)


def test_a_doctor_says_what_ails_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (64, 64))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _path: SimpleNamespace(free=10**6))
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup/memory.max").write_text("200000000\n", encoding="ascii")
    (tmp_path / "cgroup/pids.max").write_text("20\n", encoding="ascii")
    (tmp_path / "cgroup/cpu.max").write_text("50000 100000\n", encoding="ascii")
    monkeypatch.setattr(doctor, "_CGROUP", tmp_path / "cgroup")
    found = {finding.what: finding for finding in doctor.examine(tmp_path, quick=True)}
    for what in ("numba", "descriptors", "disk", "memory", "tasks"):
        assert (found[what].state, bool(found[what].remedy)) == (doctor.NOTE, True), what
    assert "of which 0.5 may be used" in found["processors"].found
    nowhere = said(dadc, "doctor", str(tmp_path / "none"), "--quick", code=1)
    assert "cannot be written" in nowhere
    assert "->" in nowhere


def test_a_server_says_whose_keys_are_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_keys(tmp_path / "k", 2)
    for agents, told in ((2, ""), (4, "agent 3, agent 4"), (12, "agent 9, agent 10 and 2 more")):
        assert _server_keys(tmp_path / "k", "tcp://127.0.0.1:1", agents, insecure=False) is not None
        said = capsys.readouterr().err
        assert told in said
        assert bool(said) == bool(told)
