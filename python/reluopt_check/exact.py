"""Exact arithmetic: decimal numbers, as all floats are, rounded nowhere but where NEAR is named."""

from collections.abc import Iterable
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from operator import mul

Vector = list[Decimal]
ZERO, HALF, ONE, INFINITY = map(Decimal, ("0", "0.5", "1", "Infinity"))
EXACT = Context(10_000, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""A result that needs more digits is none: Inexact is raised."""
NEAR = Context(30, traps=[InvalidOperation, DivisionByZero, Overflow])
"""For numbers that any others near to them may replace."""


def shown(value: Decimal) -> str:
    """A number as messages show it, zero without a sign."""
    return repr(float(value) + 0.0)


def dot(left: Iterable[Decimal], right: Iterable[Decimal]) -> Decimal:
    """The inner product."""
    return sum(map(mul, left, right), ZERO)


def plus(left: Vector, right: Vector, factor: Decimal = ONE) -> Vector:
    """``left + factor right``."""
    return [a + factor * b for a, b in zip(left, right, strict=True)]


def combine(weights: Iterable[Decimal], rows: Iterable[Vector], total: Vector) -> Vector:
    """``total + sum_i weights[i] rows[i]``."""
    for weight, row in zip(weights, rows, strict=True):
        total = plus(total, row, weight) if weight else total
    return total
