r"""Slopes of :mod:`.forms` that lower one condition's bound.

The bound is attained at a point s of the simplex with few coordinates that are not zero. There it
is :math:`(1 - \sum s) F(0) + \sum_j s_j F(e_j)`, and its derivatives are found by following these
few points: upwards, how much the value of each error counts at each of them, then downwards, layer
by layer, what a coefficient's unit is worth in its form. Projected gradients (Adam, Kingma and Ba
2015); any slopes in [0, 1] are valid, and the bound is evaluated anew with outward rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reluopt.engines.branch_and_bound.corners.forms import Corners, Forms
from reluopt.engines.branch_and_bound.corners.tables import (
    Rows,
    dense,
    positive,
    row_of_entries,
)
from reluopt.engines.branch_and_bound.corners.units import Layer
from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray

ENTRIES = 2_000_000
"""Most slopes of one layer's forms at another layer; those of larger ones stay as they are."""

RATE, DECAY, KEEP_FIRST, KEEP_SECOND = 0.2, 0.985, 0.9, 0.99
"""Adam's. Of 0.1, 0.15 and 0.2 the last is the fastest in the first ten steps."""


@dataclass(frozen=True, eq=False)
class _Points:
    """Where a bound is attained.

    Attributes:
        corners: those that count.
        shares: of no change and of each, shape ``(1 + corners,)``.
        inputs: of the network, shape ``(n_0, 1 + corners)``.
    """

    corners: IntArray
    shares: FloatArray
    inputs: FloatMatrix


def _points(corners: Corners, forms: Forms) -> _Points:
    """The fractional knapsack of a single form."""
    domain, rises = corners.domain, dense(forms.above.rises)[0]
    order = np.argsort(-rises)
    order = order[rises[order] > 0.0]
    filled = np.minimum(np.cumsum(domain.high[order]), 1.0)
    shares = np.diff(filled, prepend=0.0)
    chosen, shares = order[shares > 0.0], shares[shares > 0.0]
    inputs = np.repeat(domain.center[:, None], chosen.size + 1, axis=1)
    places = domain.pixels[chosen], np.arange(1, chosen.size + 1)
    inputs[places] += domain.signs[chosen] * domain.radius
    return _Points(chosen, np.append(1.0 - shares.sum(), shares), inputs)


@dataclass(eq=False)
class Climb:
    """Slopes for one condition.

    Attributes:
        matrix, rhs: the condition.
        slopes: chosen so far.
        count: steps taken since it rested.
    """

    matrix: FloatMatrix
    rhs: FloatArray
    slopes: dict[tuple[int, int], FloatArray] = field(default_factory=dict)
    count: int = 0
    _moments: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    def step(self, corners: Corners) -> float:
        """The bound with the slopes so far, which are better afterwards.

        Args:
            corners: with these slopes.
        """
        found, forms = corners.conditions(self.matrix, self.rhs, self.slopes)
        if not found[0] < 0.0:
            self.count += 1
            for key, gradient in _gradients(corners, forms, self.slopes):
                layer, rows = corners.layers[key[1]], _forms_of(corners, forms, key[0]).rows[key[1]]
                if layer.rectified and gradient.size <= ENTRIES:
                    self._move(key, gradient, layer.keeps, rows)
        return float(found[0])

    def rest(self) -> None:
        """Forget all but the slopes, until steps begin anew."""
        self._moments.clear()
        self.count = 0

    def follow(self, lead: Climb, top: int) -> None:
        """Begin with the slopes that another climb found below the logits."""
        if not self.slopes:
            self.slopes = {key: np.array(own) for key, own in lead.slopes.items() if key[0] < top}

    def _move(
        self, key: tuple[int, int], gradient: FloatArray, keeps: FloatArray, rows: Rows
    ) -> None:
        """One step of some slopes."""
        if key not in self.slopes:
            start = (
                np.broadcast_to(keeps, rows.shape)
                if isinstance(rows, np.ndarray)
                else keeps[rows.indices]
            )
            self.slopes[key] = np.array(start)
        if key not in self._moments:
            self._moments[key] = np.zeros(gradient.shape), np.zeros(gradient.shape)
        first, second = self._moments[key]
        first += (1.0 - KEEP_FIRST) * (gradient - first)
        second += (1.0 - KEEP_SECOND) * (gradient * gradient - second)
        size = np.sqrt(second / (1.0 - KEEP_SECOND**self.count))
        size += 1e-8 * max(float(size.max(initial=0.0)), 1e-300)
        rate = RATE * DECAY ** (self.count - 1) / (1.0 - KEEP_FIRST**self.count)
        self.slopes[key] = np.clip(self.slopes[key] - rate * first / size, 0.0, 1.0)


