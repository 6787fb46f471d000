"""Programs of a linear region with HiGHS: the nearest input of any norm, and the largest value."""

from __future__ import annotations

import highspy
import numpy as np

from reluopt.deadline import NEVER, Deadline
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import (
    Program,
    ProgramBuilder,
    highs_model,
    highs_squares,
)
from reluopt.numerics.quiet_highs import QuietHighs
from reluopt.questions.change_limits import ChangeLimits
from reluopt.questions.norms.base import Norm, free_change

FEASIBILITY_TOLERANCE = 1e-9
"""HiGHS' primal feasibility tolerance on rows of length 1; what it leaves open is repaired by
tightening the conditions."""


def nearest_change(
    rows: FloatArray,
    rhs: FloatArray,
    low: FloatArray,
    high: FloatArray,
    norm: Norm,
    limits: ChangeLimits | None = None,
    deadline: Deadline = NEVER,
) -> tuple[FloatArray, FloatArray] | None:
    """The smallest change with ``rows @ delta >= rhs`` in a box.

    Args:
        rows: shape ``(m, n)``.
        rhs: shape ``(m,)``.
        low: shape ``(n,)``, at most 0.
        high: shape ``(n,)``, at least 0.
        norm: how size is measured.
        limits: further limits on the change.
        deadline: when to give up.

    Returns:
        The change and the duals (>= 0) of the rows; None when HiGHS finds no optimum in time.
    """
    if deadline.passed:
        return None
    builder = ProgramBuilder()
    change = norm.encode_change(builder, low, high, spare=True)
    builder.add_rows([(rows @ change.matrix, change.columns)], rhs, np.inf)
    if limits is not None:
        part = limits.matrix @ change.matrix
        builder.add_rows([(part, change.columns)], -limits.limit, limits.limit)
    change.add_rows(builder, last_first=True)
    solved = _solved(builder.build(), deadline)
    if solved is None:
        return None
    values, duals = solved
    delta = np.asarray(change.matrix @ values[change.columns])
    if norm.quadratic:  # the QP solver leaves the box by its tolerance
        delta = np.clip(delta, low, high)
    return delta, np.maximum(duals[: rhs.size], 0.0)


def best_change(
    rows: FloatArray,
    rhs: FloatArray,
    gains: FloatArray,
    ends: tuple[FloatArray, FloatArray],
    ball: tuple[Norm, float] | None,
    deadline: Deadline = NEVER,
) -> FloatArray | None:
    """The change in a box with ``rows @ delta >= rhs + gains t`` for the largest t.

    Args:
        rows: shape ``(m, n)``.
        rhs: shape ``(m,)``.
        gains: shape ``(m,)``, at least 0.
        ends: of the box, shape ``(n,)``; at most, and at least 0.
        ball: norm and radius of a ball that rows hold, if it has to be in one.
        deadline: when to give up.

    Returns:
        The change; None when HiGHS finds no optimum in time.
    """
    if deadline.passed:
        return None
    builder = ProgramBuilder()
    change = (
        free_change(builder, *ends)
        if ball is None
        else ball[0].encode_ball(builder, *ends, ball[1])
    )
    top = builder.add_variables(-np.inf, np.inf, cost=-1.0)
    builder.add_rows([(rows @ change.matrix, change.columns), (-gains[:, None], top)], rhs, np.inf)
    change.add_rows(builder)
    solved = _solved(builder.build(), deadline)
    return None if solved is None else np.asarray(change.matrix @ solved[0][change.columns])


def _solved(program: Program, deadline: Deadline) -> tuple[FloatArray, FloatArray] | None:
    """Primal values and row duals, None unless HiGHS proves an optimum in time."""
    solver = QuietHighs()
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("presolve", "off")  # halves the time: the rows are dense and few
    solver.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    solver.setOptionValue("time_limit", deadline.left)
    solver.passModel(highs_model(program))
    if program.is_quadratic:
        solver.passHessian(highs_squares(program))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    return np.array(solution.col_value), np.array(solution.row_dual)
