r"""Bounds on linear programs from any multipliers of their rows, rounded outward.

.. math:: \min \{c v : r^- \le A v \le r^+, v \in V\} \ge \sum_i \min(y_i r^-_i, y_i r^+_i)
          + \min_{v \in V} (c - A^\top y) v

(Neumaier and Shcherbina 2004, Safe bounds in linear and mixed-integer linear programming), where
multipliers that point at an infinite limit, or are no numbers, count as zero. The error of
:math:`c - A^\top y` is at most :math:`\gamma_n (|c| + |A|^\top |y|)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.rounding import TINY, gamma

if TYPE_CHECKING:
    import scipy.sparse as sp


class RowLimits(Protocol):
    """Limits of a program's rows, infinite where one-sided."""

    @property
    def row_lower(self) -> FloatArray:
        """The lower ones."""
        ...

    @property
    def row_upper(self) -> FloatArray:
        """The upper ones."""
        ...


class Limits(RowLimits, Protocol):
    """Limits of rows and variables; those of variables are finite."""

    @property
    def lower(self) -> FloatArray:
        """The lower ones of variables."""
        ...

    @property
    def upper(self) -> FloatArray:
        """The upper ones of variables."""
        ...


@dataclass(frozen=True, eq=False)
class Weighed:
    """What multipliers make of rows and costs.

    Attributes:
        terms: multipliers times limits.
        reduced: costs that are left.
        sizes: above the sums of absolute terms of these.
    """

    terms: FloatArray
    reduced: FloatArray
    sizes: FloatArray


def weighed(
    matrix: sp.csr_array, limits: RowLimits, cost: FloatArray, duals: FloatArray
) -> Weighed:
    """Rows and costs under some multipliers, at least zero for lower limits."""
    sides = np.where(duals > 0.0, limits.row_lower, limits.row_upper)
    usable = np.isfinite(sides) & np.isfinite(duals)
    y, sides = np.where(usable, duals, 0.0), np.where(usable, sides, 0.0)
    sizes = np.abs(cost) + abs(matrix).T @ np.abs(y)
    return Weighed(y * sides, cost - matrix.T @ y, sizes)


def safe_bound(matrix: sp.csr_array, limits: Limits, cost: FloatArray, duals: FloatArray) -> float:
    """A lower bound on the objective; with a cost of zero, above 0 where nothing is feasible.

    Args:
        matrix: the rows.
        limits: theirs, and the variables'.
        cost: what is minimised.
        duals: multipliers of the rows.
    """
    found = weighed(matrix, limits, cost, duals)
    columns = np.minimum(found.reduced * limits.lower, found.reduced * limits.upper)
    farthest = np.maximum(np.abs(limits.lower), np.abs(limits.upper))
    size = float(found.sizes @ farthest + np.abs(found.terms).sum())
    bound = float(found.terms.sum() + columns.sum())
    bound -= 2.0 * gamma(float(max(matrix.shape)) + 8.0) * size + TINY
    return bound if np.isfinite(bound) else -np.inf
