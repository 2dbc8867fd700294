"""The specification in exact rational arithmetic and plain Python floats: slow, and shares no code with the package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

Matrix = Sequence[Sequence[float]]
Cube = Sequence[Matrix]


def nearest(value: Fraction, grid: Fraction) -> Fraction:
    """The multiple of ``grid`` nearest to ``value``, ties to even."""
    return Fraction(round(value / grid)) * grid


def exponent(values: Sequence[float]) -> int:
    """Smallest e, at least -300, with every |v| < 2^e; 0 for zeros."""
    largest = max((abs(Fraction(v)) for v in values), default=Fraction(0))
    if largest == 0:
        return 0
    e = -300
    while largest >= Fraction(2) ** e:
        e += 1
    return e


def log2_up(count: int) -> int:
    bits = 0
    while 2**bits < count:
        bits += 1
    return bits


def product(a: Matrix, b: Matrix, a_exponent: int | None = None, b_exponent: int | None = None) -> list[list[float]]:
    """Exact dot products of operands rounded to k bits; for more than 2^13 terms chunk by chunk."""
    terms = len(b)
    bits = (53 - log2_up(min(terms, 2**13))) // 2
    e_a = exponent([v for row in a for v in row]) if a_exponent is None else a_exponent
    e_b = exponent([v for row in b for v in row]) if b_exponent is None else b_exponent
    grid_a, grid_b = Fraction(2) ** (e_a - bits), Fraction(2) ** (e_b - bits)
    left = [[nearest(Fraction(v), grid_a) for v in row] for row in a]
    right = [[nearest(Fraction(v), grid_b) for v in row] for row in b]
    result = []
    for row in left:
        line = []
        for column in range(len(right[0])):
            total = 0.0
            for start in range(0, terms, 2**13):
                chunk = sum(row[k] * right[k][column] for k in range(start, min(start + 2**13, terms)))
                total += float(chunk)
            line.append(total + 0.0)
        result.append(line)
    return result


def total(values: Sequence[float], scale: int | None = None) -> float:
    """Sum on a grid of min(51, 53 - ceil(log2 n)) bits, chunk by chunk; ``scale`` is the values' own if None."""
    bits = min(51, 53 - log2_up(max(1, min(len(values), 2**13))))
    grid = Fraction(2) ** ((exponent(values) if scale is None else scale) - bits)
    result = 0.0
    for start in range(0, len(values), 2**13):
        result += float(sum((nearest(Fraction(v), grid) for v in values[start : start + 2**13]), Fraction(0)))
    return result


_SERIES_BITS = 600


def _exp(x: Fraction) -> Fraction:
    """exp to about 500 bits after the point for x <= 8: a Taylor series in integers after halving the argument."""
    unit = 1 << _SERIES_BITS
    halvings = 8 + math.ceil(abs(x)).bit_length()
    y = round(x / 2**halvings * unit)
    total = term = unit
    n = 1
    while term:
        term = term * y // (n * unit)
        total += term
        n += 1
    for _ in range(halvings):
        total = total * total >> _SERIES_BITS
    return Fraction(total, unit)


def _log_ratio(p: Fraction) -> Fraction:
    """log p = 2 artanh((p - 1) / (p + 1)) by its series, for p between 1/2 and 2."""
    unit = 1 << _SERIES_BITS
    z = round((p - 1) / (p + 1) * unit)
    square, power, total, n = z * z >> _SERIES_BITS, z, 0, 1
    while abs(power) > 1:
        total += power // n
        power = power * square >> _SERIES_BITS
        n += 2
    return Fraction(2 * total, unit)


def _settled(value: Fraction, grid_bits: int) -> float:
    """``value`` rounded onto a grid; it must be further from the middle between two points than the series is wrong."""
    units = value * 2**grid_bits
    distance = abs(units - math.floor(units) - Fraction(1, 2))
    assert distance > Fraction(1, 2**400)
    return float(nearest(value, Fraction(1, 2**grid_bits)))


def tanh(x: float) -> float:
    e = _exp(-2 * abs(Fraction(min(abs(x), 1e3))))
    return math.copysign(_settled((1 - e) / (1 + e), 26), x) + 0.0


def exp(x: float) -> float:
    return _settled(_exp(max(Fraction(x), Fraction(-100))), 30)


def log(x: float) -> float:
    mantissa, power = math.frexp(x)
    return _settled(_log_ratio(Fraction(mantissa)) + power * _log_ratio(Fraction(2)), 30)


def sigmoid(x: float) -> float:
    return 0.5 * tanh(0.5 * x) + 0.5


def column_sums(x: Matrix) -> list[float]:
    """Sum of each column on a grid that all columns share."""
    scale = exponent([v for row in x for v in row])
    return [total([row[j] for row in x], scale) for j in range(len(x[0]))]


class Scan(NamedTuple):
    """A scan of E copies over T lock-steps in plain floats: [T][E][X] each."""

    states: list[list[list[float]]]
    kept: list[list[list[float]]]
    reset: list[list[list[float]]]
    update: list[list[list[float]]]
    candidate: list[list[list[float]]]
    recurrent: list[list[list[float]]]


