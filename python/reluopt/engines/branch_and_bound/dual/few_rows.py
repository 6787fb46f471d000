"""Linear programs of few rows and many boxed columns, by the dual simplex method of :mod:`..l1`."""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.l1.basis import factor, multipliers, resynchronise
from reluopt.engines.branch_and_bound.l1.program import (
    LinearProgram,
    State,
    Work,
    empty_state,
    empty_work,
)
from reluopt.engines.branch_and_bound.l1.simplex import dual_simplex
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.jit import kernel

PIVOTS = 1000
"""Pivots at most; 1 to 30 are usual."""


def few_rows(
    rows: FloatMatrix, rhs: FloatArray, low: FloatArray, high: FloatArray, cost: FloatArray
) -> tuple[LinearProgram, State, Work]:
    """``min cost @ x`` with ``rows @ x >= rhs`` in a box, a state of it and buffers.

    Args:
        rows: shape ``(rows, columns)``.
        rhs: shape ``(rows,)``.
        low: shape ``(columns,)``.
        high: shape ``(columns,)``.
        cost: shape ``(columns,)``.
    """
    count, first = rows.shape
    reach = np.abs(rows) @ np.maximum(np.abs(low), np.abs(high)) + np.abs(rhs) + 1.0
    columns = first + count
    none = np.zeros(0, dtype=np.int64)
    program = LinearProgram(
        first_s=0,
        first_pixel=0,
        first_logical=first,
        pixels=np.ascontiguousarray(rows.T),
        block=np.zeros((0, 0)),
        layers=np.zeros(1, dtype=np.int64),
        above=np.zeros((2, 0), dtype=np.int64),
        row=none,
        ball=none,
        triangle=none,
        slopes=np.zeros((2, 0)),
        rhs=rhs.copy(),
        cost=np.concatenate([cost, np.zeros(count)]),
        lower=np.concatenate([low, -reach]),
        upper=np.concatenate([high, np.zeros(count)]),
        listed=np.concatenate([np.arange(first, columns), np.arange(first)]),
        listed_count=np.array([columns], dtype=np.int64),
        first_listed_pixel=count,
    )
    return program, empty_state(count, columns, 0), empty_work(count, columns)


@kernel
def from_logicals(lp: LinearProgram, state: State, work: Work) -> None:
    """Make the logicals the basis."""
    for r in range(lp.rhs.size):
        state.head[r] = lp.first_logical + r
    factor(lp, state, work)


@kernel
def minimise(lp: LinearProgram, state: State, work: Work) -> int:
    """Solve the program; a code of :func:`..l1.simplex.dual_simplex`, and multipliers in ``y``."""
    from_logicals(lp, state, work)
    resynchronise(lp, state, work)
    code = dual_simplex(lp, state, work, np.inf, PIVOTS)
    multipliers(lp, state, work.y)
    return code
