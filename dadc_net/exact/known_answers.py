"""The primitives of this package on fixed inputs, one digest each: what the self-test compares.

Inputs are made from raw Philox words, from powers of two and from numbers written down here, never from a library's
functions. The numbers under ``_MIDDLE`` have values within 64 ulp of the middle between two grid points, so they go
through the slow path; rounding the candidate of a good library (and of the same library with other vector
instructions) goes wrong for more than half of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dadc_net.exact import acting, canonical, elementary, entering, functions, grid, layers, obeying, scan, slow, streams
from dadc_net.exact import categorical as softmax
from dadc_net.exact.adam import Adam, clip_norm
from dadc_net.exact.array import Array
from dadc_net.exact.digest import GENESIS, chain, derive_key, digest, keyed
from dadc_net.exact.normal import inverse_normal, normals

_TINY = math.ldexp(1.0, -1074)
"""The smallest positive number: a host that flushes subnormals to zero loses it."""
_EDGES = np.array([0.0, -0.0, _TINY, -math.ldexp(1.0, -30), 1e-9, 0.5, -1.0, 3.0, 7.999, -7.5, -40.0, -700.0])
_MIDDLE: dict[str, Array] = {
    "tanh": np.array(
        [
            *(3.725290298461916e-08, 2.7567148208618863e-07, 3.501772880554342e-07, -9.909272193911936e-07),
            *(-0.0003383085260712898, -0.0006473139832528316, -2.2351741790771488e-08, 2.2351741790771488e-08),
            *(-1.415610313415537e-07, -0.006755521841032828),
        ]
    ),
    "exp": np.array(
        [
            *(-6.494615323316052, -1.43190388073741, 0.28543708033988896, 0.3967250161726107, 1.0447745027373838),
            *(2.701331869353037, -13.206851521695457, -6.547171469584386, 0.4082588580237909, 1.9581830643837053),
            *(-8.852552487534824, -9.610098190892558),
        ]
    ),
    "log": np.array(
        [
            *(1.2977453589134968, 0.5864874525547487, 42.579577181762886, 999.2827603744015, 54.6164466813529),
            *(8422.42646725837, 0.9899367184828737, 1.0280551081345888, 0.7596803217766489, 2.412041525663681e-06),
            0.9220499769598173,
        ]
    ),
}


def _numbers(purpose: str, count: int) -> Array:
    """Fixed numbers in (-1, 1) with exponents spread over 40 binades."""
    words = streams.Stream("selftest/" + purpose, streams.seed_bytes(0)).words(0, 1, 2 * count)[0]
    fractions = (words[:count] >> np.uint64(11)).astype(np.float64) * math.ldexp(1.0, -52) - 1.0
    exponents = (words[count:] % np.uint64(40)).astype(np.int32)
    numbers: Array = fractions * np.ldexp(1.0, -exponents)
    return numbers


def _encoded(*arrays: NDArray[np.generic] | float) -> bytes:
    return digest(*(canonical.encode(np.asarray(array)) for array in arrays))


def _products() -> bytes:
    a, b = _numbers("product/a", 120).reshape(8, 15), _numbers("product/b", 60).reshape(15, 4)
    rows = np.tile(_numbers("product/long", 1000), 9)[None, :]
    edge = np.array([[0.0, -0.0, math.ldexp(1.0, -290), -math.ldexp(1.0, 200)]])
    tiny = np.array([[math.ldexp(1.0, -305), math.ldexp(1.5, -330), _TINY]])
    return _encoded(
        grid.product(a, b),
        grid.product(a, b, 0),
        grid.product(a[:1], grid.operand(b, 15), 0),
        grid.product(rows, rows.T),
        grid.product(edge, edge.T),
        grid.product(edge[:, :2], -edge[:, :2].T),
        grid.product(tiny, tiny.T),
    )


def _sums() -> bytes:
    x = _numbers("sum", 600).reshape(60, 10)
    long = np.tile(x.reshape(-1), 20)
    ties = (np.arange(-8.0, 9.0) + 0.5) * math.ldexp(1.0, -20)
    return _encoded(
        grid.round_to_grid(ties, math.ldexp(1.0, -20)),
        grid.column_sums(x),
        grid.row_sums(x),
        grid.row_sums(x, 0),
        grid.total(long),
        grid.column_sums(np.stack((long, -long), axis=1)),
    )


def _tanh() -> bytes:
    x = np.concatenate((_numbers("tanh", 500) * 20.0, _EDGES, -_EDGES, _MIDDLE["tanh"]))
    return _encoded(elementary.tanh(x), elementary.sigmoid(x))


def _exp() -> bytes:
    return _encoded(elementary.exp(np.concatenate((_numbers("exp", 500) * 8.0, _EDGES, _MIDDLE["exp"]))))


def _log() -> bytes:
    least = elementary.LOG_MIN
    ends = np.array([least, 1.0, 1.0 - math.ldexp(1.0, -53), 1.0 + math.ldexp(1.0, -52), 1.0 / least])
    x = np.concatenate((np.abs(_numbers("log", 500)) / least + least, ends, _MIDDLE["log"]))
    return _encoded(elementary.log(x), elementary.log_softmax(_numbers("log_softmax", 300).reshape(60, 5) * 30.0))


def _slow() -> bytes:
    x = (_numbers("slow", 12) * 8.0).tolist()
    values = [(slow.tanh(v), slow.exp(v), slow.log(abs(v) + elementary.LOG_MIN)) for v in [*x, 2.0**-27, 1e-300, -30.0]]
    middle = [getattr(slow, name)(v) for name, numbers in _MIDDLE.items() for v in numbers.tolist()]
    return _encoded(np.array(values), np.array(middle))


def _ieee() -> bytes:
    """Division, square roots, subnormals and powers of two: what IEEE fixes and some libraries do not keep."""
    x, y = np.abs(_numbers("ieee/x", 500)) + math.ldexp(1.0, -60), _numbers("ieee/y", 500) + 2.0
    roots = np.array([math.sqrt(value) for value in x[:50].tolist()])
    subnormal = np.array([_TINY, math.ldexp(1.0, -1030)]) * np.array([1.0, 0.5])
    powers = np.array([2.0 ** float(exponent) for exponent in range(-1074, 1024)])
    literals = np.array([0.1, 1e-8, 0.999, 1.7976931348623157e308, 2.2250738585072011e-308])
    in_torch = torch.from_numpy(x) / torch.from_numpy(y) + torch.from_numpy(x) * torch.from_numpy(y)
    return _encoded(x / y, np.sqrt(x), roots, x * y + x, subnormal, subnormal + _TINY, powers, literals, in_torch.numpy())


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return functions.mean((a * b).reshape(-1), 1.0)


def _gradients() -> bytes:
    """A small network with every function, its gradients, and a product of its Jacobian with a vector."""
    tensors = {
        name: torch.from_numpy(_numbers(f"gradients/{name}", math.prod(shape)).reshape(shape)).requires_grad_()
        for name, shape in {"weight": (6, 4), "bias": (4,), "head": (4, 3), "head-bias": (3,)}.items()
    }
    weight, bias, head, head_bias = tensors.values()
    x = torch.from_numpy(_numbers("gradients/x", 42).reshape(7, 6))
    logs = functions.log_softmax(functions.affine(functions.tanh(functions.affine(x, weight, bias, 0)), head, head_bias, 0))
    parts = functions.fork(logs, 5)
    picked = functions.pick(parts[0], torch.arange(7) % 3)
    density = functions.gaussian_log_density(parts[1], parts[2], functions.tanh(parts[3]))
    losses = (
        functions.smooth_l1(picked * 2.0) + functions.entropy(parts[4]),
        density * functions.exp(functions.tanh(picked)),
    )
    loss = functions.mean(losses[0], 5.0) + functions.mean(losses[1])
    first = torch.autograd.grad(loss, list(tensors.values()), retain_graph=True)
    # Jacobian times vector by differentiating twice. Gradients of numbers only: torch imports a computer algebra system
    # (0.4 s, 40 MB) as soon as it is handed an explicit output gradient.
    vector = torch.ones_like(logs).requires_grad_()
    pulled = torch.autograd.grad(_dot(logs, vector), list(tensors.values()), create_graph=True)
    along = [gradient.detach().clone() for gradient in first]
    dots = [_dot(p, a) for p, a in zip(pulled, along, strict=True)]
    pushed = torch.autograd.grad(dots[0] + dots[1] + dots[2] + dots[3], vector)
    # What these two round is rounded again on its way through a layer, which would hide a wrong bit.
    left, right, sums = grid.gradient_parts(x.numpy(), as_left=True)
    slope = elementary.tanh_gradient(_numbers("gradients/slope", 42), x.numpy().reshape(-1))
    tensors_found = [tensor.detach().numpy() for tensor in (*first, *pushed)]
    return _encoded(logs.detach().numpy(), loss.item(), *tensors_found, left.values, right.values, sums, slope)


def _joined() -> bytes:
    """Several functions in one, before a product or a sum of many rows hides a wrong bit."""
    logits, drawn = _numbers("joined/logits", 60).reshape(12, 5) * 4.0, np.arange(12) % 5
    found = softmax.forward(logits, drawn)
    doubtful = softmax.forward(np.array([[0.0, *_MIDDLE["exp"][[0, 1, 6, 7]]]]), drawn[:1])
    weights = _numbers("joined/taken", 12), _numbers("joined/entropy", 12)
    gradient, y = _numbers("joined/gradient", 42).reshape(7, 6), _numbers("joined/y", 42).reshape(7, 6)
    left, right, sums = grid.hidden_gradient_parts(gradient, y, as_left=True)
    x, weight = _numbers("joined/x", 20).reshape(5, 4), _numbers("joined/weight", 40).reshape(4, 10)
    fed = [(x, _numbers("joined/bias", 10)), (0.0 * x, _MIDDLE["tanh"])]
    hidden = [layers.hidden(rows, weight, bias, 0) for rows, bias in fed]
    backwards = softmax.backward(found, drawn, *weights)
    return _encoded(*found, *doubtful, backwards, left.values, right.values, sums, *hidden)


def _scan() -> bytes:
    steps, copies, size = 12, 3, 4
    gates = _numbers("scan/gates", steps * copies * 3 * size).reshape(steps, copies, 3 * size) * 2.0
    # Without recurrence the pre-activation of the candidate is the gate's, which makes these lock-steps doubtful.
    gates[4, 0, 2 * size :], gates[9, 2, 2 * size :] = _MIDDLE["tanh"][:4], _MIDDLE["tanh"][4:8]
    weight, bias = _numbers("scan/weight", 3 * size * size).reshape(size, 3 * size), _numbers("scan/bias", 3 * size)
    weight[:, 2 * size :], bias[2 * size :] = weight[:, 2 * size :] * [1.0, 0.0, 1.0, 0.0], 0.0
    keep = np.ones((steps, copies, 1))
    keep[0, 0] = keep[5, 1] = 0.0
    start = grid.round_to_grid(_numbers("scan/start", copies * size).reshape(copies, size), scan.STATE_GRID)
    trace = scan.forward(gates, keep, start, weight, bias)
    gradient = _numbers("scan/gradient", steps * copies * size).reshape(steps, copies, size)
    first = scan.step(gates[0], start * keep[0] + 0.0, grid.operand(weight, size), bias)
    return _encoded(trace.states, *scan.backward(trace, keep, weight, gradient), first)


def _acting() -> bytes:
    """The acting step, one row alone and three together, with a row whose first layer is doubtful."""
    shapes = {"input": (5, 4), "gates": (4, 12), "recurrent": (4, 12), "square": (4, 4), "output": (4, 3)}
    arrays = {f"{name}.bias": _numbers(f"acting/{name}-bias", shape[1]) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        arrays[f"{name}.weight"] = _numbers(f"acting/{name}", math.prod(shape)).reshape(shape)
    arrays["input.bias"] = _MIDDLE["tanh"][:4]
    source = SimpleNamespace(arrays=arrays)
    first, gates, recurrent, square, output = (acting.PreparedLinear.of(source, name) for name in shapes)
    inputs, keep = np.eye(5)[[0, 4, 2]] * [[1.0], [0.0], [1.0]], np.array([[1.0], [0.0], [1.0]])
    previous = grid.round_to_grid(_numbers("acting/previous", 12).reshape(3, 4), scan.STATE_GRID)
    encode = acting.RecurrentEncoder(input=first, gates=gates, recurrent=recurrent)
    states = encode(inputs, keep, previous)
    tower = acting.PreparedTower((square,), output)
    logits = tower(states)
    words = streams.Stream("selftest/acting", streams.seed_bytes(7)).words(0, 3, 1)
    rows = [slice(row, row + 1) for row in range(3)]
    alone = [encode(inputs[row], keep[row], previous[row]) for row in rows]
    in_one = entering.EntryStep(encode, tower)
    stepped, drawn = zip(*(in_one(inputs[row], keep[row], previous[row], words[row]) for row in rows), strict=True)
    chosen = np.concatenate(drawn)
    errors = _errors_of_depth(square, output, states)
    fewer = SimpleNamespace(arrays={"fewer.weight": arrays["square.weight"][:2], "fewer.bias": arrays["square.bias"]})
    reading = acting.Reading(2, 1.5), acting.PreparedLinear.of(fewer, "fewer", exponent=1)
    for index, row in enumerate(rows):
        given, entry = (previous[row], words[row]), drawn[index]
        expected = stepped[index], entry, entry, (entry[:, None] == np.arange(3)).astype(np.float64)
        errors += _errors_of_entering(in_one, index, inputs, keep[row], given, expected)
        for encoder, layer in ((encode, square), reading):
            deep = acting.PreparedTower((layer, square, square), output)
            errors += _errors_of_points(encoder, deep, index, inputs, keep[row], previous[row])
    errors += _errors_of_obeying(words)
    return _encoded(np.concatenate(stepped), *alone, logits, chosen, acting.draw(40.0 * logits, words[:, 0]), *errors)


def _errors_of_depth(square: acting.PreparedLinear, output: acting.PreparedLinear, x: Array) -> list[NDArray[Any]]:
    """What a tanh layer, and a network of three, say otherwise than the layers' parts do one after another."""
    alone, tower = square.activated(x), acting.PreparedTower((square,) * 3, output)(x)
    after = [x]
    for _ in range(3):
        after.append(elementary.tanh(square(after[-1])))
    pairs = (alone, after[1]), (tower, output(after[3]))
    return [found for found, right in pairs if found.tobytes() != right.tobytes()]


