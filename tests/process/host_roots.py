"""A file system root for each host: what is installed is there to be read, everything else is the host's own.

A host sees the programs of this machine, this interpreter with its packages, and this package; its home, /tmp and /etc/hosts
are its own, and the other hosts' are nowhere. One host, the laptop, has no network, and the homes of the others below
/hosts: its ``scp`` copies there, in place of a connection that somebody would have set up.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.console import scripts
from tests.process.hosts import Hosts

ROOT = Path(__file__).parents[2]
HOME = Path("home/dadc")
LAPTOP = "laptop"
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc", "dev", "proc")
_SCP = """#!/bin/sh
set -e
place() { case $1 in *:*) echo "/hosts/${1%%:*}/home/dadc/${1#*:}" ;; *) echo "$1" ;; esac; }
[ "$1" = -r ] && shift
cp -r "$(place "$1")" "$(place "$2")"
"""


class HostRoots:
    """Roots for a server, K agents and the laptop, below one folder; the mounts are private to each command."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self._folder = folder
        self._namespaces = {"server": hosts.server, **{f"host-{k}": hosts.agent(k) for k in hosts.agents}}
        addresses = {f"host-{k}": f"{hosts.server_address(k)} server\n" for k in hosts.agents}
        for name in (LAPTOP, *self._namespaces):
            self.home(name).mkdir(parents=True)
            (folder / name / "tmp").mkdir()
            scripts(folder / name / "commands")
            (folder / name / "hosts.txt").write_text(f"127.0.0.1 localhost\n{addresses.get(name, '')}", encoding="utf-8")
        scp = folder / LAPTOP / "commands" / "scp"
        scp.write_text(_SCP, encoding="utf-8")
        scp.chmod(0o755)

    def home(self, name: str) -> Path:
        """Where a host's user is."""
        return self._folder / name / HOME

    def line(self, name: str, typed: str) -> list[str]:
        """The command line that runs what was ``typed`` on a host; the process keeps its id."""
        root = self._folder / name
        setup = ["set -e", *(self._mount(root, Path("/", one)) for one in _SYSTEM)]
        setup += [self._mount(root, path) for path in sorted({Path(sys.prefix), Path(sys.base_prefix), ROOT})]
        setup.append(f"mount --bind {shlex.quote(str(root / 'hosts.txt'))} {shlex.quote(str(root / 'etc/hosts'))}")
        if name == LAPTOP:
            setup += [self._mount(root, self._folder / other, root / "hosts" / other) for other in self._namespaces]
        inside = f"cd /{HOME} && {_exec(typed)}"
        setup.append(f"exec {shutil.which('chroot')} {shlex.quote(str(root))} /bin/bash -c {shlex.quote(inside)}")
        apart = ["unshare", "--mount", "--propagation", "private", "/bin/bash", "-c", "\n".join(setup)]
        if name == LAPTOP:
            return ["unshare", "--net", *apart]
        return ["ip", "netns", "exec", self._namespaces[name], *apart]

    def environment(self) -> Mapping[str, str]:
        """Of a user who has installed the package and set nothing."""
        path = os.pathsep.join(["/commands", "/usr/local/bin", "/usr/bin", "/bin"])
        return {"PATH": path, "HOME": f"/{HOME}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}

    def run(self, name: str, typed: str, timeout: float) -> str:
        """Run a command on a host to its end; what it printed."""
        done = subprocess.run(
            self.line(name, typed), env=self.environment(), capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"{name}$ {typed}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name: str, typed: str) -> subprocess.Popen[str]:
        """Start a command on a host."""
        return subprocess.Popen(
            self.line(name, typed), env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _mount(self, root: Path, path: Path, at: Path | None = None) -> str:
        """Shell that shows ``path`` in a root, read-only but for devices and the homes that the laptop copies to."""
        inside = root / path.relative_to("/") if at is None else at
        if path.is_symlink():
            if not inside.is_symlink():
                inside.parent.mkdir(parents=True, exist_ok=True)
                inside.symlink_to(os.readlink(path))
            return ":"
        if not path.exists():
            return ":"
        inside.mkdir(parents=True, exist_ok=True)
        there, here = shlex.quote(str(path)), shlex.quote(str(inside))
        return f"mount --rbind {there} {here}"


def _exec(typed: str) -> str:
    """A single program becomes the process itself, so that it can be killed; a line with several stays a shell's."""
    return typed if any(sign in typed for sign in ";&|") else f"exec {typed}"


def available() -> None:
    """Fail, and say why, where the tools are missing."""
    missing = [tool for tool in ("unshare", "chroot", "mount", "ip") if shutil.which(tool) is None]
    assert not missing, f"{', '.join(missing)} are needed to make hosts with a root of their own"
