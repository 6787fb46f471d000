"""Exact arithmetic: integers over a common power of two for vectors, Fractions for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement
from math import sqrt
from operator import mul
from typing import Any, NamedTuple

ZERO, ONE = Fraction(0), Fraction(1)
Form = list[Fraction]


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
    if any(d & (d - 1) for _, d in pairs):
        raise RuntimeError("expected denominators that are powers of two")
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


def rounded(value: Fraction) -> Fraction:
    """A dyadic number that is not above ``value``, and near to it."""
    shift = 64 + max(0, value.denominator.bit_length() - value.numerator.bit_length())
    return Fraction((value.numerator << shift) // value.denominator, 1 << shift)


def positive(values: Iterable[Any]) -> list[Fraction]:
    """Multipliers, those below zero being zero."""
    return [max(Fraction(v), ZERO) for v in values]


def negative_curvature(matrix: list[list[Fraction]]) -> Fraction:
    """A small k >= 0 for which the symmetric ``matrix + k I`` is positive semidefinite.

    No eigenvalue of ``L L' + E`` lies below minus the largest row sum of ``|E|``, which is exact
    whatever the L that a factorisation in floating point finds.
    """
    count, rows = range(len(matrix)), [[0.0] * len(matrix) for _ in matrix]
    try:
        shift = 2.0**-48 * sum(float(matrix[i][i]) for i in count)
        for j, i in combinations_with_replacement(count, 2):
            rest = float(matrix[i][j]) - sum(map(mul, rows[i][:j], rows[j]))
            rows[i][j] = sqrt(rest + shift) if i == j else rest / rows[j][j]
        found = [vec(row) for row in rows]
    except (ArithmeticError, ValueError):
        found = [vec([ZERO])] * len(matrix)
    errors = [[abs(matrix[i][j] - dot(found[i], found[j])) for j in count] for i in count]
    return max((sum(row, ZERO) for row in errors), default=ZERO)
