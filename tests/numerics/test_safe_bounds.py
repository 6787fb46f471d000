"""Bounds of linear programs from any multipliers: never above the optimum, tight for the best."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from reluopt.numerics.safe_bounds import safe_bound


def limits_of(row_lower, row_upper, lower, upper):
    return SimpleNamespace(row_lower=row_lower, row_upper=row_upper, lower=lower, upper=upper)


def program_of(random):
    rows, columns = int(random.integers(1, 6)), int(random.integers(1, 7))
    matrix = random.normal(size=(rows, columns)) * (random.random((rows, columns)) < 0.7)
    lower, upper = -random.random(columns), random.random(columns)
    middle = matrix @ (lower + random.random(columns) * (upper - lower))
    row_lower, row_upper = middle - random.random(rows), middle + random.random(rows)
    row_lower[random.random(rows) < 0.4] = -np.inf
    row_upper[random.random(rows) < 0.4] = np.inf
    return (
        sp.csr_array(matrix),
        limits_of(row_lower, row_upper, lower, upper),
        random.normal(size=columns),
    )


def solved(matrix, ends, cost):
    dense = matrix.toarray()
    up, low = np.isfinite(ends.row_upper), np.isfinite(ends.row_lower)
    rows = np.vstack([dense[up], -dense[low]])
    limits = np.concatenate([ends.row_upper[up], -ends.row_lower[low]])
    found = linprog(cost, rows, limits, bounds=list(zip(ends.lower, ends.upper, strict=True)))
    assert found.status == 0
    duals = np.zeros(up.size)
    duals[up] += found.ineqlin.marginals[: up.sum()]
    duals[low] -= found.ineqlin.marginals[up.sum() :]
    return found.fun, duals


@given(st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_any_multipliers_give_a_bound(seed):
    random = np.random.default_rng(seed)
    matrix, ends, cost = program_of(random)
    optimum, duals = solved(matrix, ends, cost)
    assert safe_bound(matrix, ends, cost, duals) == pytest.approx(optimum, abs=1e-7)
    wrong = random.normal(size=duals.size)
    wrong[random.random(duals.size) < 0.2] = random.choice([np.nan, np.inf, -np.inf])
    for multipliers in (wrong, -duals, 1e3 * duals):
        assert safe_bound(matrix, ends, cost, multipliers) <= optimum + 1e-9


def lagrangian(matrix, limits, cost, duals):
    """The bound in rational numbers."""
    rows = matrix.toarray()
    total, reduced = Fraction(0), [Fraction(c) for c in cost]
    for row, low, high, dual in zip(rows, limits.row_lower, limits.row_upper, duals, strict=True):
        side = low if dual > 0.0 else high
        if not np.isfinite(side):
            continue
        total += Fraction(dual) * Fraction(side)
        reduced = [d - Fraction(a) * Fraction(dual) for d, a in zip(reduced, row, strict=True)]
    ends = zip(reduced, limits.lower, limits.upper, strict=True)
    return total + sum(min(d * Fraction(low), d * Fraction(high)) for d, low, high in ends)


@given(st.integers(0, 10**6), st.sampled_from([1.0, 1e6]))
@settings(max_examples=100, deadline=None)
def test_no_rounding_is_left_out(seed, factor):
    random = np.random.default_rng(seed)
    matrix, limits, cost = program_of(random)
    duals = factor * random.normal(size=matrix.shape[0])
    assert Fraction(safe_bound(matrix, limits, cost, duals)) < lagrangian(
        matrix, limits, cost, duals
    )


def test_a_ray_shows_that_nothing_is_feasible():
    matrix = sp.csr_array(np.array([[1.0, 1.0]]))
    ends = limits_of(np.array([3.0]), np.array([np.inf]), np.zeros(2), np.ones(2))
    assert safe_bound(matrix, ends, np.zeros(2), np.array([1.0])) > 0.0
    assert safe_bound(matrix, ends, np.zeros(2), np.array([-1.0])) <= 0.0
