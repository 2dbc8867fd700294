"""The self-test, and the same bits under every setting of this host that changes how libraries compute.

The environment variables below select other code in NumPy, OpenBLAS, torch and the C library; what they stand for is a
fleet of different hosts. The controls show that they do change plain library results, so the test could fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dadc_net.errors import SelftestError
from dadc_net.exact import selftest
from dadc_net.exact.golden import GOLDEN

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, numpy as np
from dadc_net.config import resolve
from dadc_net.exact.selftest import run_selftest
from dadc_net.exact.streams import seed_bytes
from dadc_net.runtime.simulation import Simulation
config = resolve("mabc", ["learner.num_envs=6", "learner.batch_steps=48"], {"updates": 30, "algorithm": ALGORITHM})
ended = Simulation(config, seed_bytes(7), seed_bytes(1)).run()
x = np.random.Generator(np.random.Philox(1)).normal(size=(300, 300))
plain = [float(np.tanh(x).sum()), float((x @ x).sum()), float(np.exp(x).sum())]
print(json.dumps([run_selftest().digest.hex(), ended.agent_digests[1], plain]))
"""
SETTINGS = {
    "as it is": {},
    "torch without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "numpy without AVX2 and FMA": {"NPY_DISABLE_CPU_FEATURES": "X86_V3"},
    "OpenBLAS for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "OpenBLAS for Prescott": {"OPENBLAS_CORETYPE": "Prescott"},
    "C library without FMA": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"},
    "two threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
}


def under(settings: dict[str, str], algorithm: str = "actor-critic") -> tuple[str, str, list[float]]:
    """Self-test digest, learner digest after 30 updates, and plain library results under ``settings``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    program = PROGRAM.replace("ALGORITHM", repr(algorithm))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=100, env=environment
    )
    assert done.returncode == 0, done.stderr
    own, learner, plain = json.loads(done.stdout.splitlines()[-1])
    return own, learner, plain


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[str, str, list[float]]]:
    return {name: under(settings) for name, settings in SETTINGS.items()}


@pytest.mark.timeout(400)
def test_every_setting_gives_the_same_bits(measured: dict[str, tuple[str, str, list[float]]]) -> None:
    assert len({own for own, _, _ in measured.values()}) == 1
    assert len({learner for _, learner, _ in measured.values()}) == 1


@pytest.mark.timeout(400)
def test_the_settings_do_change_plain_library_results(measured: dict[str, tuple[str, str, list[float]]]) -> None:
    if "avx2" not in selftest.fingerprint().get("cpu_features", "").split():
        assert len(measured) == len(SETTINGS)  # The settings select among code for vector units that this host lacks.
        return
    assert len({tuple(plain) for _, _, plain in measured.values()}) > 1


def test_selftest_passes_and_names_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = selftest.run_selftest()
    assert result.ok
    assert result.require_ok() is result
    assert set(GOLDEN) == set(selftest.PRIMITIVES)
    monkeypatch.setitem(GOLDEN, "tanh", "00")
    broken = selftest.run_selftest()
    assert broken.failures == ("tanh",)
    with pytest.raises(SelftestError, match="computes tanh otherwise"):
        broken.require_ok()


def test_one_ulp_in_a_square_root_fails_the_selftest(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    true_root = np.sqrt
    monkeypatch.setattr(np, "sqrt", lambda x: np.nextafter(true_root(x), np.inf))
    assert "ieee" in selftest.run_selftest().failures


def test_flushing_subnormals_fails_the_selftest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library built with fast-math does to a process: subnormal results become zero."""
    import numpy as np

    encoded = selftest._encoded
    tiny = 2.0**-1022
    monkeypatch.setattr(
        selftest, "_encoded", lambda *arrays: encoded(*(np.where(np.abs(a) < tiny, 0.0 * a, a) for a in arrays))
    )
    assert "ieee" in selftest.run_selftest().failures
