"""Vectors of the checker are exact, or refused."""

from fractions import Fraction

import pytest

from reluopt_check.exact import vec


def test_dyadic_numbers_are_kept_exactly():
    values = [0.1, Fraction(-3, 8), 5, 2.0**-1000]
    assert vec(values).list() == [Fraction(value) for value in values]


def test_other_numbers_are_refused():
    """A third would become a half, and everything after it wrong."""
    with pytest.raises(RuntimeError, match="powers of two"):
        vec([Fraction(1, 2), Fraction(1, 3)])