def scan(gates: Cube, keep: Matrix, start: Matrix, weight: Matrix, bias: Sequence[float]) -> Scan:
    """gates [T][E][3X], keep [T][E], start [E][X], weight [X][3X], bias [3X]."""
    found = Scan([], [], [], [], [], [])
    state = [list(row) for row in start]
    size = len(start[0])
    for t, rows in enumerate(gates):
        for column in found:
            column.append([])
        for e, gate in enumerate(rows):
            kept = [v * keep[t][e] + 0.0 for v in state[e]]
            pre = [s + b for s, b in zip(product([kept], weight, 0)[0], bias, strict=True)]
            reset = [sigmoid(gate[i] + pre[i]) for i in range(size)]
            update = [sigmoid(gate[size + i] + pre[size + i]) for i in range(size)]
            candidate = [tanh(gate[2 * size + i] + reset[i] * pre[2 * size + i]) for i in range(size)]
            blend = [c + u * (h - c) for c, u, h in zip(candidate, update, kept, strict=True)]
            state[e] = [float(nearest(Fraction(v), Fraction(1, 2**24))) for v in blend]
            for column, value in zip(found, (state[e], kept, reset, update, candidate, pre[2 * size :]), strict=True):
                column[t].append(value)
    return found


def scan_backward(
    trace: Scan, keep: Matrix, weight: Matrix, gradient: Cube
) -> tuple[list[list[list[float]]], list[list[float]], list[float]]:
    """Gradients of gates [T][E][3X], weight [X][3X] and bias [3X] by backpropagation through time."""
    copies, size = len(keep[0]), len(weight)
    transposed = [[row[j] for row in weight] for j in range(3 * size)]
    future = [[0.0] * size for _ in range(copies)]
    d_gates: list[list[list[float]]] = []
    d_recurrent: list[list[list[float]]] = []
    for t in range(len(keep) - 1, -1, -1):
        gate_rows, recurrent_rows, carried = [], [], []
        for e in range(copies):
            d_reset, d_update, d_candidate, to_pre, through = [], [], [], [], []
            for i in range(size):
                h, r, u = trace.kept[t][e][i], trace.reset[t][e][i], trace.update[t][e][i]
                n, s = trace.candidate[t][e][i], trace.recurrent[t][e][i]
                d = gradient[t][e][i] + future[e][i]
                d_n = d * ((1.0 - u) * (1.0 - n * n))
                d_reset.append(d_n * (s * (r * (1.0 - r))))
                d_update.append(d * ((h - n) * (u * (1.0 - u))))
                d_candidate.append(d_n)
                to_pre.append(d_n * r)
                through.append(d * u)
            gate_rows.append(d_reset + d_update + d_candidate)
            recurrent_rows.append(d_reset + d_update + to_pre)
            carried.append(through)
        back = product(recurrent_rows, transposed)
        future = [[(carried[e][i] + back[e][i]) * keep[t][e] for i in range(size)] for e in range(copies)]
        d_gates.insert(0, gate_rows)
        d_recurrent.insert(0, recurrent_rows)
    flat = [row for rows in d_recurrent for row in rows]
    states = [row for rows in trace.kept for row in rows]
    d_weight = product([[row[i] for row in states] for i in range(size)], flat, 0)
    return d_gates, d_weight, column_sums(flat)


def adam(parameters: list[float], gradients: Sequence[Sequence[float]], learning_rate: float) -> list[float]:
    """Adam in plain floats with math.sqrt, step after step."""
    first, second = [0.0] * len(parameters), [0.0] * len(parameters)
    power1 = power2 = 1.0
    current = list(parameters)
    for gradient in gradients:
        power1, power2 = power1 * 0.9, power2 * 0.999
        power1 = 0.0 if power1 < 2.0**-300 else power1
        for i, g in enumerate(gradient):
            first[i] = first[i] * 0.9 + (1.0 - 0.9) * g
            second[i] = second[i] * 0.999 + (1.0 - 0.999) * (g * g)
            first[i] = 0.0 if abs(first[i]) < 2.0**-300 else first[i]
            second[i] = 0.0 if second[i] < 2.0**-300 else second[i]
            deviation = math.sqrt(second[i] / (1.0 - power2)) + 1e-8
            current[i] = current[i] - learning_rate * ((first[i] / (1.0 - power1)) / deviation)
    return current


def philox(key: int, counter: int) -> list[int]:
    """One block of Philox4x64-10 in Python integers (Salmon et al., 2011)."""
    mask = 2**64 - 1
    c = [(counter >> (64 * i)) & mask for i in range(4)]
    k = [key & mask, key >> 64]
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c[0], 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * c[2], 2**64)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
    return c


def same_bits(found: object, expected: object) -> bool:
    """Equal as bits: the sign of a zero counts."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    return a.shape == b.shape and a.tobytes() == b.tobytes()
