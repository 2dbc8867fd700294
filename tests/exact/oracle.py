"""The specification in exact rational arithmetic and plain Python floats: slow, and shares no code with the package."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

Matrix = Sequence[Sequence[float]]


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


def total(values: Sequence[float]) -> float:
    """Sum on a grid of min(51, 53 - ceil(log2 n)) bits, chunk by chunk."""
    bits = min(51, 53 - log2_up(max(1, min(len(values), 2**13))))
    grid = Fraction(2) ** (exponent(values) - bits)
    result = 0.0
    for start in range(0, len(values), 2**13):
        result += float(sum((nearest(Fraction(v), grid) for v in values[start : start + 2**13]), Fraction(0)))
    return result


def _decimal(function: Callable[[Decimal], Decimal], x: float, grid_bits: int) -> float:
    """A function at 400 digits, rounded onto the grid by rational arithmetic."""
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 400, -(10**6), 10**6
        return float(nearest(Fraction(function(Decimal(x))), Fraction(1, 2**grid_bits)))


def tanh(x: float) -> float:
    def exact(d: Decimal) -> Decimal:
        e = (-2 * abs(d)).exp()
        return ((1 - e) / (1 + e)).copy_sign(d)

    return _decimal(exact, x, 26) + 0.0


def exp(x: float) -> float:
    return _decimal(lambda d: d.exp(), x, 30)


def log(x: float) -> float:
    return _decimal(lambda d: d.ln(), x, 30)


def sigmoid(x: float) -> float:
    return 0.5 * tanh(0.5 * x) + 0.5


def gru_step(gates: Sequence[float], kept: Sequence[float], weight: Matrix, bias: Sequence[float]) -> list[float]:
    """One copy, one lock-step, in plain floats."""
    size = len(kept)
    recurrent = [s + b for s, b in zip(product([list(kept)], weight, 0)[0], bias, strict=True)]
    result = []
    for i in range(size):
        reset = sigmoid(gates[i] + recurrent[i])
        update = sigmoid(gates[size + i] + recurrent[size + i])
        candidate = tanh(gates[2 * size + i] + reset * recurrent[2 * size + i])
        state = candidate + update * (kept[i] - candidate)
        result.append(float(nearest(Fraction(state), Fraction(1, 2**24))))
    return result


def adam(parameters: list[float], gradients: Sequence[Sequence[float]], learning_rate: float) -> list[float]:
    """Adam in plain floats with math.sqrt, step after step."""
    first, second = [0.0] * len(parameters), [0.0] * len(parameters)
    power1 = power2 = 1.0
    current = list(parameters)
    for gradient in gradients:
        power1, power2 = power1 * 0.9, power2 * 0.999
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
