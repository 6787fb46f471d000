"""Numbers of the checker are exact, or refused."""

from decimal import Decimal, Inexact, InvalidOperation, Overflow, localcontext
from fractions import Fraction

import numpy as np
import pytest

from reluopt_check.exact import EXACT, NEAR, ONE, ZERO, combine, dot, shown
from reluopt_check.stages import negative_curvature


@pytest.fixture(autouse=True)
def exact():
    with localcontext(EXACT):
        yield


def _vector(values):
    return [Decimal(float(value)) for value in values]


def _fractions(values):
    return [Fraction(value) for value in values]


def test_floats_are_kept_exactly():
    for value in (0.1, -3 / 8, 5e-324, 2.0**-1000, 1.7976931348623157e308):
        assert Fraction(Decimal(value)) == Fraction(value)


@pytest.mark.parametrize("spread", [0, 30, 300])
def test_sums_of_products_agree_with_fractions(spread):
    generator = np.random.default_rng(spread)
    exponents = generator.integers(-spread, spread + 1, (5, 8))
    numbers = generator.normal(size=(5, 8)) * 10.0**exponents
    rows, weights = [_vector(row) for row in numbers], _vector(generator.normal(size=5))
    exact_rows, exact_weights = [_fractions(row) for row in numbers], _fractions(weights)
    pairs = zip(exact_rows[0], exact_rows[1], strict=True)
    assert Fraction(dot(rows[0], rows[1])) == sum(a * b for a, b in pairs)
    expected = [
        1 + sum(w * row[j] for w, row in zip(exact_weights, exact_rows, strict=True))
        for j in range(8)
    ]
    assert _fractions(combine(weights, rows, [ONE] * 8)) == expected


def test_what_would_be_rounded_is_raised():
    """A third would become something else, and everything after it wrong."""
    with pytest.raises(Inexact):
        ONE / Decimal(3)
    with pytest.raises(Inexact):
        Decimal("1e9000") + Decimal("1e-9000")
    (tiny,) = _vector([5e-324])
    for _ in range(3):  # 5e-324 has 751 digits
        tiny = tiny * tiny
    with pytest.raises(Inexact):
        tiny * tiny
    with pytest.raises(Overflow):
        Decimal("1e999999") * Decimal(10)


def test_nothing_is_compared_with_what_is_no_number():
    for context in (EXACT, NEAR):
        with localcontext(context), pytest.raises(InvalidOperation):
            max(Decimal("nan"), ZERO)
        with localcontext(context), pytest.raises(InvalidOperation):
            Decimal("inf") - Decimal("inf")


def test_zero_is_shown_without_a_sign():
    assert [shown(Decimal(v)) for v in (-0.0, 0.1, 1e300)] == ["0.0", "0.1", "1e+300"]


def test_negative_curvature_makes_matrices_positive():
    """Also where the factorisation fails at once, in the middle, or at the end."""
    for seed in range(40):
        generator = np.random.default_rng(seed)
        size = int(generator.integers(0, 6))
        factor = generator.normal(size=(size, size))
        matrix = factor @ factor.T if seed % 2 else factor + factor.T
        matrix[:, size // 2 :] *= seed % 3
        matrix[size // 2 :] *= seed % 3
        least = negative_curvature([_vector(row) for row in matrix])
        eigenvalues = np.linalg.eigvalsh(matrix)
        assert least >= 0
        assert size == 0 or eigenvalues[0] + float(least) >= -1e-12
        assert seed % 2 == 0 or least < 1e-10