def _errors_of_points(
    encoder: entering.Encoder, tower: acting.PreparedTower, number: int, inputs: Array, keep: Array, previous: Array
) -> list[NDArray[Any]]:
    """Likewise of ``PointStep``, for a box that some points lie outside of."""
    deviation, low, high = np.array([0.5, 2.0, 0.25]), np.array([-1.0, -0.25, 0.0]), np.array([1.0, 0.5, 4.0])
    centre, half = (low + high) * 0.5, (high - low) * 0.5
    noise = _numbers(f"acting/noise-{number}", 3)[None]
    state = encoder(inputs[number : number + 1], keep, previous)
    point = tower(state) + deviation * noise
    inside = np.minimum(np.maximum(point, low), high) + 0.0
    expected = state, point, inside, np.minimum(np.maximum((inside - centre) / half, -1.0), 1.0) + 0.0
    step = entering.PointStep(encoder, tower, deviation, (low, high, centre, half))
    return _errors_of_entering(step, number, inputs, keep, (previous[:, : state.shape[1]], noise), expected)


def _errors_of_entering(
    step: entering.EnteringStep,
    number: int,
    inputs: Array,
    keep: Array,
    given: tuple[Array, NDArray[Any]],
    expected: tuple[NDArray[Any], ...],
) -> list[NDArray[Any]]:
    """What ``enter`` writes otherwise than the acting step says; nothing where there is no kernel for it.

    ``number`` is the row of ``inputs`` that is entered: two columns of z, of which it is the value, and a code; ``expected``
    is x_t, theta as drawn and as played, and its code.
    """
    state, drawn, played, wanted_code = expected
    rows = entering.Rows(
        inputs=np.zeros((2, 1, 5)),
        keep=np.zeros((2, 1, 1)),
        numbers=np.zeros((2, 1), dtype=np.int64),
        rewards=np.zeros((2, 1)),
        ended=np.zeros((2, 1), dtype=np.uint8),
        drawn=np.zeros((2, *drawn.shape), dtype=drawn.dtype),
    )
    told = np.array([[number]]), np.array([0.75]), keep[:, 0] == 0.0, np.array([number], dtype=np.uint8)
    table = entering.CodeTable(np.array([1]), np.ascontiguousarray(inputs[:, :2]))
    code = np.eye(3)[[2]] if keep[0, 0] == 0.0 else inputs[number : number + 1, 2:].copy()
    found = step.enter(1, entering.Entered(*told), table, rows, code, *given)
    if found is None:
        return []
    wanted = (inputs[number], keep[0], told[0][0], told[1], told[3], drawn, state, played, wanted_code)
    written = (*(part[1, 0] for part in rows[:2]), *(part[1] for part in rows[2:]), *found)
    return [own for own, right in zip(written, wanted, strict=True) if own.tobytes() != right.tobytes()]