def _forms_of(corners: Corners, last: Forms, k: int) -> Forms:
    """Those of a layer, or of the condition."""
    return last if k == len(corners.layers) else corners.excesses[k]


def _gradients(
    corners: Corners, last: Forms, slopes: dict[tuple[int, int], FloatArray]
) -> list[tuple[tuple[int, int], FloatArray]]:
    """Derivatives of a single form's bound."""
    points = _points(corners, last)
    values = _leads(corners.layers, points.inputs)
    errors = [table.at(points.corners) for table in corners.errors]
    found: list[tuple[tuple[int, int], FloatArray]] = []
    for k, weights in _importance(corners, last, points).items():
        rows = _forms_of(corners, last, k).rows
        if isinstance(rows[k - 1], np.ndarray):
            found += _of_dense(corners, k, rows, weights, points.inputs, errors, slopes)
        else:
            found.append(((k, k - 1), _of_sparse(rows[k - 1], weights, values[k - 1])))
    return found


def _leads(layers: Sequence[Layer], inputs: FloatMatrix) -> list[FloatMatrix]:
    """What the pieces that lead at the image are at some inputs, shape ``(units, inputs)``.

    What follows takes the units to be no more than that.
    """
    found = []
    for layer in layers:
        values = np.asarray(layer.lead @ inputs) + layer.bias[:, None]
        found.append(values)
        inputs = np.maximum(values, 0.0) if layer.rectified else values
    return found


def _importance(corners: Corners, last: Forms, points: _Points) -> dict[int, FloatMatrix]:
    """How much each form counts at each point, from the top; none of the first layer."""
    top = len(corners.layers)
    found = {top: points.shares[None, :]}
    for m in range(top - 1, 0, -1):
        layer = corners.layers[m]
        counted = np.zeros((layer.keeps.size, points.shares.size))
        for k, weights in found.items():
            counted += positive(_forms_of(corners, last, k).rows[m]).T @ weights
        own = corners.excesses[m].above.at(points.corners)
        highest = np.maximum(np.maximum.reduceat(own, layer.starts, axis=0), 0.0)
        shown = (own > 0.0) & (own >= highest[layer.owners])
        found[m] = np.where(shown, counted[layer.owners], 0.0)
    return found


def _of_sparse(rows: Rows, weights: FloatMatrix, values: FloatMatrix) -> FloatArray:
    """Derivatives for the slopes right below sparse forms, by the leads' values there."""
    assert not isinstance(rows, np.ndarray)
    found = np.zeros(rows.data.size)
    falling = np.flatnonzero(rows.data < 0.0)
    places, columns = row_of_entries(rows)[falling], rows.indices[falling]
    total = np.zeros(falling.size)
    for p in range(weights.shape[1]):
        total += weights[places, p] * values[columns, p]
    found[falling] = rows.data[falling] * total
    return found


def _of_dense(
    corners: Corners,
    k: int,
    rows: Sequence[Rows],
    weights: FloatMatrix,
    inputs: FloatMatrix,
    errors: Sequence[FloatMatrix],
    slopes: dict[tuple[int, int], FloatArray],
) -> list[tuple[tuple[int, int], FloatArray]]:
    """Derivatives for all slopes of dense forms."""
    found = []
    total = weights.sum(axis=1)[:, None]
    values = weights @ inputs.T
    for m in range(k):
        layer, own = corners.layers[m], dense(rows[m])
        values = np.asarray((layer.lead @ values.T).T) + total * layer.bias
        found.append(((k, m), np.minimum(own, 0.0) * values))
        falling = values * slopes.get((k, m), layer.keeps)
        values = np.where(own > 0.0, layer.keeps * values + weights @ errors[m].T, falling)
    return found
