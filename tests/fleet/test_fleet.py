"""Every host of the fleet prints one digest: that of the committed learners and of this host's self-test.

DADC_FLEET_RUNS="naf-dqn,demand-response naf-dqn" limits every host to these golden runs: after a change of one algorithm.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.fleet.fetch import CannotBuild
from tests.fleet.hosts import FLEET, NATIVE, UNCOMPILED, Host
from tests.fleet.member import length
from tests.golden.learners import MARKS, RUNS, committed

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(3600)]

CHOSEN = [name for name in os.environ.get("DADC_FLEET_RUNS", "").split(",") if name] or list(RUNS)
_reports: dict[str, dict[str, Any]] = {}


def report_of(host: Host) -> dict[str, Any]:
    """What ``member`` printed on ``host``; it runs once. A host that cannot be built fails the test that asks."""
    if host.name not in _reports:
        try:
            chosen = [argument for name in CHOSEN for argument in ("--run", name)]
            process = host.start("-m", "tests.fleet.member", str(host.updates), "--threads", str(host.threads), *chosen)
        except CannotBuild as error:
            pytest.fail(f"the host {host.name!r} cannot be built here: {error}", pytrace=False)
        try:
            out, err = process.communicate(timeout=host.timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[1][-2000:]
            pytest.fail(f"the host {host.name!r} did not end in {host.timeout_s} s: {said}", pytrace=False)
        assert process.returncode == 0, f"{host.name}: {err[-3000:]}"
        _reports[host.name] = json.loads(out.splitlines()[-1])
        _show(host, _reports[host.name])
    return _reports[host.name]


def _show(host: Host, report: dict[str, Any]) -> None:
    facts = report["fingerprint"]
    what = ", ".join(f"{key} {facts[key]}" for key in ("machine", "python", "torch", "numpy", "kernels", "torch_simd"))
    print(f"\n{host.name:32} {report['digest'][:32]}  {host.updates} updates, {report['seconds']} s; {what}", end="")


@pytest.mark.parametrize("host", FLEET, ids=lambda host: host.name)
def test_the_host_prints_the_digest_of_the_fleet(host: Host) -> None:
    report = report_of(host)
    assert list(report["learners"]) == CHOSEN
    for name in CHOSEN:
        updates = length(name, host.updates)
        expected = {mark: value for mark, value in committed()[name].items() if int(mark) <= updates}
        assert len(expected) == sum(mark <= updates for mark in MARKS)
        assert report["learners"][name] == expected
    assert report["digest"] == report_of(NATIVE)["digest"]
    assert (report["fingerprint"]["kernels"] != "none") == host.kernels


@pytest.mark.parametrize("host", [host for host in FLEET if host.differs], ids=lambda host: host.name)
def test_plain_libraries_compute_otherwise_on_it(host: Host) -> None:
    """The control: where a host changes nothing in plain results, its equal digest says nothing."""
    plain, native = report_of(host)["plain"], report_of(NATIVE)["plain"]
    changed = [name for name in native if plain[name] != native[name]]
    print(f"\n{host.name:32} plain results that differ: {', '.join(changed) or 'none'}", end="")
    assert set(plain) == set(native)
    assert changed


def test_one_wrong_ulp_on_one_host_is_noticed() -> None:
    """The control of the other kind: a host whose square root errs by one ulp prints another digest, or refuses."""
    program = "import numpy as np, torch; root = np.sqrt; np.sqrt = lambda x: np.nextafter(root(x), np.inf)\n"
    process = UNCOMPILED.start("-c", program + "from tests.fleet import member; print(member.report(1)['digest'])")
    _, err = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "computes ieee" in err
