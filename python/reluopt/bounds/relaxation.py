"""LP relaxations of the layers before a neuron, and the Lagrangian bound on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.maxima import linear_maximum
from reluopt.numerics.products import copy_row
from reluopt.numerics.rounding import TINY, chord, gamma
from reluopt.numerics.safe_bounds import weighed
from reluopt.questions.change_limits import REACH_SLACK, ChangeLimits


@dataclass(frozen=True, eq=False)
class LayerRelaxation:
    """The LP relaxation of everything before one layer: ``row_lower <= matrix @ v <= row_upper``.

    Columns are the change ``delta`` of the inputs, then pre-activations and (for unstable neurons)
    post-activations of the layers before.

    Attributes:
        place: where ``delta`` may be.
        matrix: rows of the relaxation, the ball left out.
        row_lower, row_upper: their limits.
        lower, upper: limits of the columns behind ``delta``.
        posts: column of each post-activation of the last layer, -1 for a neuron that is off.
    """

    place: FlatInputSet
    matrix: sparse.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    posts: IntArray

    def with_limits(self, limits: ChangeLimits, image: FloatArray) -> LayerRelaxation:
        """The relaxation with limits on the change from ``image``, rounded outward, as more rows.

        Their ``delta`` counts from the image, that of the relaxation from the set's center.
        """
        already = limits.matrix @ (self.place.center - image)
        room = limits.limit + REACH_SLACK
        others = sparse.csr_array((limits.rows, self.matrix.shape[1] - image.size))
        rows = sparse.hstack([limits.matrix, others])
        return replace(
            self,
            matrix=sparse.csr_array(sparse.vstack([self.matrix, rows])),
            row_lower=np.append(self.row_lower, -room - already),
            row_upper=np.append(self.row_upper, room - already),
        )

    def safe_minimum(self, cost: FloatArray, duals: FloatArray) -> float:
        """The Lagrangian bound on ``min cost @ v`` for any row duals; see :mod:`.lp`.

        Args:
            cost: one entry for each column.
            duals: one for each row; those that point at an infinite limit count as zero.

        Returns:
            A number not above the exact minimum over the relaxation.
        """
        found, size = weighed(self.matrix, self, cost, duals), self.place.low.size
        reach = np.concatenate(
            [
                np.maximum(np.abs(self.place.low), np.abs(self.place.high)),
                np.maximum(np.abs(self.lower), np.abs(self.upper)),
            ]
        )
        buffers = np.empty((2, size))
        inputs = linear_maximum(self.place, -found.reduced[:size], buffers[0], buffers[1])
        rest = found.reduced[size:]
        neurons = np.minimum(rest * self.lower, rest * self.upper)
        terms = float(found.terms.sum() - inputs + neurons.sum())
        error = float(np.abs(found.terms).sum() + abs(inputs) + (found.sizes * reach).sum())
        return terms - float(gamma(float(sum(self.matrix.shape)) + 16.0)) * error - TINY


def relax_before(
    flat: FlatNetwork, place: FlatInputSet, lower: FloatArray, upper: FloatArray, layer: int
) -> LayerRelaxation:
    """The relaxation of all layers before ``layer``, given bounds of their neurons."""
    size = int(flat.sizes[0])
    builder = _Builder(size)
    posts = np.arange(size)
    for k in range(layer):
        start, stop = int(flat.neuron_offsets[k]), int(flat.neuron_offsets[k + 1])
        row = np.empty(posts.size)
        constants, slacks = flat.biases[start:stop], np.zeros(stop - start)
        if k == 0:
            constants = place.values
            slacks = gamma(size + 16.0) * place.magnitudes
        used = posts >= 0
        next_posts = np.full(stop - start, -1)
        for i in range(stop - start):
            low, high = float(lower[start + i]), float(upper[start + i])
            if high > 0.0:
                copy_row(flat, k, i, row)
                there = used if flat.places[4 * k] < 0 else used & (row != 0.0)
                pre = builder.affine(posts[there], row[there], constants[i], slacks[i])
                next_posts[i] = builder.relu(pre, low, high)
        posts = next_posts
    return builder.relaxation(place, posts)


class _Builder:
    """Collects rows and columns."""

    def __init__(self, inputs: int) -> None:
        self._inputs = inputs
        self._rows: list[tuple[IntArray, FloatArray]] = []
        self._row_limits: list[tuple[float, float]] = []
        self._column_limits: list[tuple[float, float]] = []

    def _column(self, lower: float, upper: float) -> int:
        self._column_limits.append((lower, upper))
        return self._inputs + len(self._column_limits) - 1

    def _row(self, columns: IntArray, values: FloatArray, lower: float, upper: float) -> None:
        self._rows.append((columns, values))
        self._row_limits.append((lower, upper))

    def affine(self, columns: IntArray, weights: FloatArray, constant: float, slack: float) -> int:
        """A pre-activation ``a = weights @ v[columns] + constant`` up to ``slack``; its column."""
        own = self._column(-math.inf, math.inf)
        values = np.append(1.0, -weights)
        self._row(np.append(own, columns), values, constant - slack, constant + slack)
        return own

    def relu(self, pre: int, low: float, high: float) -> int:
        """Limits of a pre-activation and, when unstable, its triangle; the column of its ReLU."""
        self._column_limits[pre - self._inputs] = (low, high)
        if low >= 0.0:
            return pre
        post = self._column(0.0, high)
        slope, offset = chord(low, high)
        pair = np.array([post, pre])
        self._row(pair, np.array([1.0, -slope]), -math.inf, offset)
        self._row(pair, np.array([1.0, -1.0]), 0.0, math.inf)
        return post

    def relaxation(self, place: FlatInputSet, posts: IntArray) -> LayerRelaxation:
        """Everything collected, as arrays."""
        indices = [columns for columns, _ in self._rows]
        starts = np.concatenate(([0], np.cumsum([len(index) for index in indices])))
        empty = np.zeros(0, dtype=np.int64)
        matrix = sparse.csr_array(
            (
                np.concatenate([values for _, values in self._rows] or [np.zeros(0)]),
                np.concatenate(indices or [empty]),
                starts.astype(np.int64),
            ),
            shape=(len(self._rows), self._inputs + len(self._column_limits)),
        )
        rows = np.array(self._row_limits).reshape(-1, 2)
        columns = np.array(self._column_limits).reshape(-1, 2)
        return LayerRelaxation(
            place=place,
            matrix=matrix,
            row_lower=rows[:, 0].copy(),
            row_upper=rows[:, 1].copy(),
            lower=columns[:, 0].copy(),
            upper=columns[:, 1].copy(),
            posts=posts,
        )
