r"""Rows that couple a ReLU with the pixels: convexity over the L1 ball.

Only inputs with :math:`\|\delta\|_1 \le r` are of interest (r: what the incumbent allows). With
:math:`\delta = p^+ - p^-`, :math:`p \ge 0` and :math:`t = \sum_j p^+_j + p^-_j \le r`, such a
change is a convex combination of no change (weight :math:`1 - t/r`) and of whole budgets spent on
one pixel (weights :math:`p^\pm_j / r`). For every convex function :math:`\phi`, Jensen's
inequality gives

.. math::

   \phi(\delta) \le (1 - t/r)\, \phi(0) + \sum_{j, \pm} \frac{p^\pm_j}{r}\, \phi(\pm r e_j)
     = \phi(0) + \sum_{j, \pm} c^\pm_j p^\pm_j, \qquad
   c^\pm_j = \frac{\phi(\pm r e_j) - \phi(0)}{r} .

In the first layer :math:`\phi = \max(a, 0)` is itself convex. The triangle relaxation of the same
neuron knows of ``a`` alone: a change that is spread over pixels none of which could switch the
neuron on by itself still gets an upper bound well above zero, while the row above gives zero.

Everything is a function of :math:`p`, and :math:`p/r` are the coordinates of a simplex with the
vertices 0 and :math:`\pm r e_j`. Deeper layers take along, for every pre-activation, an upper bound
P and a lower bound Q that are affine in :math:`p`, given by their values at the vertices (both
equal to ``a`` in the first layer). Of an unstable neuron

.. math:: \alpha Q \le \max(a, 0) \le \overline{\max(P, 0)}, \qquad \alpha = 1 \text{ where }
          Q(0) > 0, \text{ else } 0,

where the bar interpolates between the vertices, which is Jensen's inequality once more; active
neurons take P and Q as they are, inactive ones zero. So with the bounds of the layer below

.. math::

   P^{k+1} = b + W_+ \overline{\max(P^k, 0)} + W_- \alpha Q^k, \qquad
   Q^{k+1} = b + W_+ \alpha Q^k + W_- \overline{\max(P^k, 0)},

:math:`x \le \overline{\max(P^{k+1}, 0)}` is a row, and the extreme values of P and Q over ball and
box (a fractional knapsack) tighten the pre-activation bounds on the way.

At the image itself, :math:`p = 0`, both bounds are exact in every layer (by induction: each of the
lines above is). With the chord of an unstable neuron in the place of the bar they would not be,
and from five hidden layers on "no change at all" was a solution of most relaxations.

A row stays valid as long as ``r`` is at least the radius of interest, so in the whole tree.

Rounding. With :math:`M` the sum of absolute terms of a value (:math:`M^{k+1} = |b| + |W| M^k`) its
error is at most :math:`\gamma_N M`; that much is added to P and subtracted from Q. Coefficients
are inflated by eight roundings of their terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.maxima import l1_maximum
from reluopt.numerics.rounding import ROUNDOFF, gamma


class BallRows(NamedTuple):
    """``x_h <= offset + rise @ p_plus + fall @ p_minus`` for some hidden neurons.

    Attributes:
        neurons: the neurons in rising order, shape ``(B,)``.
        offset: shape ``(B,)``, >= 0.
        rise, fall: coefficients of pixels that go up and down, flat, shape ``(B * n_0,)``.
        largest: largest absolute coefficient of each row, for error bounds, shape ``(B,)``.
    """

    neurons: IntArray
    offset: FloatArray
    rise: FloatArray
    fall: FloatArray
    largest: FloatArray


def no_ball_rows() -> BallRows:
    """For networks without hidden layer, and for searches without incumbent."""
    return BallRows(np.zeros(0, dtype=np.int64), *(np.zeros(0) for _ in range(4)))


def _of_unstable(rows: BallRows, lower: FloatArray, upper: FloatArray) -> BallRows:
    """The rows of neurons that are unstable by (newer) bounds of all neurons."""
    keep = (lower[rows.neurons] < 0.0) & (upper[rows.neurons] > 0.0)
    if keep.all():
        return rows
    count = rows.neurons.size
    return BallRows(
        rows.neurons[keep],
        rows.offset[keep],
        rows.rise.reshape(count, -1)[keep].ravel(),
        rows.fall.reshape(count, -1)[keep].ravel(),
        rows.largest[keep],
    )


@dataclass(frozen=True, eq=False)
class RowBall(Ball):
    """A ball with rows for the linear relaxation.

    Attributes:
        rows: those of the unstable neurons.
        before: the bounds from nothing, and with these also those by rows.
    """

    rows: BallRows
    before: tuple[tuple[FloatArray, FloatArray], ...]

    @property
    def stages(self) -> Sequence[tuple[FloatArray, FloatArray]]:
        """See :class:`~reluopt.engines.branch_and_bound.ball.Ball`; rows belong to the second."""
        return (*self.before, (self.lower, self.upper))


def make_row_ball(frame: Frame, radius: float, lower: FloatArray, upper: FloatArray) -> RowBall:
    """Tighten copies of the given bounds of all neurons to a ball, by its rows, too."""
    lower, upper = lower.copy(), upper.copy()
    rows, fine = no_ball_rows(), frame.tighten(radius, lower, upper, 0)
    before = [(lower.copy(), upper.copy())]
    if fine:
        rows, fine = _ball_rows(frame, radius, lower, upper)
        before.append((lower.copy(), upper.copy()))
    if fine and frame.flat.weight_offsets.size > 3:  # deeper layers profit from the tighter second
        fine = frame.tighten(radius, lower, upper, 2)
        rows = _of_unstable(rows, lower, upper)
    return RowBall(radius, lower, upper, not fine, rows, tuple(before))


@dataclass(eq=False)
class _Values:
    """Bounds of one layer at the vertices 0, +r e_j, -r e_j; arrays of shape (neurons, vertices).

    Attributes:
        high: P, or its counterpart after the ReLU.
        low: Q, or its counterpart.
        size: M, the sums of absolute terms.
    """

    high: FloatArray
    low: FloatArray
    size: FloatArray


def _ball_rows(
    frame: Frame, radius: float, lower: FloatArray, upper: FloatArray
) -> tuple[BallRows, bool]:
    """Rows for all unstable hidden neurons; bounds behind the first layer are tightened in place.

    Returns:
        The rows, and False when a lower bound exceeds its upper bound: nothing is of interest.
    """
    flat = frame.flat
    hidden_layers = flat.weight_offsets.size - 1
    rooms = np.concatenate([frame.inputs.high, -frame.inputs.low])
    if hidden_layers == 0 or not (0.0 < radius < rooms.sum()):
        return no_ball_rows(), True
    factor = gamma(2.0 * float(np.sum(flat.sizes)) + 64.0)
    values = _first_layer(frame, radius, factor)
    before_low, before_high = lower[:0], upper[:0]
    parts: list[tuple[IntArray, FloatArray, FloatArray]] = []
    for k in range(hidden_layers):
        start, stop = int(flat.neuron_offsets[k]), int(flat.neuron_offsets[k + 1])
        low, high = lower[start:stop], upper[start:stop]
        if k > 0:
            layer = frame.network.affine_layers[k]
            after = _after_relu(values, before_low, before_high)
            values = _next_layer(layer.weight, layer.bias, after, factor)
            _tighten(low, high, values, rooms, radius)
            if (low > high).any():
                return no_ball_rows(), False
        unstable = np.flatnonzero((low < 0.0) & (high > 0.0))
        whole = np.maximum(values.high[unstable], 0.0)
        parts.append((unstable + start, whole[:, 0], _slopes(whole, radius)))
        before_low, before_high = low, high
    neurons = np.concatenate([part[0] for part in parts]).astype(np.int64)
    if neurons.size == 0:
        return no_ball_rows(), True
    slopes = np.concatenate([part[2] for part in parts])
    inputs = frame.network.input_size
    rows = BallRows(
        neurons,
        np.concatenate([part[1] for part in parts]),
        slopes[:, :inputs].ravel(),
        slopes[:, inputs:].ravel(),
        np.abs(slopes).max(axis=1),
    )
    return rows, True


def _first_layer(frame: Frame, radius: float, factor: float) -> _Values:
    """The first layer is affine: both bounds are equal up to rounding."""
    layer = frame.network.affine_layers[0]
    reach = radius * layer.weight
    start = frame.inputs.values[:, None]
    values = np.concatenate([start, start + reach, start - reach], axis=1)
    size = np.abs(reach) + frame.inputs.magnitudes[:, None]
    size = np.concatenate([frame.inputs.magnitudes[:, None], size, size], axis=1)
    error = factor * size
    return _Values(values + error, values - error, size)


def _after_relu(values: _Values, low: FloatArray, high: FloatArray) -> _Values:
    """The bounds of post-activations; see the module."""
    unstable = ((low < 0.0) & (high > 0.0))[:, None]
    on = (low >= 0.0).astype(np.float64)[:, None]
    rest = (values.low[:, :1] > 0.0).astype(np.float64)
    return _Values(
        np.where(unstable, np.maximum(values.high, 0.0), on * values.high),
        np.where(unstable, rest, on) * values.low,
        np.where(unstable, 1.0, on) * values.size,
    )


def _next_layer(weight: FloatArray, bias: FloatArray, after: _Values, factor: float) -> _Values:
    """Both bounds of the next layer's pre-activations."""
    positive, negative = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
    size = np.abs(weight) @ after.size + np.abs(bias)[:, None]
    error = factor * size
    return _Values(
        positive @ after.high + negative @ after.low + bias[:, None] + error,
        positive @ after.low + negative @ after.high + bias[:, None] - error,
        size,
    )


