"""Affine functions of the coordinates of a simplex, as values at its corners; rows of maps.

Both are sparse where the network is: rows are CSR arrays or dense matrices, whatever they come as.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union, cast

import numpy as np

from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray

if TYPE_CHECKING:
    import scipy.sparse as sp

Rows: TypeAlias = Union["sp.csr_array", FloatMatrix]
"""Coefficients, a row for each form."""


def dense(rows: Rows) -> FloatMatrix:
    """The same with its zeros."""
    return rows if isinstance(rows, np.ndarray) else cast("FloatMatrix", rows.toarray())


def with_entries(rows: sp.csr_array, entries: FloatArray) -> sp.csr_array:
    """Other numbers at the same places."""
    import scipy.sparse as sp

    return sp.csr_array((entries, rows.indices, rows.indptr), shape=rows.shape)


def row_of_entries(rows: sp.csr_array) -> IntArray:
    """Which row each nonzero is in."""
    return np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))


def largest_entries(rows: Rows) -> FloatArray:
    """Of each row the largest entry, zeros among them."""
    if isinstance(rows, np.ndarray):
        return np.asarray(rows.max(axis=1, initial=0.0))
    if rows.shape[1] == 0:
        return np.zeros(rows.shape[0])
    found: FloatArray = np.maximum(rows.max(axis=1).toarray(), 0.0)
    return found.reshape(-1)


def is_finite(rows: Rows) -> bool:
    """Whether all coefficients are numbers."""
    return bool(np.isfinite(rows if isinstance(rows, np.ndarray) else rows.data).all())


def positive(rows: Rows) -> Rows:
    """Coefficients below zero left out."""
    if isinstance(rows, np.ndarray):
        return np.maximum(rows, 0.0)
    return with_entries(rows, np.maximum(rows.data, 0.0))


def passed(rows: Rows, keeps: FloatArray, slopes: FloatArray | None) -> Rows:
    """Coefficients behind units, of what leads: positive ones times ``keeps``, others ``slopes``.

    Args:
        rows: of post-activations.
        keeps: one for each unit.
        slopes: one for each coefficient (each nonzero of sparse rows), or None for ``keeps``.
    """
    if isinstance(rows, np.ndarray):
        found: FloatMatrix = rows * (keeps if slopes is None else np.where(rows > 0, keeps, slopes))
        return found
    own = keeps[rows.indices]
    chosen = own if slopes is None else np.where(rows.data > 0.0, own, slopes)
    return with_entries(rows, rows.data * chosen)


@dataclass(frozen=True, eq=False)
class Table:
    r"""Affine functions :math:`f(s) = f(0) + \sum_j s_j (f(e_j) - f(0))` of a simplex.

    Attributes:
        rest: f(0), shape ``(functions,)``.
        rises: f(e_j) - f(0), shape ``(functions, columns)``.
    """

    rest: FloatArray
    rises: Rows

    def highest(self) -> FloatArray:
        """The largest value of each at corners, the one of no change among them."""
        return self.rest + largest_entries(self.rises)

    def largest(self, starts: IntArray, owners: IntArray) -> Table:
        """Functions above the largest of some, and of zero, by Jensen's inequality.

        Args:
            starts: the first function of each group; they stand side by side.
            owners: the group of each function.
        """
        import scipy.sparse as sp

        groups, (_, columns) = starts.size, self.rises.shape
        base = np.maximum(np.maximum.reduceat(self.rest, starts), 0.0)
        rises = sp.csr_array(self.rises)
        rows = row_of_entries(rises)
        above = self.rest[rows] + rises.data - base[owners[rows]]
        kept = np.flatnonzero(above > 0.0)
        own, column, above = owners[rows[kept]], rises.indices[kept], above[kept]
        if groups == self.rest.size:
            return Table(base, sp.csr_array((above, (own, column)), shape=(groups, columns)))
        keys = own.astype(np.int64) * columns + column
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        above = np.maximum.reduceat(above[order], first) if first.size else above
        places = np.divmod(keys[first], columns)
        return Table(base, sp.csr_array((above, places), shape=(groups, columns)))

    def only(self, which: FloatArray) -> Table:
        """Zero in place of the functions for which ``which`` is zero, else one."""
        import scipy.sparse as sp

        return Table(self.rest * which, sp.csr_array(sp.diags_array(which) @ self.rises))

    def at(self, corners: IntArray) -> FloatMatrix:
        """Values at no change and at some corners, shape ``(functions, 1 + corners)``."""
        chosen = dense(self.rises[:, corners])
        return np.concatenate([self.rest[:, None], self.rest[:, None] + chosen], axis=1)
