"""The self-test, and the same bits under every setting of this host that changes how libraries compute.

The environment variables below select other code in NumPy, OpenBLAS, torch and the C library; what they stand for is a
fleet of different hosts. The controls show that they do change plain library results, so the test could fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from dadc_net.coordinator.algorithms import ppo
from dadc_net.coordinator.algorithms.actor_critic import PolicyGain
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.coordinator.known_answers import LEARNERS
from dadc_net.errors import SelftestError
from dadc_net.exact import categorical, compiled, elementary, grid, known_answers, normal, scan, selftest, slow, streams
from dadc_net.exact.adam import Adam
from dadc_net.exact.array import Array
from dadc_net.exact.digest import digest
from dadc_net.exact.functions import quadratic
from dadc_net.exact.golden import GOLDEN
from dadc_net.runtime.host import host_facts
from dadc_net.runtime.host import selftest as run_whole_selftest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, numpy as np
from dadc_net.config import resolve
from dadc_net.runtime.host import checked_selftest
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
config = resolve("mabc", ["learner.num_envs=6", "learner.batch_steps=48"], {"updates": 15, "algorithm": ALGORITHM})
ended = Simulation(config, seed_bytes(7), seed_bytes(1)).run()
x = np.random.Generator(np.random.Philox(1)).normal(size=(300, 300))
plain = [float(np.tanh(x).sum()), float((x @ x).sum()), float(np.exp(x).sum())]
print(json.dumps([checked_selftest().digest.hex(), ended.agent_digests[1], plain]))
"""
SETTINGS = {
    "as it is": {},
    "torch without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "numpy without AVX2 and FMA": {"NPY_DISABLE_CPU_FEATURES": "X86_V3"},
    "numpy without AVX512": {"NPY_DISABLE_CPU_FEATURES": "X86_V4"},
    "torch with AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "OpenBLAS for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "OpenBLAS for Prescott": {"OPENBLAS_CORETYPE": "Prescott"},
    "OpenBLAS for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "C library without FMA": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"},
    "NumPy alone": {"DADC_FAST": "0"},
    "numba for any processor": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    "two threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
}


@pytest.fixture(autouse=True, scope="module")
def arithmetic() -> Iterator[None]:
    """The self-test runs both implementations itself."""
    yield
    compiled.unload()


def under(settings: dict[str, str], algorithm: str = "actor-critic") -> tuple[str, str, list[float]]:
    """Self-test digest, learner digest after 15 updates, and plain library results under ``settings``."""
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
    if "avx2" not in host_facts().get("cpu_features", "").split():
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
    assert broken.failures == ("tanh", "tanh (compiled)")
    with pytest.raises(SelftestError, match=r"computes tanh, tanh \(compiled\) otherwise"):
        broken.require_ok()


def test_the_selftest_runs_every_algorithm_and_names_the_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_whole_selftest()
    learners = set(LEARNERS.runs)
    assert result.ok
    assert all(any(name.startswith(f"learner {algorithm}") for name in learners) for algorithm in ALGORITHMS)
    assert set(result.digests) == set(result.answers) == {*GOLDEN, *learners}
    assert set(LEARNERS.golden) == learners
    assert len(set(result.answers.values())) == len(result.digests)
    surrogate = ppo._surrogate

    def with_a_longer_gradient(*arguments: Any) -> PolicyGain:
        value, gradient = surrogate(*arguments)
        return PolicyGain(value, lambda slope: gradient(slope) * (1.0 + 2.0**-52))

    monkeypatch.setattr(ppo, "_surrogate", with_a_longer_gradient)
    broken = run_whole_selftest()
    names = ("learner ppo", "learner ppo, continuous theta", "learner ppo, factored theta")
    assert set(broken.failures) == {*names, *(f"{name} (compiled)" for name in names)}
    with pytest.raises(SelftestError, match=r"computes learner ppo, .*learner ppo \(compiled\).* otherwise"):
        broken.require_ok()


def test_a_wrong_bit_in_products_shows_in_every_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    _one_bit(grid, "product")(monkeypatch)
    assert {"product", *LEARNERS.runs} <= set(run_whole_selftest().failures)