def _errors_of_obeying(words: NDArray[np.uint64]) -> list[NDArray[Any]]:
    """What a passive agent's lock-step by tables leads to otherwise than in its parts; nothing without kernels."""
    told = obeying.Seen(np.array([[0, 1], [1, 2], [1, 0]]), np.array([True, False, False]))
    moves = obeying.Moves(np.array([1, 1]), np.arange(96).reshape(2, 4, 2, 6) * 5 % 4, np.array([3, 1]))
    kind, step, seen = np.array([0, 1, 1]), np.array([0, 6, 3]), np.array([1, 5, 3])
    local, action = np.array([3, 2, 1]), np.array([1, 0, 1])
    value = moves.local[kind, local, action, seen]
    menu, entries, logits = np.array([[0, 1, 1, 0], [1, 0, 0, 1]]), np.array([1, 0, 1]), _numbers("obeying", 30)
    by_row = logits.reshape(3, 5, 2)
    drawn = acting.draw(by_row[np.arange(3), 1 + value], words[:, 0])
    ways: tuple[tuple[NDArray[np.int64], Callable[..., bool]], ...] = (
        (menu[entries, value], partial(obeying.obey_entries, told, entries, menu)),
        (drawn, partial(obeying.obey_logits, told, by_row, 1, words)),
    )
    errors: list[NDArray[Any]] = []
    for right, obey in ways:
        standing = obeying.Standing(np.array([9, 5, 2]), np.array([1, 0, 1]), local.copy(), action.copy())
        answer = np.zeros(3, dtype=np.uint8)
        written: tuple[NDArray[Any], ...] = (*standing, answer)
        wanted: tuple[NDArray[Any], ...] = (step, kind, value, right, right.astype(np.uint8))
        if obey(standing, moves, answer):
            errors += [own for own, due in zip(written, wanted, strict=True) if own.tobytes() != due.tobytes()]
    return errors


