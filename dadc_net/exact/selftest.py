"""Known-answer test: does this host compute the bits that every other host computes?

Each primitive is run on fixed inputs, made from raw Philox words and hand-picked edge cases, and the digest of its results
is compared with the one committed in ``golden.py``. It runs before an agent joins; a mismatch refuses to join and names
the primitive. The fingerprint says what kind of host this is, for people who read a report; it is never compared.
"""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import SelftestError
from dadc_net.exact import canonical, elementary, grid, scan, slow, streams
from dadc_net.exact.adam import Adam, clip_norm
from dadc_net.exact.digest import digest, keyed
from dadc_net.exact.golden import GOLDEN
from dadc_net.exact.grid import Array


@dataclass(frozen=True)
class SelftestResult:
    """What the test found."""

    ok: bool
    digest: bytes
    """Over all primitives' results; equal on all hosts that agree."""
    fingerprint: dict[str, str]
    failures: tuple[str, ...]
    """Names of primitives whose digest differs from the committed one."""

    def require_ok(self) -> SelftestResult:
        """This result. Raises SelftestError if a primitive failed."""
        if not self.ok:
            raise SelftestError(
                f"this host computes {', '.join(self.failures)} otherwise than specified (self-test digest "
                f"{self.digest.hex()[:16]}). It would diverge from the team at once and does not join. Run dadc selftest, "
                "and check for patched numerical libraries or flush-to-zero settings."
            )
        return self