def test_one_ulp_in_a_square_root_fails_the_selftest(monkeypatch: pytest.MonkeyPatch) -> None:
    true_root = np.sqrt
    monkeypatch.setattr(np, "sqrt", lambda x: np.nextafter(true_root(x), np.inf))
    assert "ieee" in selftest.run_selftest().failures


def test_flushing_subnormals_fails_the_selftest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library built with fast-math does to a process: subnormal results become zero."""
    encoded = known_answers._encoded
    tiny = 2.0**-1022
    monkeypatch.setattr(
        known_answers, "_encoded", lambda *arrays: encoded(*(np.where(np.abs(a) < tiny, 0.0 * a, a) for a in arrays))
    )
    assert "ieee" in selftest.run_selftest().failures


def test_a_processor_that_flushes_subnormals_is_noticed() -> None:
    """The real thing, where torch can switch it on: in a process of its own, as the switch belongs to the thread."""
    program = (
        "import torch; from dadc_net.exact import selftest\n"
        "before = selftest.flushes_subnormals(); switched = torch.set_flush_denormal(True)\n"
        "print(before, switched, selftest.flushes_subnormals(), 'ieee' in selftest.run_selftest().failures)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment)
    assert done.stdout.split() in (["False", "True", "True", "True"], ["False", "False", "False", "False"]), done.stderr


def test_the_root_of_torch_is_noticed_where_it_is_not_ieee(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.Generator(np.random.Philox(1)).uniform(0.0, 1.0, 100_000)
    true_root = np.sqrt

    def torch_root(values: Array) -> Array:
        root: Array = torch.sqrt(torch.from_numpy(np.array(values))).numpy()
        return root

    differs = bool((torch_root(x) != true_root(x)).any())
    monkeypatch.setattr(np, "sqrt", torch_root)
    assert ("ieee" in selftest.run_selftest().failures) == differs


Sabotage = Callable[[pytest.MonkeyPatch], None]


def _one_bit(module: ModuleType, name: str) -> Sabotage:
    """The last bit of the first number that a function returns."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        original = getattr(module, name)

        def wrong(*arguments: object, **named: object) -> object:
            result = original(*arguments, **named)
            first = np.array(result, copy=True)
            first.reshape(-1).view(np.uint64)[0] ^= 1
            return type(result)(first) if isinstance(result, float) else first

        patch.setattr(module, name, wrong)

    return apply


def _root_one_ulp_up(x: Array) -> Array:
    root: Array = np.nextafter(np.sqrt(x), np.inf)
    return root


SABOTAGE: dict[str, Sabotage] = {
    "product": _one_bit(grid, "product"),
    "sum": _one_bit(grid, "column_sums"),
    "tanh": _one_bit(elementary, "tanh"),
    "exp": _one_bit(elementary, "exp"),
    "log": _one_bit(elementary, "log"),
    "slow-path": _one_bit(slow, "log"),
    "gradients": _one_bit(elementary, "log_softmax"),
    "joined": _one_bit(categorical, "backward"),
    "acting": _one_bit(known_answers.acting, "draw"),
    "scan": lambda patch: patch.setattr(scan, "_STATE_ROUNDING", 2.0 * scan._STATE_ROUNDING),
    "adam": lambda patch: patch.setattr(known_answers, "Adam", partial(Adam, square_root=_root_one_ulp_up)),
    "streams": _one_bit(streams, "philox_blocks"),
    "draws": _one_bit(streams, "permutation"),
    "normals": _one_bit(normal, "_horner"),
    "quadratic": _one_bit(quadratic, "_images"),
    "hashes": lambda patch: patch.setattr(known_answers, "keyed", lambda key, *parts: digest(key, *parts)),
}


@pytest.mark.parametrize("primitive", SABOTAGE)
def test_the_smallest_error_in_a_primitive_is_named(primitive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    SABOTAGE[primitive](monkeypatch)
    assert primitive in selftest.run_selftest().failures


def test_every_primitive_has_a_control() -> None:
    assert set(SABOTAGE) | {"ieee"} == set(GOLDEN)


def test_a_library_without_a_rounding_test_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no tolerance, this host's own tanh, exp and log decide next to a middle, and some of them are wrong."""
    monkeypatch.setattr(elementary, "TOLERANCE", -1.0)
    assert {"tanh", "exp"} <= set(selftest.run_selftest().failures)
