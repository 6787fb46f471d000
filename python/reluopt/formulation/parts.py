r"""Bounds of linear forms of a program's variables, while it is being written.

:func:`interval_ends` takes the variables' own bounds, :func:`tightened_ends` the linear relaxation
of what is written so far (optimisation-based bound tightening): the ball that holds the input, and
whatever rows earlier layers have. What counts of a linear program is not its optimum but what its
row duals prove by weak duality (:mod:`reluopt.numerics.safe_bounds`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from reluopt.formulation.stages import ROOM, Ends
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import IndexArray, Program, ProgramBuilder, highs_lp
from reluopt.numerics.safe_bounds import safe_bound

GRID = 2.0**-20
"""Ends other than 0 are multiples of this, and at least it farther out than what is proven: one of
1e-10 in place of 0 is a coefficient below what solvers tell from zero, and has led HiGHS to call a
feasible program infeasible."""

WIDTH = 2.0**-10
"""The ends of a part that hardly varies are at least this far apart, for the same reason."""

PartEnds: TypeAlias = Callable[[ProgramBuilder, sp.csr_array, IndexArray], Ends]
"""Bounds of ``forms @ v[columns]``, shape ``(len(forms),)`` each."""


def interval_ends(builder: ProgramBuilder, forms: sp.csr_array, columns: IndexArray) -> Ends:
    """By the bounds of the variables alone."""
    low, high = builder.ends(columns)
    above, below = forms.maximum(0.0), forms.minimum(0.0)
    # Rooms of their own: an end whose terms are all zero stays zero.
    under, over = (
        ROOM * (above @ np.abs(first) - below @ np.abs(second))
        for first, second in ((low, high), (high, low))
    )
    return _outward(above @ low + below @ high - under, above @ high + below @ low + over)


def tightened_ends(builder: ProgramBuilder, forms: sp.csr_array, columns: IndexArray) -> Ends:
    """By two linear programs for each form over the rows so far, never worse than intervals."""
    lower, upper = interval_ends(builder, forms, columns)
    program = builder.build()
    if not program.row_lower.size or not forms.shape[0]:
        return lower, upper
    relaxation = Relaxation(program)
    for number in range(forms.shape[0]):
        cost = np.zeros(program.cost.size)
        np.add.at(cost, columns, forms[[number]].toarray()[0])
        lower[number] = max(lower[number], relaxation.least(cost))
        upper[number] = min(upper[number], -relaxation.least(-cost))
    return _outward(lower, upper)


def _outward(lower: FloatArray, upper: FloatArray) -> Ends:
    """To the next multiples of :data:`GRID` but one, and :data:`WIDTH` apart; zeros stay zeros."""
    spare = np.maximum(0.0, WIDTH - (upper - lower)) / 2.0
    low, high = (np.floor((end - spare) / GRID) - 1.0 for end in (lower, -upper))
    return np.where(lower == 0.0, 0.0, low * GRID), np.where(upper == 0.0, 0.0, -high * GRID)


class Relaxation:
    """The linear relaxation of a program, for one objective after the other."""

    def __init__(self, program: Program) -> None:
        from reluopt.numerics.quiet_highs import warm_started

        self._program = program
        rows, ends = (program.row_lower, program.row_upper), (program.lower, program.upper)
        self._solver = warm_started(highs_lp(program.matrix, rows, ends, program.cost))

    def least(self, cost: FloatArray) -> float:
        """A proven lower bound on ``cost @ v``."""
        program = self._program
        self._solver.changeColsCost(cost.size, np.arange(cost.size, dtype=np.int32), cost)
        self._solver.run()
        duals = np.array(self._solver.getSolution().row_dual, dtype=np.float64)
        if duals.size != program.row_lower.size or not np.isfinite(duals).all():
            return -np.inf
        return safe_bound(program.matrix, program, cost, duals)