def _numbers(purpose: str, count: int) -> Array:
    """Fixed numbers in (-1, 1) with exponents spread over 40 binades."""
    words = streams.Stream("selftest/" + purpose, streams.seed_bytes(0)).words(0, 1, 2 * count)[0]
    fractions = (words[:count] >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    exponents = (words[count:] % np.uint64(40)).astype(np.int64)
    numbers: Array = fractions * np.ldexp(1.0, -exponents.astype(np.int32))
    return numbers


def _encoded(*arrays: NDArray[np.generic]) -> bytes:
    return digest(*(canonical.encode(np.asarray(array)) for array in arrays))


def _products() -> bytes:
    a, b = _numbers("product/a", 120).reshape(8, 15), _numbers("product/b", 60).reshape(15, 4)
    long = _numbers("product/long", 1000)
    rows = np.tile(long, 9)[None, :]
    edge = np.array([[0.0, -0.0, 2.0**-290, -(2.0**200)]])
    return _encoded(
        grid.product(a, b),
        grid.product(a, b, 0),
        grid.product(a[:1], b, 0),
        grid.product(rows, rows.T),
        grid.product(edge, edge.T),
        grid.product(edge[:, :2], -edge[:, :2].T),
    )


def _sums() -> bytes:
    x = _numbers("sum", 600).reshape(60, 10)
    long = np.tile(x.reshape(-1), 20)
    return _encoded(grid.column_sums(x), grid.row_sums(x), grid.row_sums(x, 0), np.array([grid.total(long)]))


_EDGES = np.array([0.0, -0.0, 2.0**-1074, -(2.0**-30), 1e-9, 0.5, -1.0, 3.0, 7.999, -7.5, -40.0, -700.0])


def _tanh() -> bytes:
    x = np.concatenate((_numbers("tanh", 500) * 20.0, _EDGES, -_EDGES))
    return _encoded(elementary.tanh(x), elementary.sigmoid(x))


def _exp() -> bytes:
    x = np.concatenate((_numbers("exp", 500) * 8.0, _EDGES))
    return _encoded(elementary.exp(x))


def _log() -> bytes:
    x = np.concatenate((np.abs(_numbers("log", 500)) * 2.0**30 + 2.0**-30, np.array([2.0**-30, 1.0, 2.0**30])))
    return _encoded(elementary.log(x), elementary.log_softmax(_numbers("log_softmax", 300).reshape(60, 5) * 30.0))


def _slow() -> bytes:
    x = _numbers("slow", 12) * 8.0
    values = [(slow.tanh(v), slow.exp(v), slow.log(abs(v) + 2.0**-30)) for v in [*x.tolist(), 2.0**-27, 1e-300, -30.0]]
    return _encoded(np.array(values))


def _ieee() -> bytes:
    """Division, square root and the survival of subnormals: what IEEE fixes and some libraries do not keep."""
    x, y = np.abs(_numbers("ieee/x", 500)) + 2.0**-60, _numbers("ieee/y", 500) + 2.0
    tiny = np.array([2.0**-1074, 2.0**-1030]) * np.array([1.0, 0.5])
    roots = np.array([math.sqrt(value) for value in x[:50]])
    return _encoded(x / y, np.sqrt(x), roots, x * y + x, tiny, tiny + 2.0**-1074)


def _scan() -> bytes:
    steps, copies, size = 12, 3, 4
    gates = _numbers("scan/gates", steps * copies * 3 * size).reshape(steps, copies, 3 * size) * 2.0
    weight, bias = _numbers("scan/weight", 3 * size * size).reshape(size, 3 * size), _numbers("scan/bias", 3 * size)
    keep = np.ones((steps, copies, 1))
    keep[0, 0] = keep[5, 1] = 0.0
    start = grid.round_to_grid(_numbers("scan/start", copies * size).reshape(copies, size), scan.STATE_GRID)
    trace = scan.forward(gates, keep, start, weight, bias)
    gradient = _numbers("scan/gradient", steps * copies * size).reshape(steps, copies, size)
    first = scan.step(gates[0], start * keep[0] + 0.0, grid.operand(weight, size), bias)
    return _encoded(trace.states, *scan.backward(trace, keep, weight, gradient), first)


def _adam() -> bytes:
    parameters, optimiser = _numbers("adam/parameters", 40), Adam(40)
    norms = []
    for index in range(25):
        gradient = _numbers(f"adam/{index}", 40) * 3.0
        gradient[:5] = 0.0
        norms.append(clip_norm(gradient, 1.0))
        optimiser.step(parameters, gradient, 0.01)
    return _encoded(parameters, optimiser.first, optimiser.second, optimiser.powers, np.array(norms))


def _streams() -> bytes:
    block = streams.philox_blocks(0, 0, 0, 0, 2)
    stream = streams.Stream("selftest", streams.seed_bytes(7))
    words = stream.words(63, 3, 6)
    weights = np.array([[1, 0, 5], [2**30, 2**30, 2**30], [0, 0, 1]], dtype=np.int64)
    chosen = streams.categorical(words[:, 0], weights)
    return _encoded(
        block, words, stream.words(64, 5, 2), stream.uniforms(9, 2, 9), chosen, streams.permutation(words[0])
    )


def _hashes() -> bytes:
    value = {"b": [1, -2, True, None], "a": 0.1, "c": b"\x00", "d": "text", "e": np.array([[1.5, -0.0]])}
    return digest(canonical.encode(value), keyed(b"key", b"part", b""))


PRIMITIVES: dict[str, Callable[[], bytes]] = {
    "product": _products,
    "sum": _sums,
    "tanh": _tanh,
    "exp": _exp,
    "log": _log,
    "slow-path": _slow,
    "ieee": _ieee,
    "scan": _scan,
    "adam": _adam,
    "streams": _streams,
    "hashes": _hashes,
}


def compute_digests() -> dict[str, bytes]:
    """Digest of each primitive's results on this host."""
    return {name: run() for name, run in PRIMITIVES.items()}


def run_selftest() -> SelftestResult:
    """Run every primitive and compare with the committed digests."""
    computed = compute_digests()
    failures = tuple(name for name, value in computed.items() if GOLDEN.get(name) != value.hex())
    overall = digest(*(name.encode("ascii") + value for name, value in computed.items()))
    return SelftestResult(not failures, overall, fingerprint(), failures)


def fingerprint() -> dict[str, str]:
    """What kind of host this is: for reports, never compared."""
    torch = sys.modules.get("torch")
    facts = {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(getattr(torch, "__version__", "not imported")),
    }
    return {**facts, **_processor()}


def _processor() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {"cpu": platform.processor() or "unknown"}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    entries = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set((entries.get("flags") or entries.get("Features") or "").split())
    known = [flag for flag in ("sse4_2", "avx", "avx2", "fma", "avx512f", "asimd", "sve") if flag in flags]
    return {"cpu": entries.get("model name", "unknown"), "cpu_features": " ".join(known)}
