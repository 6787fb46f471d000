r"""Planes above the ReLUs of the first layer: facets of their hulls over the box.

A neuron of the first layer is :math:`a = w^\top s + b` with :math:`s \in [-1, 1]^n`. With
:math:`y_i = (1 + \mathrm{sgn}(w_i) s_i) / 2 \in [0, 1]` and :math:`U = b + |w|_1`, every set I of
inputs and every input :math:`k \notin I` give, with :math:`l = U - 2 \sum_I |w_i|`,

.. math:: \max(a, 0) \le \sum_{i \in I} 2 |w_i| y_i + l' y_k
          \qquad\text{if } l' \ge \max(l, 0) \text{ and } l \le 2 |w_k|

(Anderson et al. 2020, Proposition 12; Tjandraatmadja et al. 2020 for propagation). The left side is
convex and the right side linear in y, so it suffices to look at vertices:
:math:`a = U - 2 \sum_{y_i = 0} |w_i|`. Where :math:`y_k = 1` the right side is
:math:`\ge \max(0, U - 2\sum_{I, y_i = 0} |w_i|) \ge \max(0, a)`; where :math:`y_k = 0` it is
:math:`\sum_{I, y_i = 1} 2|w_i| \ge 0`, and :math:`a \le l - 2|w_k| + \sum_{I, y_i=1} 2 |w_i|`.

The plane that a point violates most takes the inputs by rising :math:`y_i` into I as long as l
stays >= 0, and the next one as k. Points are kept in 255 steps: a plane is valid for whatever point
it was made for, and a proof that names the point can make it again.

*Rounding.* The sums l are computed with an error of at most :math:`e = \gamma_{n+8} (|b| + |w|_1)`;
:math:`l' = \max(l + e, 0)`, and k must fulfil :math:`l + e \le 2 |w_k|`. The constant is raised by
e and by how far the neuron's pre-activation may be from :math:`w^\top s + b`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.numerics.arrays import (
    AnyFloat,
    FloatArray,
    FloatMatrix,
    IntArray,
    SingleArray,
    SingleMatrix,
)
from reluopt.numerics.jit import kernel
from reluopt.numerics.rounding import gamma

STEPS = 127
"""Steps of a kept point on either side of 0."""


@kernel
def _prefix(
    row: FloatArray,
    order: IntArray,
    point: FloatArray,
    left: float,
    error: float,
    chosen: IntArray,
) -> tuple[int, int, float]:
    """The inputs I, by rising y, written to ``chosen``; their number, k (or -1), and l.

    ``order`` sorts ``point``: inputs of positive weight rise in y from its begin, those of negative
    weight from its end.
    """
    size = point.size
    low, high, count = 0, size - 1, 0
    while True:
        while low < size and row[order[low]] <= 0.0:
            low += 1
        while high >= 0 and row[order[high]] >= 0.0:
            high -= 1
        if low >= size and high < 0:
            return count, -1, left
        if high < 0 or (low < size and point[order[low]] <= -point[order[high]]):
            j = order[low]
            low += 1
        else:
            j = order[high]
            high -= 1
        if left + error <= 2.0 * abs(row[j]):
            return count, j, left
        left -= 2.0 * abs(row[j])
        chosen[count] = j
        count += 1


@kernel
def add_hull_planes(
    weight: FloatMatrix,
    bias: FloatArray,
    errors: FloatArray,
    neurons: IntArray,
    point: FloatArray,
    shares: FloatArray,
    matrix: FloatMatrix,
    edges: FloatArray,
    sizes: FloatArray,
) -> None:
    """Add ``shares[q]`` times the plane of ``neurons[q]`` at ``point`` to row q."""
    size = point.size
    order = np.argsort(point, kind="mergesort")
    chosen = np.empty(size, dtype=np.int64)
    for q in range(neurons.size):
        share = shares[q]
        if not share > 0.0:
            continue
        row = weight[neurons[q]]
        norm = 0.0
        for j in range(size):
            norm += abs(row[j])
        error = gamma(size + 16.0) * (abs(bias[neurons[q]]) + norm)
        left = bias[neurons[q]] + norm
        count, last, left = _prefix(row, order, point, left, error, chosen)
        slack = error + errors[neurons[q]]
        if last < 0:  # only rounding leads here: the largest value is a plane, too
            top = bias[neurons[q]] + norm + 2.0 * slack
            edges[q] += share * top
            sizes[q] += share * top
            continue
        top = 0.5 * max(left + error, 0.0)
        constant = top
        matrix[q, last] += share * (top if row[last] > 0.0 else -top)
        for p in range(count):
            j = chosen[p]
            matrix[q, j] += share * row[j]
            constant += abs(row[j])
        edges[q] += share * (constant + slack)
        sizes[q] += share * 2.0 * (constant + slack)


@dataclass(frozen=True, eq=False)
class Planes:
    """Planes ``x <= matrix @ s + edge``, one for each of some hidden neurons.

    Attributes:
        neurons: which of all hidden ones, rising, shape ``(planes,)``.
        matrix: shape ``(planes, inputs)``.
        edges: shape ``(planes,)``.
        sizes: how large ``|matrix| |s| + |edge|`` may get.
    """

    neurons: IntArray
    matrix: FloatMatrix
    edges: FloatArray
    sizes: FloatArray

    @property
    def count(self) -> int:
        """How many there are."""
        return self.neurons.size

    def between(self, start: int, stop: int, shares: FloatMatrix) -> tuple[Planes, FloatMatrix]:
        """Those of some neurons in a row, and their shares."""
        which = slice(*np.searchsorted(self.neurons, (start, stop)))
        found = Planes(
            self.neurons[which], self.matrix[which], self.edges[which], self.sizes[which]
        )
        return found, np.ascontiguousarray(shares[:, which])

    @cached_property
    def single_edges(self) -> SingleArray:
        """Constants for the search."""
        return self.edges.astype(np.float32)


NO_PLANES = Planes(np.zeros(0, dtype=np.int64), np.zeros((0, 0)), np.zeros(0), np.zeros(0))
"""Triangles only."""


def kept_point(point: SingleArray) -> NDArray[np.int8]:
    """A point of [-1, 1]^n in the steps that proofs keep."""
    return np.rint(np.clip(point, -1.0, 1.0) * STEPS).astype(np.int8)


def usable(multipliers: AnyFloat) -> FloatMatrix:
    """Multipliers in float64, those that are negative or no finite number being 0."""
    given = multipliers.astype(np.float64)
    return np.where(np.isfinite(given) & (given > 0.0), given, 0.0)


def mixed_planes(
    chain: Chain, neurons: IntArray, points: Sequence[NDArray[np.int8]], shares: SingleMatrix
) -> Planes:
    """One plane a neuron: those of some points, in the given proportions.

    Args:
        chain: the network over the box.
        neurons: of the first layer.
        points: see :func:`kept_point`.
        shares: shape ``(neurons, points)``, >= 0; scaled to a sum of 1 each, or all the same where
            that cannot be.

    Raises:
        ValueError: there are no points: a mixture of no planes would say that the ReLUs are 0.
    """
    if not points:
        raise ValueError("planes without points")
    first = chain.layers[0]
    matrix = np.zeros((neurons.size, chain.domain.columns))
    edges, sizes = np.zeros(neurons.size), np.zeros(neurons.size)
    weights = usable(shares)
    with np.errstate(over="ignore"):
        total = weights.sum(axis=1, keepdims=True)
    fit = (total > 0.0) & (total < np.inf)
    weights = np.where(fit, weights / np.where(fit, total, 1.0), 1.0 / len(points))
    for k, point in enumerate(points):
        args = (first.weight, first.bias, chain.errors, neurons, point / STEPS)
        add_hull_planes(*args, np.ascontiguousarray(weights[:, k]), matrix, edges, sizes)
    # Shares add up to 1 up to rounding, and so do sums of rounded products of them.
    room = float(gamma(8.0 * len(points) + 16.0)) * (sizes + np.maximum(first.upper[neurons], 0.0))
    return Planes(neurons, matrix, edges + room, sizes + room)
