r"""Rows that couple a first-layer ReLU with the pixels: convexity over the L1 ball.

Only inputs with :math:`\|\delta\|_1 \le r` are of interest (r: what the incumbent allows). With
:math:`\delta = p^+ - p^-`, :math:`p \ge 0` and :math:`t = \sum_j p^+_j + p^-_j \le r`, such a change is a
convex combination of no change (weight :math:`1 - t/r`) and of whole budgets spent on one pixel
(weights :math:`p^\pm_j / r`). A ReLU is convex, so by Jensen's inequality, with
:math:`a = a_0 + w^\top\delta` and any :math:`g \ge \max(a_0, 0)`,

.. math::

   \max(a, 0) \le (1 - t/r)\, g + \sum_{j, \pm} \frac{p^\pm_j}{r} \max(a_0 \pm r w_j, 0)
     = g + \sum_{j, \pm} c^\pm_j p^\pm_j, \qquad
   c^\pm_j = \frac{\max(a_0 \pm r w_j, 0) - g}{r} .

The triangle relaxation of the same neuron knows of ``a`` alone: a change that is spread over pixels
none of which could switch the neuron on by itself still gives it an upper bound well above zero,
while the row above gives zero. Root bounds of the bundled networks rise by up to half of the
optimum.

The row is valid as long as ``r`` is at least the radius of interest, in particular in the whole
tree. ``g`` and ``c`` are rounded upward, with :math:`a_0` known up to an error bound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.relaxation import Frame, IntArray
from reluopt.kernels.rounding import ROUNDOFF, gamma
from reluopt.network import FloatArray


class BallRows(NamedTuple):
    """``x_h <= offset + rise @ p_plus + fall @ p_minus`` for some neurons of the first layer.

    Attributes:
        neurons: the neurons, shape ``(B,)``.
        offset: shape ``(B,)``.
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


def ball_rows(frame: Frame, radius: float, neurons: IntArray) -> BallRows:
    """The rows of the given first-layer neurons for changes of length at most ``radius``."""
    if neurons.size == 0 or not (0.0 < radius < np.inf):
        return no_ball_rows()
    weight = frame.network.layers[0].weight[neurons]
    error = gamma(frame.network.input_size + 16.0) * frame.region.magnitudes[neurons]
    start = np.nextafter(frame.region.values[neurons] + error, np.inf)
    offset = np.maximum(start, 0.0)
    rise = _coefficients(start, weight, offset, radius)
    fall = _coefficients(start, -weight, offset, radius)
    largest = np.maximum(np.abs(rise).max(axis=1), np.abs(fall).max(axis=1))
    return BallRows(neurons, offset, rise.ravel(), fall.ravel(), largest)


def _coefficients(
    start: FloatArray, weight: FloatArray, offset: FloatArray, radius: float
) -> FloatArray:
    """``(max(start + radius * weight, 0) - offset) / radius``, rounded upward."""
    reach = radius * weight
    whole = np.maximum(start[:, None] + reach, 0.0)
    size = np.abs(start)[:, None] + np.abs(reach) + offset[:, None]
    return np.asarray((whole - offset[:, None]) / radius + 8.0 * ROUNDOFF * size / radius)
