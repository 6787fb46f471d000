"""The input set {ball ∩ box}: ``x = center + delta`` with limits on ``delta``."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.jit import kernel
from reluopt.numerics.passes import forward
from reluopt.numerics.products import add_sizes
from reluopt.numerics.rounding import ROUNDOFF, TINY, gamma

BOX_ONLY, L1_BALL, L2_BALL = 0, 1, 2
"""Codes of :attr:`FlatInputSet.norm`."""


class FlatInputSet(NamedTuple):
    r"""``{center + delta : low <= delta <= high, ||delta|| <= radius}`` as kernels take it.

    Made by :func:`around`; :func:`with_radius` shrinks the ball of an L1 or L2 set.

    Attributes:
        center: shape ``(n_0,)``.
        low, high: shape ``(n_0,)``, rounded outward; ``low <= 0 <= high`` for L1.
        norm: ``BOX_ONLY``, ``L1_BALL`` or ``L2_BALL``.
        radius: length of the ball's radius (ignored for ``BOX_ONLY``); negative when the set is
            empty.
        values: pre-activations of the first layer at the center, shape ``(n_1,)``.
        errors: above what each of ``values`` is wrong by, shape ``(n_1,)``:
            :math:`\gamma_N (|W| |center| + |b|)`, N counting the inputs other than zero, since the
            others add nothing and round nothing.
        magnitudes: ``|W| (|center| + max|delta|) + |b|`` of the first layer, for error bounds.
        tilt: k >= 0 adds ``2 k sum(delta)`` to the square that an L2 ball limits, see
            :mod:`~reluopt.numerics.maxima`; ``low >= 0`` then.
    """

    center: FloatArray
    low: FloatArray
    high: FloatArray
    norm: int
    radius: float
    values: FloatArray
    errors: FloatArray
    magnitudes: FloatArray
    tilt: float


@kernel
def make_flat_input_set(
    flat: FlatNetwork,
    center: FloatArray,
    low: FloatArray,
    high: FloatArray,
    norm: int,
    radius: float,
) -> FlatInputSet:
    """Complete an input set by what the first layer needs."""
    size, width = flat.sizes[0], flat.sizes[1]
    values = np.empty(flat.biases.size)
    forward(flat, center, values)
    magnitudes, errors = np.empty(width), np.empty(width)
    for i in range(width):
        magnitudes[i] = errors[i] = abs(flat.biases[i])
    count = 0
    here, reach = np.empty(size), np.empty(size)
    for j in range(size):
        here[j] = abs(center[j])
        count += 1 if here[j] != 0.0 else 0
        reach[j] = here[j] + max(abs(low[j]), abs(high[j]))
    add_sizes(flat, 0, reach, magnitudes)
    add_sizes(flat, 0, here, errors)
    share = gamma(count + 8.0)
    for i in range(width):
        errors[i] = share * errors[i] + TINY
    return FlatInputSet(
        center, low, high, norm, radius, values[:width].copy(), errors, magnitudes, 0.0
    )


def around(
    flat: FlatNetwork,
    ends: tuple[FloatArray, FloatArray],
    center: FloatArray,
    norm: int,
    radius: float,
) -> FlatInputSet:
    """The box from ``ends[0]`` to ``ends[1]`` about a center, cut by a ball, rounded outward."""
    low, high = difference(ends[0], center, -np.inf), difference(ends[1], center, np.inf)
    made: FlatInputSet = make_flat_input_set(flat, np.array(center), low, high, norm, float(radius))
    return made


def sum_rounding(count: int) -> float:
    """Above what sums of ``count`` numbers, and roots of sums of squares, are relatively off by."""
    return 1.0 + 4.0 * (count + 4) * ROUNDOFF


def with_radius(inputs: FlatInputSet, radius: float) -> FlatInputSet:
    """The set with a smaller ball; for L1 and L2 balls whose center lies in the box."""
    return inputs._replace(radius=float(radius))


def largest_square(inputs: FlatInputSet) -> float:
    """Above any ``|delta|^2 + 2 tilt sum(delta)`` within the limits of an input set."""
    ends = np.maximum(np.abs(inputs.low), np.abs(inputs.high))
    largest = float(ends @ ends) + 2.0 * inputs.tilt * float(ends.sum())
    return largest * (1.0 + 1e-9) + 1e-9


def enclosing_radius(inputs: FlatInputSet, objective: float) -> float:
    """Radius of the ball that holds every change of at most this objective.

    That is ``sum|delta|`` or, for an L2 ball, the square. For infinity the ball holds all.
    """
    if objective == math.inf:
        wide = 2.0 * float(np.abs(inputs.high - inputs.low).sum()) + 1.0
        return max(wide, math.sqrt(largest_square(inputs)))
    if inputs.norm == L1_BALL:
        return objective
    # A root may be rounded down, and the shell that this cuts off holds points of interest.
    return math.nextafter(math.sqrt(objective), math.inf)


def difference(left: FloatArray, right: FloatArray, direction: float) -> FloatArray:
    """``left - right``, moved by one unit in the last place where it is not exact (TwoSum)."""
    result = left - right
    part = result - left
    error = (left - (result - part)) - (right + part)
    return np.where(error == 0.0, result, np.nextafter(result, direction))
