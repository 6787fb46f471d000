"""The L1 and Linf programs of a linear region, with HiGHS."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
from scipy import sparse

from reluopt.network import FloatArray
from reluopt.problems import Norm

FEASIBILITY_TOLERANCE = 1e-9
"""HiGHS' primal feasibility tolerance on rows of length 1; what it leaves open is repaired by
tightening the conditions."""


def minimise_linear_norm(
    rows: FloatArray, rhs: FloatArray, low: FloatArray, high: FloatArray, norm: Norm
) -> tuple[FloatArray, FloatArray] | None:
    """Minimise ``|delta|_1`` or ``|delta|_inf`` subject to ``rows @ delta >= rhs`` in a box.

    Args:
        rows: shape ``(m, n)``.
        rhs: shape ``(m,)``.
        low: shape ``(n,)``, at most 0.
        high: shape ``(n,)``, at least 0.
        norm: L1 or Linf.

    Returns:
        The minimiser and the duals (>= 0) of the rows; None when HiGHS finds no optimum.
    """
    solve = _minimise_l1 if norm is Norm.L1 else _minimise_linf
    return solve(rows, rhs, low, high)


def _minimise_l1(
    rows: FloatArray, rhs: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """``min sum(p + n)`` with ``delta = p - n``, without the parts that have no room."""
    up, down = np.flatnonzero(high > 0.0), np.flatnonzero(low < 0.0)
    matrix = sparse.csr_array(np.hstack([rows[:, up], -rows[:, down]]))
    rooms = np.concatenate([high[up], -low[down]])
    limits = (rhs, np.full(rhs.size, np.inf))
    solution = _solve(np.ones(rooms.size), np.zeros(rooms.size), rooms, matrix, *limits)
    if solution is None:
        return None
    values, duals = solution
    delta = np.zeros(low.size)
    delta[up] += values[: up.size]
    delta[down] -= values[up.size :]
    return delta, np.maximum(duals, 0.0)


def _minimise_linf(
    rows: FloatArray, rhs: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """``min t`` with ``-t <= delta <= t``."""
    size = low.size
    one, edge = sparse.eye_array(size), sparse.csr_array(np.ones((size, 1)))
    top = sparse.hstack([sparse.csr_array(rows), sparse.csr_array((rhs.size, 1))])
    above = sparse.csr_array(sparse.hstack([-one, edge]))[high > 0.0]
    below = sparse.csr_array(sparse.hstack([one, edge]))[low < 0.0]
    matrix = sparse.csr_array(sparse.vstack([top, above, below]))
    row_lower = np.concatenate([rhs, np.zeros(matrix.shape[0] - rhs.size)])
    farthest = np.maximum(high, -low).max(initial=0.0)
    limits = (row_lower, np.full(row_lower.size, np.inf))
    cost = np.append(np.zeros(size), 1.0)
    solution = _solve(cost, np.append(low, 0.0), np.append(high, farthest), matrix, *limits)
    if solution is None:
        return None
    values, duals = solution
    return values[:size], np.maximum(duals[: rhs.size], 0.0)


def _solve(
    cost: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    matrix: sparse.csr_array,
    row_lower: FloatArray,
    row_upper: FloatArray,
) -> tuple[FloatArray, FloatArray] | None:
    """Primal values and row duals of an LP, None unless HiGHS proves an optimum."""
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = matrix.shape
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, lower, upper
    model.row_lower_, model.row_upper_ = row_lower, row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = matrix.indptr
    model.a_matrix_.index_ = matrix.indices
    model.a_matrix_.value_ = matrix.data
    create: Any = highspy.Highs  # untyped upstream
    solver = create()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("presolve", "off")  # halves the time: the rows are dense and few
    solver.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    solver.passModel(model)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    return np.array(solution.col_value), np.array(solution.row_dual)
