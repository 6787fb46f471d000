"""Linear programs of few rows against scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from reluopt.engines.branch_and_bound.dual.few_rows import few_rows, minimise
from reluopt.engines.branch_and_bound.l1.simplex import INFEASIBLE, OPTIMAL


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(1, 12))
def test_the_optimum_and_the_multipliers_are_right(seed, count, size):
    generator = np.random.default_rng(seed)
    rows, cost = generator.normal(size=(count, size)), generator.normal(size=size)
    rhs = generator.normal(size=count) * (1.0 + seed % 3)
    high = generator.uniform(0.1, 2.0, size)
    low = -generator.uniform(0.0, 1.0, size)
    program, state, work = few_rows(rows, rhs, low, high, cost)
    code = minimise(program, state, work)
    exact = linprog(cost, A_ub=-rows, b_ub=-rhs, bounds=list(zip(low, high, strict=True)))
    if exact.status == 2:
        assert code == INFEASIBLE
        ray = np.maximum(work.ray, 0.0)
        slope = ray @ rows
        assert ray @ rhs > np.maximum(slope * low, slope * high).sum()
        return
    assert code == OPTIMAL
    point = state.value[:size]
    assert cost @ point == pytest.approx(exact.fun, abs=1e-7)
    assert (rows @ point >= rhs - 1e-7).all()
    duals = np.maximum(work.y, 0.0)
    left = cost - duals @ rows
    assert duals @ rhs + np.minimum(left * low, left * high).sum() == pytest.approx(
        exact.fun, abs=1e-7
    )
