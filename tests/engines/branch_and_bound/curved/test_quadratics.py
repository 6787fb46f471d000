"""Bounds of quadratic functions over balls, against sampling and eigenvalues."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from reluopt.engines.branch_and_bound.curved.quadratics import (
    estimated_spectrum,
    gram,
    is_below,
    largest_over_ball,
    local_spectrum,
    proven_over_ball,
)

QUICK = settings(max_examples=80, deadline=None, derandomize=True)


def directions(seed, count=12, size=8):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, size)) * (random.random((count, size)) < 0.6)
    return random, sp.csr_array(rows), random.random(count) * 10.0 ** random.integers(-6, 6)


@given(st.integers(0, 10**6))
@QUICK
def test_spectra_are_not_below_the_largest_eigenvalue(seed):
    _, rows, weights = directions(seed)
    matrix = gram(rows, weights)
    true = float(np.linalg.eigvalsh(matrix)[-1])
    local = local_spectrum(rows, weights)
    assert true <= local <= 1.3 * true + 1e-280
    estimate = estimated_spectrum(rows, weights)
    assert estimate == pytest.approx(1.02 * true, rel=0.01)
    assert is_below(matrix, estimate, 100.0)
    assert not is_below(matrix, 0.999 * true, 100.0)


@given(st.integers(0, 10**6), st.sampled_from([1e-3, 0.1, 1.0, 30.0]), st.booleans())
@QUICK
def test_nothing_in_a_ball_exceeds_the_bound(seed, radius, level):
    random, rows, weights = directions(seed)
    matrix = gram(rows, weights)
    slopes = np.zeros(8) if level else random.normal(size=8) * 10.0 ** random.integers(-3, 3)
    bound = proven_over_ball(slopes, matrix, radius, 100.0)
    points = random.normal(size=(4000, 8))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    value, point, _ = largest_over_ball(slopes, matrix, radius)
    values = points @ slopes + np.einsum("ij,jk,ik->i", points, matrix, points)
    assert values.max() <= bound
    assert value <= bound * (1.0 + 1e-9)
    size = abs(value) + radius * np.linalg.norm(slopes) + radius**2 * np.trace(matrix)
    assert bound <= value + 1e-5 * size
    if not level:  # no hard case: the bound is attained
        assert np.linalg.norm(point) <= radius * (1.0 + 1e-6)


def test_what_is_no_number_is_infinite():
    broken = np.full((3, 3), np.nan)
    with np.errstate(invalid="ignore"), pytest.raises(np.linalg.LinAlgError):
        proven_over_ball(np.ones(3), broken, 1.0, 10.0)
    assert not is_below(broken, 1.0, 10.0)


@pytest.mark.parametrize("scale", [1e-150, 1e-22, 1e-20, 1e20, 1e100])
def test_a_spectrum_of_any_scale_is_not_below_the_eigenvalue(scale):
    """Eighth powers are taken of numbers near one."""
    assert local_spectrum(sp.csr_array([[scale]]), np.ones(1)) >= scale * scale
    assert local_spectrum(sp.csr_array([[scale]]), np.ones(1)) <= 1.001 * scale * scale + 1e-280