def _adam() -> bytes:
    parameters, optimiser = _numbers("adam/parameters", 40), Adam(size=40)
    norms = []
    for index in range(25):
        gradient = _numbers(f"adam/{index}", 40) * 3.0
        gradient[:5] = 0.0
        norms.append(clip_norm(gradient, 1.0))
        optimiser.step(parameters, gradient, 0.01)
    return _encoded(parameters, optimiser.first, optimiser.second, optimiser.powers, np.array(norms))


def _streams() -> bytes:
    stream = streams.Stream("selftest", streams.seed_bytes(7))
    words = stream.words(63, 3, 6)
    late = streams.philox_blocks(2**127 + 3, 2**63, 2**20, 5, 2)
    return _encoded(streams.philox_blocks(0, 0, 0, 0, 2), late, words, stream.words(64, 5, 2), stream.uniforms(9, 2, 9))


def _draws() -> bytes:
    words = streams.Stream("selftest/draws", streams.seed_bytes(7)).words(0, 3, 6)
    weights = np.array([[1, 0, 5], [2**30, 2**30, 2**30], [0, 0, 1]], dtype=np.int64)
    ties = np.array([3, 1, 3, 1, 0, 2**64 - 1], dtype=np.uint64)
    drawn = [streams.categorical(words[:, draw], weights) for draw in range(6)]
    return _encoded(*drawn, streams.permutation(words[0]), streams.permutation(ties))


