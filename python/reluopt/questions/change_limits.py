r"""Linear limits on the change of an image: how much neighbouring pixels may change unlike.

.. math:: -limit \le A\,\delta \le limit, \qquad \delta = x^0 - image,

with one row of A for each pair of pixels that share an edge, so that no change may differ from the
change beside, above or below it by more than the limit. No change at all is always allowed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray, frozen_array

if TYPE_CHECKING:
    import scipy.sparse as sp

REACH_SLACK = 1e-12
"""Added to limits, in pixel units, where they are chained: more than a thousand sums in float64 of
numbers up to 1 can lose. For larger numbers it grows with them."""

REACH_ROUNDS = 1000
"""Most rounds of chaining; images of 28 x 28 pixels need at most 54, and any number is valid."""


@dataclass(frozen=True, eq=False)
class ChangeLimits:
    """Limits ``-limit <= matrix @ delta <= limit`` on the change ``delta``.

    Attributes:
        matrix: CSR of shape ``(rows, n_0)``.
        limit: shape ``(rows,)``, >= 0, in pixel units.

    Raises:
        InputError: shapes differ, or a limit is negative or not finite.
    """

    matrix: sp.csr_array
    limit: FloatArray

    def __post_init__(self) -> None:
        limit = frozen_array(self.limit)
        if self.matrix.ndim != 2 or limit.shape != (self.matrix.shape[0],):
            raise InputError(
                f"limits: expected a matrix and one limit a row, found shapes {self.matrix.shape} "
                f"and {limit.shape}"
            )
        if not (np.isfinite(limit).all() and (limit >= 0.0).all()):
            raise InputError("limits: expected finite limits >= 0, found others")
        object.__setattr__(self, "limit", limit)

    @property
    def rows(self) -> int:
        """Number of limits."""
        return int(self.limit.size)

    def violation(self, delta: FloatArray) -> float:
        """By how much the change ``delta``, shape ``(n_0,)``, breaks its worst limit (0 if not)."""
        excess = np.abs(self.matrix @ delta) - self.limit
        return float(np.maximum(excess, 0.0).max(initial=0.0))

    def reach(
        self, low: FloatArray, high: FloatArray, size: float = 1.0
    ) -> tuple[FloatArray, FloatArray]:
        r"""What the limits leave of a box ``low <= delta <= high`` that holds 0.

        In every row, the least that the other entries can add bounds each entry:
        :math:`A_{ri} \delta_i \le limit_r - \sum_{j \ne i} \min(A_{rj} low_j, A_{rj} high_j)`,
        and likewise from below. Rounds of this carry the bounds of a pixel that has no room (a
        white one cannot become brighter) to its neighbours, and to theirs.

        Args:
            low: lower ends of the box, shape ``(n_0,)``.
            high: its upper ends.
            size: largest absolute value of a pixel, with which roundings grow.

        Returns:
            The ends of the smaller box, rounded outward, also once they are added to pixels.
        """
        slack = REACH_SLACK * max(1.0, size)
        entries = self.matrix.tocoo()
        row, column, factor = entries.row, entries.col, entries.data
        limit = self.limit[row] + slack
        low, high = low.copy(), high.copy()
        for _ in range(REACH_ROUNDS):
            first, second = factor * low[column], factor * high[column]
            least, most = np.minimum(first, second), np.maximum(first, second)
            above = limit - (np.bincount(row, least, self.rows)[row] - least)
            below = -limit - (np.bincount(row, most, self.rows)[row] - most)
            ends = np.sort(np.stack([below / factor, above / factor]), axis=0)
            lower, upper = low.copy(), high.copy()
            np.maximum.at(lower, column, ends[0])
            np.minimum.at(upper, column, ends[1])
            moved = max(float((lower - low).max()), float((high - upper).max()))
            low, high = lower, upper
            if moved <= slack:
                break
        return low, high


def smoothness_limits(input_shape: Sequence[int], smoothness: float) -> ChangeLimits:
    """``|delta_i - delta_j| <= smoothness`` for all pixels i, j that share an edge.

    Args:
        input_shape: rows and columns of an image; pixels are numbered row by row.
        smoothness: the limit in pixel units, >= 0. 0 leaves only changes that are the same
            everywhere.

    Raises:
        InputError: the inputs are no image of rows and columns, or the limit is not a number >= 0.
    """
    if not (math.isfinite(smoothness) and smoothness >= 0.0):
        raise InputError(f"smoothness: expected a limit >= 0 in pixel units, found {smoothness}")
    if len(input_shape) != 2:
        raise InputError(
            "smoothness: expected a network whose inputs have rows and columns, found input shape "
            f"{tuple(input_shape)}"
        )
    import scipy.sparse as sp  # takes its time, and most problems have no such limits

    numbers = np.arange(math.prod(input_shape)).reshape(tuple(input_shape))
    left = np.concatenate([numbers[:, :-1].ravel(), numbers[:-1, :].ravel()])
    right = np.concatenate([numbers[:, 1:].ravel(), numbers[1:, :].ravel()])
    rows = np.tile(np.arange(left.size), 2)
    signs = np.repeat([1.0, -1.0], left.size)
    entries = (signs, (rows, np.concatenate([left, right])))
    matrix = sp.csr_array(sp.coo_array(entries, shape=(left.size, numbers.size)))
    return ChangeLimits(matrix, np.full(left.size, float(smoothness)))
