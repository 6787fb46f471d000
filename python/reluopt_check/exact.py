"""Exact arithmetic: integers over a common power of two for vectors, Fractions for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import isqrt
from operator import mul
from typing import Any, NamedTuple

ZERO, ONE = Fraction(0), Fraction(1)
Matrix = list[list[Fraction]]


class Vec(NamedTuple):
    """The vector ``n / 2**e``."""

    n: list[int]
    e: int

    def list(self) -> list[Fraction]:
        """Its entries."""
        return [Fraction(each, 1 << self.e) for each in self.n]


def vec(values: Iterable[Any]) -> Vec:
    """Exactly these numbers, whose denominators are powers of two."""
    pairs = [value.as_integer_ratio() for value in values]
    e = max((d.bit_length() - 1 for _, d in pairs), default=0)
    return Vec([n << (e + 1 - d.bit_length()) for n, d in pairs], e)


def shown(value: Fraction) -> str:
    """A number as messages show it."""
    try:
        return repr(float(value))
    except OverflowError:
        return "a number beyond 1e308"


def unit(i: int, size: int, sign: int = 1) -> Vec:
    """Plus or minus a unit vector."""
    return Vec([sign * (i == j) for j in range(size)], 0)


def dot(left: Vec, right: Vec) -> Fraction:
    """The inner product."""
    return Fraction(sum(map(mul, left.n, right.n)), 1 << (left.e + right.e))


def combine(weights: Iterable[Any], rows: Sequence[Vec], size: int) -> Vec:
    """``sum_i weights[i] rows[i]``, rows of a length."""
    factors, e, total = vec(weights), max((row.e for row in rows), default=0), [0] * size
    for factor, row in zip(factors.n, rows, strict=True):
        if factor:
            f = factor << (e - row.e)
            total = [t + f * x for t, x in zip(total, row.n, strict=True)]
    return Vec(total, factors.e + e)


def rounded(value: Fraction, up: bool = False) -> Fraction:
    """A dyadic number that is not above (not below) ``value``, and near to it."""
    shift = 64 + max(0, value.denominator.bit_length() - value.numerator.bit_length())
    n = value.numerator << shift
    return Fraction(-(-n // value.denominator) if up else n // value.denominator, 1 << shift)


def shares(weights: Iterable[Any]) -> list[Fraction]:
    """Dyadic shares >= 0 that add up to exactly 1, in about the proportions of the weights."""
    positive = [max(Fraction(w), ZERO) for w in weights]
    total = sum(positive, ZERO)
    parts = [rounded(w / total if total else Fraction(1, len(positive))) for w in positive[1:]]
    return [1 - sum(parts, ZERO), *parts]


def knapsack(gains: Iterable[int], rooms: Iterable[int], budget: int) -> int:
    """The largest ``sum gain t`` with ``0 <= t <= room`` and ``sum t <= budget``."""
    total = 0
    for gain, room in sorted(zip(gains, rooms, strict=True), reverse=True):
        if gain <= 0 or budget <= 0:
            break
        total += gain * min(room, budget)
        budget -= room
    return total


def negative_curvature(matrix: Matrix) -> Fraction | None:
    """A small k >= 0 for which ``matrix + k I`` is positive semidefinite; None if none is found.

    The matrix is cut to integers N of units of 2**-160 its size, which moves eigenvalues by at most
    its order. ``N + k I = L L' + E`` for the integers L of a Cholesky factorisation, so that no
    eigenvalue lies below minus the largest row sum of ``|E|``, which is computed exactly.
    """
    largest = max((abs(value) for row in matrix for value in row), default=ZERO)
    if not largest:
        return ZERO
    step = rounded(largest, up=True) / (1 << 160)
    cut, shift = [[value // step for value in row] for row in matrix], 0
    while shift < 1 << 162:
        error = _cholesky_error(cut, shift)
        if error is not None:
            return (shift + len(cut) + error) * step
        shift = shift * 5 // 4 if shift else 1 << 90
    return None


def _cholesky_error(matrix: list[list[int]], shift: int) -> int | None:
    """Above ``|L L' - matrix - shift I|``; None where a pivot is not positive."""
    rows, sums = list[list[int]](), [0] * len(matrix)
    for i in range(len(matrix)):
        row = list[int]()
        for j, other in enumerate([*rows, row]):
            rest = (matrix[i][j] + shift * (i == j)) << 160
            rest -= sum(map(mul, row, other[:j]))
            if i == j and rest <= 0:
                return None
            row.append(isqrt(rest) if i == j else rest // other[j])
            error = abs(rest - row[j] * other[j])
            sums[i] += error
            sums[j] += error * (j < i)
        rows.append(row)
    return (max(sums) >> 160) + 1


def positive(values: Iterable[Any]) -> list[Fraction]:
    """Multipliers, those below zero being zero."""
    return [max(Fraction(v), ZERO) for v in values]