def _slopes(values: FloatArray, radius: float) -> FloatArray:
    """``c`` for values at all points, rounded upward; shape ``(n, 2 n_0)``."""
    start, ends = values[:, :1], values[:, 1:]
    size = np.abs(start) + np.abs(ends)
    return np.asarray((ends - start) / radius + (8.0 * ROUNDOFF / radius) * size)


def _tighten(
    low: FloatArray, high: FloatArray, values: _Values, rooms: FloatArray, radius: float
) -> None:
    """Lower ``high`` (raise ``low``) to the largest value of P (the smallest of Q)."""
    slopes, opposite = _slopes(values.high, radius), _slopes(-values.low, radius)
    zeros, gains, used = np.zeros(rooms.size), np.empty(rooms.size), np.empty(rooms.size)
    for i in np.flatnonzero((low < 0.0) & (high > 0.0)):
        gain = l1_maximum(np.maximum(slopes[i], 0.0), zeros, rooms, radius, gains, used)
        start = values.high[i, 0]
        high[i] = min(high[i], start + gain + 4.0 * ROUNDOFF * (abs(start) + gain))
        gain = l1_maximum(np.maximum(opposite[i], 0.0), zeros, rooms, radius, gains, used)
        start = -values.low[i, 0]
        low[i] = max(low[i], -(start + gain + 4.0 * ROUNDOFF * (abs(start) + gain)))
