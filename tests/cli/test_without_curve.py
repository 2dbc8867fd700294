"""A ZeroMQ that was built without encryption: a sentence at every command that needs a key, and nothing half made."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import click
import pytest
import zmq
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.cli.parties import agent_command, environment_command
from dadc_net.errors import AuthenticationError
from dadc_net.runtime import doctor
from dadc_net.wire.keys import write_keys

COMMANDS: dict[str, tuple[click.Command, list[str]]] = {
    "keys": (dadc, ["keys", "new"]),
    "environment, first start": (environment_command, ["--task", "mabc", "--keys", "new", "--no-trial"]),
    "environment": (environment_command, ["--task", "mabc", "--keys", "keys", "--no-trial"]),
    "agent": (agent_command, ["--id", "1", "--keys", "keys", "--seed", "7"]),
}


@pytest.fixture
def without_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with keys, on a host whose library knows no CURVE."""

    def unknown(*_: object) -> None:
        raise zmq.ZMQError(errno.ENOTSUP)

    write_keys(tmp_path / "keys", 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zmq, "has", lambda _: False)
    monkeypatch.setattr(zmq, "curve_keypair", unknown)
    monkeypatch.setattr(zmq, "curve_public", unknown)
    return tmp_path


@pytest.mark.parametrize("what", COMMANDS)
def test_every_command_that_needs_a_key_says_so(what: str, without_curve: Path) -> None:
    command, arguments = COMMANDS[what]
    before = {path: path.read_bytes() for path in (without_curve / "keys").iterdir()}
    shown = CliRunner().invoke(command, arguments)
    assert isinstance(shown.exception, AuthenticationError)
    assert "was built without CURVE" in str(shown.exception)
    assert "--force-reinstall pyzmq" in str(shown.exception)
    assert not (without_curve / "new").exists()
    assert {path: path.read_bytes() for path in (without_curve / "keys").iterdir()} == before


def test_the_doctor_finds_it(without_curve: Path) -> None:
    shown = CliRunner().invoke(dadc, ["doctor", str(without_curve), "--quick", "--json"])
    states = {finding["what"]: finding["state"] for finding in json.loads(shown.stdout)["findings"]}
    assert states["encryption"] == doctor.BAD
