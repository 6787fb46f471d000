"""The ball around the image that holds every better input, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.numerics.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Ball:
    """Bounds over ``{x in box : |x - image| <= radius}``.

    Attributes:
        radius: length of the radius.
        lower, upper: bounds of all neurons, hidden ones first.
        empty: whether the bounds prove that the ball holds no input of interest.
    """

    radius: float
    lower: FloatArray
    upper: FloatArray
    empty: bool


def make_ball(frame: Frame, radius: float, lower: FloatArray, upper: FloatArray) -> Ball:
    """Tighten copies of the given bounds of all neurons to a ball."""
    lower, upper = lower.copy(), upper.copy()
    empty = not frame.tighten(radius, lower, upper, 0)
    return Ball(radius, lower, upper, empty)


def no_bounds(frame: Frame) -> tuple[FloatArray, FloatArray]:
    """Bounds of all neurons that say nothing."""
    unknown = np.full(frame.flat.biases.size, np.inf)
    return -unknown, unknown
