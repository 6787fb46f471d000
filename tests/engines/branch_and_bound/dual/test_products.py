"""Products of a few rows, of all shapes, against numpy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reluopt.engines.branch_and_bound.dual.products import MOST_ROWS, times, times_transposed

shapes = st.tuples(st.integers(1, MOST_ROWS), st.integers(1, 9), st.integers(1, 40))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shapes, st.integers(0, 5), st.integers(0, 10**6))
def test_products_are_those_of_numpy(shape, spare, seed):
    rows, size, width = shape
    generator = np.random.default_rng(seed)

    def single(*shape):
        return generator.normal(size=shape).astype(np.float32)

    matrix, left = single(size, width), single(MOST_ROWS, size + spare)
    out = single(MOST_ROWS, width + 2 * spare)
    before = out.copy()
    times(left, matrix, out, rows, spare)
    inside = (slice(rows), slice(spare, spare + width))
    np.testing.assert_allclose(out[inside], left[:rows, :size] @ matrix, rtol=1e-4, atol=1e-4)
    out[inside] = before[inside]
    np.testing.assert_array_equal(out, before)
    other = single(MOST_ROWS, width)
    out = single(MOST_ROWS, size + spare)
    times_transposed(other, matrix, out, rows)
    np.testing.assert_allclose(out[:rows, :size], other[:rows] @ matrix.T, rtol=1e-4, atol=1e-4)
