"""Outward rounding, checked in rational arithmetic."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reluopt.numerics.rounding import chord, gamma, pairwise_sum

SIDES = st.floats(1e-12, 1e12)


@given(SIDES, SIDES)
def test_a_chord_is_not_below_the_relu_at_either_end(depth, width):
    slope, offset = (Fraction(v) for v in chord(-depth, width))
    assert 0 <= slope <= 1
    assert slope * Fraction(-depth) + offset >= 0
    assert slope * Fraction(width) + offset >= Fraction(width)
    true = Fraction(width) * Fraction(depth) / (Fraction(width) + Fraction(depth))
    assert offset <= true + (Fraction(width) + Fraction(depth)) / 2**49


@given(st.integers(1, 10**6))
def test_gamma_is_twice_that_of_the_literature(count):
    unit = Fraction(1, 2**53)
    assert Fraction(gamma(float(count))) >= count * unit / (1 - count * unit)


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_pairwise_sums_are_sums(values):
    exact = sum((Fraction(v) for v in values), Fraction(0))
    size = sum((abs(Fraction(v)) for v in values), Fraction(0))
    found = Fraction(float(pairwise_sum(np.array(values, dtype=float), len(values))))
    assert abs(found - exact) <= Fraction(gamma(len(values) + 1.0)) * size