def _normals() -> bytes:
    words = streams.Stream("selftest/normals", streams.seed_bytes(7)).words(0, 40, 10)
    ends = np.array([0, 2**64 - 1, 2**63, 2**62], dtype=np.uint64)
    joints = np.array([0.075, 0.925, 0.075 - 2.0**-50, 0.5, 2.0**-30, 2.0**-40])
    return _encoded(normals(words), normals(ends), inverse_normal(joints))


def _quadratic() -> bytes:
    lower = torch.from_numpy(_numbers("quadratic/lower", 120).reshape(20, 6)).requires_grad_()
    difference = torch.from_numpy(_numbers("quadratic/difference", 60).reshape(20, 3)).requires_grad_()
    value = functions.triangular_form(lower, difference)
    gradients = torch.autograd.grad(functions.mean(functions.smooth_l1(value)), [lower, difference])
    return _encoded(value.detach().numpy(), *(gradient.numpy() for gradient in gradients))


def _hashes() -> bytes:
    value = {"b": [1, -2, True, None], "a": 0.1, "c": b"\x00", "d": "text", "e": np.array([[1.5, -0.0]])}
    return digest(
        canonical.encode(value), keyed(b"key", b"part", b""), chain(GENESIS, b"entry"), derive_key("purpose", b"seed")
    )


PRIMITIVES: dict[str, Callable[[], bytes]] = {
    "product": _products,
    "sum": _sums,
    "tanh": _tanh,
    "exp": _exp,
    "log": _log,
    "slow-path": _slow,
    "ieee": _ieee,
    "gradients": _gradients,
    "joined": _joined,
    "scan": _scan,
    "acting": _acting,
    "adam": _adam,
    "streams": _streams,
    "draws": _draws,
    "normals": _normals,
    "quadratic": _quadratic,
    "hashes": _hashes,
}
