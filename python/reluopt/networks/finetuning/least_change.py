r"""The shortest vector that meets linear conditions, in the dual.

.. math:: \min_d \tfrac12 \|d\|^2 \ \text{s.t.}\ G d \ge r
          \qquad\Leftrightarrow\qquad
          \min_{\lambda \ge 0} \tfrac12 \|G^\top \lambda\|^2 - r^\top \lambda, \quad
          d = G^\top \lambda,

a problem of as many variables as there are conditions, however long d is: with the Cholesky factor
:math:`L L^\top = G G^\top` a problem of nonnegative least squares,
:math:`\min_{\lambda \ge 0} \|L^\top \lambda - L^{-1} r\|`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reluopt.numerics.arrays import BoolArray, FloatArray

RIDGE = 1e-10
"""Added to the diagonal of ``G G^T``, as a share of its mean: conditions that depend on each other
would have no factor otherwise."""


class Conditions:
    """Conditions ``G d >= r`` that grow in number; products of their rows are kept."""

    def __init__(self, size: int) -> None:
        self.rows: FloatArray = np.zeros((0, size))
        self.right: FloatArray = np.zeros(0)
        self._products: FloatArray = np.zeros((0, 0))

    def add(self, rows: Sequence[FloatArray], right: Sequence[float]) -> None:
        """Further conditions."""
        added = np.stack(rows)
        across = self.rows @ added.T
        self._products = np.block([[self._products, across], [across.T, added @ added.T]])
        self.rows = np.concatenate([self.rows, added])
        self.right = np.append(self.right, right)

    def keep(self, which: BoolArray) -> None:
        """Leave the others out."""
        self.rows, self.right = self.rows[which], self.right[which]
        self._products = self._products[np.ix_(which, which)]

    def shortest(self) -> tuple[FloatArray, FloatArray]:
        """The shortest d, and the multipliers; where none meets all, one that misses them."""
        from scipy.optimize import nnls

        count = len(self.right)
        if not count:
            return np.zeros(self.rows.shape[1]), np.zeros(0)
        ridge = RIDGE * float(np.trace(self._products)) / count
        factor = np.linalg.cholesky(self._products + ridge * np.eye(count))
        target = np.linalg.solve(factor, self.right)
        multipliers, _ = nnls(factor.T, target, maxiter=50 * count)
        return multipliers @ self.rows, multipliers
