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

Deeper layers take three functions of :math:`\delta` along: a convex upper bound P, an affine lower
bound Q and an affine upper bound R of every pre-activation (all equal to ``a`` in the first layer),

.. math::

   P^{k+1} &= b + W_+ \max(P^k, 0) + W_- \alpha Q^k, \\
   Q^{k+1} &= b + W_+ \alpha Q^k + W_- s (R^k - l), \qquad
   R^{k+1} = b + W_+ s (R^k - l) + W_- \alpha Q^k,

with the usual slopes of an unstable neuron (:math:`s = u / (u - l)`; :math:`\alpha = 1` where the
image has :math:`Q > 0`, else 0), and with the identity (zero) for active (inactive) ones. Sums of
convex functions with weights :math:`\ge 0` are convex, so :math:`\max(P^{k+1}, 0) \ge x` gives a
row, and the largest values of P and of the corresponding convex upper bound of :math:`-a` over the
ball (a fractional knapsack) tighten the pre-activation bounds on the way.

A row stays valid as long as ``r`` is at least the radius of interest, so in the whole tree.

Rounding. All functions are evaluated at the points 0 and :math:`\pm r e_j`. With :math:`M` the
sum of absolute terms of a value (:math:`M^{k+1} = |b| + |W| M^k`) its error is at most
:math:`\gamma_N M`; that much is added to P and R and subtracted from Q. Coefficients are inflated
by eight roundings of their terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.relaxation import Frame, IntArray
from reluopt.kernels.maxima import l1_maximum
from reluopt.kernels.rounding import ROUNDOFF, gamma
from reluopt.network import FloatArray


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


def rows_of_unstable(rows: BallRows, lower: FloatArray, upper: FloatArray) -> BallRows:
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


@dataclass(eq=False)
class _Values:
    """Functions of one layer at the points 0, +r e_j, -r e_j; arrays of shape (neurons, points).

    Attributes:
        convex: P, or its counterpart after the ReLU.
        low, high: Q and R, or their counterparts.
        size: M, the sums of absolute terms.
    """

    convex: FloatArray
    low: FloatArray
    high: FloatArray
    size: FloatArray


def ball_rows(
    frame: Frame, radius: float, lower: FloatArray, upper: FloatArray
) -> tuple[BallRows, bool]:
    """Rows for all unstable hidden neurons.

    Args:
        frame: network and image.
        radius: changes of at most this length are of interest.
        lower: valid lower bounds of all neurons; those behind the first layer are tightened.
        upper: the upper ones.

    Returns:
        The rows, and False when a lower bound exceeds its upper bound: nothing is of interest.
    """
    flat = frame.flat
    hidden_layers = flat.weight_offsets.size - 1
    rooms = np.concatenate([frame.region.high, -frame.region.low])
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
            layer = frame.network.layers[k]
            after = _after_relu(values, before_low, before_high)
            negative = _convex_part(-layer.weight, -layer.bias, after, factor)
            values = _next_layer(layer.weight, layer.bias, after, factor)
            _tighten(low, high, values.convex, negative, rooms, radius)
            if (low > high).any():
                return no_ball_rows(), False
        unstable = np.flatnonzero((low < 0.0) & (high > 0.0))
        whole = np.maximum(values.convex[unstable], 0.0)
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
    """The first layer is affine: all functions are equal up to rounding."""
    layer = frame.network.layers[0]
    reach = radius * layer.weight
    start = frame.region.values[:, None]
    values = np.concatenate([start, start + reach, start - reach], axis=1)
    size = np.abs(reach) + frame.region.magnitudes[:, None]
    size = np.concatenate([frame.region.magnitudes[:, None], size, size], axis=1)
    error = factor * size
    return _Values(values + error, values - error, values + error, size)


def _after_relu(values: _Values, low: FloatArray, high: FloatArray) -> _Values:
    """The functions of post-activations; see the module."""
    unstable = ((low < 0.0) & (high > 0.0))[:, None]
    active = (low >= 0.0)[:, None]
    on = active.astype(np.float64)
    width = np.where(unstable[:, 0], high - low, 1.0)
    slope = np.where(unstable[:, 0], high, 1.0) / width
    # A chord with any slope in [0, 1] that is above the ReLU at both ends.
    lift = np.maximum(-slope * low, (1.0 - slope) * high) * (1.0 + 8.0 * ROUNDOFF)
    chord = slope[:, None] * values.high + lift[:, None]
    rest = (values.low[:, :1] > 0.0).astype(np.float64)
    return _Values(
        np.where(unstable, np.maximum(values.convex, 0.0), on * values.convex),
        np.where(unstable, rest * values.low, on * values.low),
        np.where(unstable, chord, on * values.high),
        np.where(unstable, values.size + lift[:, None], on * values.size),
    )


def _convex_part(weight: FloatArray, bias: FloatArray, after: _Values, factor: float) -> FloatArray:
    """Convex upper bound of ``weight @ x + bias``, rounded upward."""
    positive, negative = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
    size = np.abs(weight) @ after.size + np.abs(bias)[:, None]
    value = positive @ after.convex + negative @ after.low + bias[:, None]
    return np.asarray(value + factor * size)


def _next_layer(weight: FloatArray, bias: FloatArray, after: _Values, factor: float) -> _Values:
    """All functions of the next layer's pre-activations."""
    positive, negative = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
    size = np.abs(weight) @ after.size + np.abs(bias)[:, None]
    error = factor * size
    return _Values(
        positive @ after.convex + negative @ after.low + bias[:, None] + error,
        positive @ after.low + negative @ after.high + bias[:, None] - error,
        positive @ after.high + negative @ after.low + bias[:, None] + error,
        size,
    )


def _slopes(values: FloatArray, radius: float) -> FloatArray:
    """``c`` for values at all points, rounded upward; shape ``(n, 2 n_0)``."""
    start, ends = values[:, :1], values[:, 1:]
    size = np.abs(start) + np.abs(ends)
    return np.asarray((ends - start) / radius + (8.0 * ROUNDOFF / radius) * size)


def _tighten(
    low: FloatArray,
    high: FloatArray,
    convex: FloatArray,
    negative: FloatArray,
    rooms: FloatArray,
    radius: float,
) -> None:
    """Lower ``high`` (raise ``low``) to the largest value of a convex bound of ``a`` (``-a``)."""
    slopes, opposite = _slopes(convex, radius), _slopes(negative, radius)
    zeros, gains, used = np.zeros(rooms.size), np.empty(rooms.size), np.empty(rooms.size)
    for i in np.flatnonzero((low < 0.0) & (high > 0.0)):
        gain = l1_maximum(np.maximum(slopes[i], 0.0), zeros, rooms, radius, gains, used)
        most = convex[i, 0] + gain
        high[i] = min(high[i], most + 4.0 * ROUNDOFF * (abs(convex[i, 0]) + gain))
        gain = l1_maximum(np.maximum(opposite[i], 0.0), zeros, rooms, radius, gains, used)
        most = negative[i, 0] + gain
        low[i] = max(low[i], -(most + 4.0 * ROUNDOFF * (abs(negative[i, 0]) + gain)))
