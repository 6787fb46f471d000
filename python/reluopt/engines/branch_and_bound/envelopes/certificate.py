r"""A bound on a linear program from any multipliers of its rows, rounded outward.

.. math:: \min \{c v : r^- \le A v \le r^+, l \le v \le u\}
          \ge \sum_i \min(y_i r^-_i, y_i r^+_i)_{\text{the finite one}}
            + \sum_j \min\bigl((c - A^\top y)_j l_j, (c - A^\top y)_j u_j\bigr)

(Neumaier and Shcherbina 2004, Safe bounds in linear and mixed-integer linear programming). All
variables are bounded, so that this is finite for any y whose signs fit the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.rounding import TINY, gamma

if TYPE_CHECKING:
    import scipy.sparse as sp


@dataclass(frozen=True, eq=False)
class Ends:
    """Limits of a program's rows and variables."""

    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray

    def copy(self) -> Ends:
        """Limits that can be changed."""
        return Ends(*(np.array(end) for end in vars(self).values()))

    def with_rows(self, lower: FloatArray, upper: FloatArray) -> Ends:
        """The same with rows behind the others."""
        limits = np.append(self.row_lower, lower), np.append(self.row_upper, upper)
        return replace(self, row_lower=limits[0], row_upper=limits[1])

    def of_rows(self, rows: IntArray) -> Ends:
        """The same for some rows."""
        return replace(self, row_lower=self.row_lower[rows], row_upper=self.row_upper[rows])


def safe_bound(matrix: sp.csr_array, ends: Ends, cost: FloatArray, duals: FloatArray) -> float:
    """A lower bound on the objective; with a cost of zero, above 0 where nothing is feasible.

    Args:
        matrix: the rows.
        ends: their limits, and those of the variables, which are finite.
        cost: what is minimised.
        duals: multipliers, at least zero for lower limits.
    """
    useless = np.where(duals > 0.0, np.isinf(ends.row_lower), np.isinf(ends.row_upper))
    y = np.where(useless | ~np.isfinite(duals), 0.0, duals)
    sides = np.where(y > 0.0, ends.row_lower, ends.row_upper)
    by_rows = y * np.where(y == 0.0, 0.0, sides)
    reduced = cost - matrix.T @ y
    sizes = np.abs(cost) + abs(matrix).T @ np.abs(y)
    by_columns = np.minimum(reduced * ends.lower, reduced * ends.upper)
    farthest = np.maximum(np.abs(ends.lower), np.abs(ends.upper))
    count = float(max(matrix.shape))
    error = gamma(count + 8.0) * float(sizes @ farthest + np.abs(by_rows).sum())
    found = float(by_rows.sum() + by_columns.sum()) - 2.0 * error - TINY
    return found if np.isfinite(found) else -np.inf
