"""The L1 and Linf programs of a linear region, and L2 with limits on the change, with HiGHS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from scipy import sparse

from reluopt.deadline import NEVER, Deadline
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.quiet_highs import QuietHighs
from reluopt.questions.problems import ChangeLimits, Norm

FEASIBILITY_TOLERANCE = 1e-9
"""HiGHS' primal feasibility tolerance on rows of length 1; what it leaves open is repaired by
tightening the conditions."""


def minimise_linear_norm(
    rows: FloatArray,
    rhs: FloatArray,
    low: FloatArray,
    high: FloatArray,
    norm: Norm,
    limits: ChangeLimits | None = None,
    deadline: Deadline = NEVER,
) -> tuple[FloatArray, FloatArray] | None:
    """Minimise ``|delta|_1`` or ``|delta|_inf`` subject to ``rows @ delta >= rhs`` in a box.

    Args:
        rows: shape ``(m, n)``.
        rhs: shape ``(m,)``.
        low: shape ``(n,)``, at most 0.
        high: shape ``(n,)``, at least 0.
        norm: L1 or Linf.
        limits: further limits on the change.
        deadline: when to give up.

    Returns:
        The minimiser and the duals (>= 0) of the rows; None when HiGHS finds no optimum in time.
    """
    solve = _minimise_l1 if norm is Norm.L1 else _minimise_linf
    return solve(_stacked(rows, rhs, limits), low, high, deadline)


def minimise_squares(
    rows: FloatArray,
    rhs: FloatArray,
    low: FloatArray,
    high: FloatArray,
    limits: ChangeLimits,
    deadline: Deadline = NEVER,
) -> tuple[FloatArray, FloatArray] | None:
    """Minimise ``delta @ delta`` as :func:`minimise_linear_norm` does the other norms."""
    stacked = _stacked(rows, rhs, limits)
    cost = np.zeros(low.size)
    solution = _solve(cost, low, high, *stacked.all, deadline=deadline, square=True)
    if solution is None:
        return None
    delta, duals = solution
    return np.clip(delta, low, high), np.maximum(duals[: rhs.size], 0.0)


@dataclass(frozen=True, eq=False)
class _Rows:
    """``lower <= matrix @ delta <= upper``: first the rows of a region, ``count`` of them."""

    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray
    count: int

    @property
    def all(self) -> tuple[sparse.csr_array, FloatArray, FloatArray]:
        """Matrix and limits."""
        return self.matrix, self.lower, self.upper


def _stacked(rows: FloatArray, rhs: FloatArray, limits: ChangeLimits | None) -> _Rows:
    """The rows of a region and the limits on the change."""
    matrix, unlimited = sparse.csr_array(rows), np.full(rhs.size, np.inf)
    if limits is None:
        return _Rows(matrix, rhs, unlimited, rhs.size)
    return _Rows(
        sparse.csr_array(sparse.vstack([matrix, limits.matrix])),
        np.concatenate([rhs, -limits.limit]),
        np.concatenate([unlimited, limits.limit]),
        rhs.size,
    )


def _minimise_l1(
    rows: _Rows, low: FloatArray, high: FloatArray, deadline: Deadline
) -> tuple[FloatArray, FloatArray] | None:
    """``min sum(p + n)`` with ``delta = p - n``, without the parts that have no room."""
    up, down = np.flatnonzero(high > 0.0), np.flatnonzero(low < 0.0)
    matrix = sparse.csr_array(sparse.hstack([rows.matrix[:, up], -rows.matrix[:, down]]))
    rooms = np.concatenate([high[up], -low[down]])
    ends = np.zeros(rooms.size), rooms
    solution = _solve(np.ones(rooms.size), *ends, matrix, rows.lower, rows.upper, deadline=deadline)
    if solution is None:
        return None
    values, duals = solution
    delta = np.zeros(low.size)
    delta[up] += values[: up.size]
    delta[down] -= values[up.size :]
    return delta, np.maximum(duals[: rows.count], 0.0)


def _minimise_linf(
    rows: _Rows, low: FloatArray, high: FloatArray, deadline: Deadline
) -> tuple[FloatArray, FloatArray] | None:
    """``min t`` with ``-t <= delta <= t``."""
    size = low.size
    one, edge = sparse.eye_array(size), sparse.csr_array(np.ones((size, 1)))
    top = sparse.hstack([rows.matrix, sparse.csr_array((rows.lower.size, 1))])
    above = sparse.csr_array(sparse.hstack([-one, edge]))[high > 0.0]
    below = sparse.csr_array(sparse.hstack([one, edge]))[low < 0.0]
    matrix = sparse.csr_array(sparse.vstack([top, above, below]))
    added = matrix.shape[0] - rows.lower.size
    row_lower = np.concatenate([rows.lower, np.zeros(added)])
    row_upper = np.concatenate([rows.upper, np.full(added, np.inf)])
    farthest = np.maximum(high, -low).max(initial=0.0)
    cost = np.append(np.zeros(size), 1.0)
    ends = np.append(low, 0.0), np.append(high, farthest)
    solution = _solve(cost, *ends, matrix, row_lower, row_upper, deadline=deadline)
    if solution is None:
        return None
    values, duals = solution
    return values[:size], np.maximum(duals[: rows.count], 0.0)


def _solve(
    cost: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    matrix: sparse.csr_array,
    row_lower: FloatArray,
    row_upper: FloatArray,
    *,
    deadline: Deadline,
    square: bool = False,
) -> tuple[FloatArray, FloatArray] | None:
    """Primal values and row duals of an LP, None unless HiGHS proves an optimum in time.

    With ``square`` the sum of the squares of all variables is added to the objective.
    """
    if deadline.passed:
        return None
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = matrix.shape
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, lower, upper
    model.row_lower_, model.row_upper_ = row_lower, row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = matrix.indptr
    model.a_matrix_.index_ = matrix.indices
    model.a_matrix_.value_ = matrix.data
    solver = QuietHighs()
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("presolve", "off")  # halves the time: the rows are dense and few
    solver.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    solver.setOptionValue("time_limit", deadline.left)
    solver.passModel(model)
    if square:
        solver.passHessian(_twice_the_identity(cost.size))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    return np.array(solution.col_value), np.array(solution.row_dual)


def _twice_the_identity(size: int) -> Any:
    """The Hessian of a sum of squares."""
    hessian = highspy.HighsHessian()
    hessian.dim_ = size
    hessian.format_ = highspy.HessianFormat.kTriangular
    hessian.start_ = np.arange(size + 1)
    hessian.index_ = np.arange(size)
    hessian.value_ = np.full(size, 2.0)
    return hessian
