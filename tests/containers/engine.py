"""A Docker engine for the tests: the one that answers, or one that is started here and ended with the tests.

Where none answers, docker.io, docker-compose and debootstrap are installed with apt-get if they are missing (this needs root
on a Debian system), and dockerd is started by hand with a folder of its own. No image is fetched: the base image is made by
debootstrap from this machine's own package source. What pip needs on this machine to reach an index is taken from its usual
variables, and put into that base image: PIP_CERT, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL and, where it is a folder,
PIP_FIND_LINKS. DADC_CONTAINERS_BASE names a base image instead, DADC_CONTAINERS_CACHE the folder of all this.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGE = "dadc-net:local"
_PROGRAMS = {
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
}
"""Program -> Debian's package."""
_BUILD_SECONDS = 1800
_PATIENCE_SECONDS = 60


class CannotBuild(Exception):
    """This machine cannot have an engine or an image; the text says why and what to do."""


def call(*command: str | Path, seconds: float = 300, environment: dict[str, str] | None = None, given: str = "") -> str:
    """Run a program to its end and return what it printed. Raises CannotBuild with its own words."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            timeout=seconds,
            input=given,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{command[0]}: {error}") from error
    if done.returncode:
        raise CannotBuild(
            f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
    return done.stdout


def cache() -> Path:
    """Where the engine's own folder and the base image's files lie."""
    named = os.environ.get("DADC_CONTAINERS_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "dadc-net-containers"


def answers() -> bool:
    """Whether an engine answers at DOCKER_HOST, or where a client looks without it."""
    try:
        return subprocess.run(["docker", "version"], capture_output=True, timeout=60).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def start() -> subprocess.Popen[bytes] | None:
    """Start an engine with a folder of its own and point DOCKER_HOST at it; its log is beside its socket.

    One that tests which were killed have left there is used, and nothing is returned.
    """
    install(_PROGRAMS)
    folder = cache() / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    socket = f"unix://{folder}/docker.sock"
    os.environ["DOCKER_HOST"] = socket
    if answers():
        return None
    with open(folder / "dockerd.log", "wb") as log:
        engine = subprocess.Popen(
            [
                *("dockerd", "--host", socket, "--data-root", folder / "data", "--exec-root", folder / "exec"),
                *("--pidfile", folder / "dockerd.pid"),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not answers():
        if engine.poll() is not None or time.monotonic() > deadline:
            engine.terminate()
            raise CannotBuild(f"dockerd does not answer:\n{(folder / 'dockerd.log').read_text(encoding='utf-8')[-2000:]}")
        time.sleep(0.5)
    return engine


def install(programs: dict[str, str]) -> None:
    """Install the packages of programs that are missing."""
    missing = [package for program, package in programs.items() if shutil.which(program) is None]
    if missing and (os.geteuid() != 0 or shutil.which("apt-get") is None):
        raise CannotBuild(
            f"{', '.join(missing)} must be installed, which needs root and apt-get. Install them, or start an engine."
        )
    if missing:
        call("apt-get", "--quiet", "update")
        call("apt-get", "--quiet", "--yes", "--no-install-recommends", "install", *missing, seconds=_BUILD_SECONDS)


def base_image() -> str:
    """Name of an image with Python, made from this machine's package source unless one is named."""
    named = os.environ.get("DADC_CONTAINERS_BASE")
    if named:
        return named
    install(_PROGRAMS)
    settings, certificates, wheels = _pip_settings()
    what = repr((settings, certificates and certificates.stat().st_size, wheels and sorted(os.listdir(wheels))))
    name = f"dadc-base:{hashlib.sha256(what.encode()).hexdigest()[:12]}"
    if call("docker", "images", "--quiet", name):
        return name
    folder = cache() / "base"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        sites = call("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
        site = next(site for site in sites if "security" not in site)
        packages = "--include=python3,python3-venv,ca-certificates"
        call("debootstrap", "--variant=minbase", packages, "bookworm", folder, site, seconds=_BUILD_SECONDS)
        (folder / "made").touch()
    (folder / "etc" / "pip.conf").write_text(settings, encoding="utf-8")
    if certificates is not None:
        shutil.copy(certificates, folder / "etc" / "ssl" / "certs" / "ca-certificates.crt")
    if wheels is not None:
        shutil.copytree(wheels, folder / "wheels", dirs_exist_ok=True)
    subprocess.run(f"tar -C '{folder}' -c . | docker import - {name}", shell=True, check=True, timeout=_BUILD_SECONDS)
    return name


def _pip_settings() -> tuple[str, Path | None, Path | None]:
    """Text of pip.conf, file of certificates, folder of wheels."""
    found = os.environ
    lines = ["[global]"]
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        if found.get(variable):
            lines.append(f"{variable[4:].lower().replace('_', '-')} = {found[variable]}")
    certificates = Path(found["PIP_CERT"]) if found.get("PIP_CERT") else None
    if certificates is not None:
        lines.append("cert = /etc/ssl/certs/ca-certificates.crt")
    wheels = Path(found.get("PIP_FIND_LINKS", ""))
    if not (found.get("PIP_FIND_LINKS") and wheels.is_dir()):
        return "\n".join(lines) + "\n", certificates, None
    return "\n".join([*lines, "find-links = /wheels"]) + "\n", certificates, wheels


def image() -> str:
    """Build the image as its Dockerfile says, and return its name."""
    base = base_image()
    options = ("--network", "host", "--build-arg", f"BASE_IMAGE={base}", "--file", "launch/Dockerfile", "--tag", IMAGE)
    call("docker", "build", *options, ".", seconds=_BUILD_SECONDS, environment={"DOCKER_BUILDKIT": "0"})
    return IMAGE
