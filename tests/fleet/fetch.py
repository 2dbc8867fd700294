"""Fetching what a host is made of, with apt-get and pip, into folders beside one another; nothing is installed.

A folder appears under its name when it is complete, so an interrupted fetch is done again from the start.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

_WHEEL_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux2014", "manylinux_2_17")
_FETCH_SECONDS = 900


class CannotBuild(Exception):
    """A host that this machine cannot build; the text says why and what to do."""


def cache() -> Path:
    """Where fetched folders lie."""
    named = os.environ.get("DADC_FLEET_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "dadc-net-fleet"


def once(name: str, build: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache, filled by ``build`` if it is not there yet."""
    folder = cache() / name
    if not folder.is_dir():
        cache().mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{name}.unfinished-", dir=cache()))
        try:
            build(unfinished)
            unfinished.rename(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return folder


def call(*command: str | Path) -> str:
    """Run a client to its end and return what it printed. Raises CannotBuild with its own words."""
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise CannotBuild(f"{command[0]} is missing: {error}. Install it, or run the fleet on Debian.") from error
    except subprocess.TimeoutExpired as error:
        raise CannotBuild(f"{command[0]} did not end within {_FETCH_SECONDS} s: {error.cmd}") from error
    if done.returncode:
        raise CannotBuild(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def wheels(name: str, requirements: Sequence[str], machine: str, python: str = "3.11") -> Path:
    """Wheels of ``requirements`` (all named, dependencies are not followed) for ``machine``, unpacked for PYTHONPATH."""
    platforms = [option for tag in _WHEEL_PLATFORMS for option in ("--platform", f"{tag}_{machine}")]

    def build(folder: Path) -> None:
        call(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--no-compile"),
            *("--python-version", python, *platforms, "--target", folder, *requirements),
        )

    return once(name, build)


def debian(name: str, suite: str, machine: str, packages: Sequence[str]) -> Path:
    """Debian packages and all that they depend on, unpacked as a root folder.

    apt-get works in a folder of its own with lists of its own, for any architecture and suite; this machine's packages
    stay as they are. Where to fetch from is taken from this machine's own sources.
    """

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as place:
            options = _private_apt(Path(place), suite, machine)
            call("apt-get", *options, "--quiet", "update")
            call("apt-get", *options, "--quiet", "--yes", "--no-install-recommends", "--download-only", "install", *packages)
            archives = sorted(Path(place, "cache", "archives").glob("*.deb"))
            if not archives:
                raise CannotBuild(f"apt-get fetched nothing for {', '.join(packages)} of {suite} on {machine}")
            for archive in archives:
                call("dpkg-deb", "--extract", archive, folder)

    return once(name, build)


def _private_apt(place: Path, suite: str, machine: str) -> list[str]:
    for part in ("state/lists/partial", "cache/archives/partial", "parts"):
        (place / part).mkdir(parents=True)
    (place / "status").touch()
    sites = call("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
    sites = [site for site in dict.fromkeys(sites) if "security" not in site]
    if not sites:
        raise CannotBuild("apt-get knows no source of packages on this machine. Add one of Debian, and run apt-get update.")
    (place / "sources.list").write_text(f"deb [arch={machine}] {sites[0]} {suite} main\n", encoding="utf-8")
    settings = {
        "Dir::State": place / "state",
        "Dir::State::status": place / "status",
        "Dir::Cache": place / "cache",
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": place / "parts",
        "Dir::Etc::preferencesparts": place / "parts",
        "APT::Architecture": machine,
        "APT::Architectures": machine,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "true",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def emulator(machine: str) -> Path:
    """Statically linked user-mode emulator for programs of ``machine`` (x86_64 or aarch64)."""
    own = call("dpkg", "--print-architecture").strip()
    root = debian("emulator", "bookworm", own, ["qemu-user-static"])
    return root / "usr" / "bin" / f"qemu-{machine}-static"
