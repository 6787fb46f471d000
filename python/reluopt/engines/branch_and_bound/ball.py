"""The ball around the image that holds every better input, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame, Relaxation
from reluopt.engines.branch_and_bound.l1.ball_rows import (
    BallRows,
    ball_rows,
    no_ball_rows,
    rows_of_unstable,
)
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.input_sets import with_radius
from reluopt.numerics.propagate import tighten
from reluopt.questions.problems import LogitConditions, Norm


@dataclass(frozen=True, eq=False)
class Ball:
    """Bounds over ``{x in box : |x - image| <= radius}``.

    Attributes:
        radius: length of the radius.
        lower, upper: bounds of all neurons, hidden ones first.
        rows: additional rows for linear relaxations.
        empty: whether the bounds prove that the ball holds no input of interest.
    """

    radius: float
    lower: FloatArray
    upper: FloatArray
    rows: BallRows
    empty: bool


class RelaxationFactory(Protocol):
    """How the driver makes a relaxation of one alternative from a ball's bounds."""

    def __call__(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> Relaxation:
        """The relaxation; neurons that the ball's bounds decide stay so for good."""
        ...


def make_ball(frame: Frame, radius: float, lower: FloatArray, upper: FloatArray) -> Ball:
    """Tighten copies of the given bounds of all neurons to a ball."""
    lower, upper = lower.copy(), upper.copy()
    layers = int(frame.flat.weight_offsets.size)
    magnitudes = np.empty(frame.flat.biases.size)
    args = (frame.flat, with_radius(frame.region, radius), lower, upper, magnitudes)
    fine = tighten(*args, 0, layers - 1, False)
    rows = no_ball_rows()
    if fine and frame.task.norm is Norm.L1:
        rows, fine = ball_rows(frame, radius, lower, upper)
        if fine and layers > 3:  # deeper layers profit from the tighter second one
            fine = tighten(*args, 2, layers - 1, False)
            rows = rows_of_unstable(rows, lower, upper)
    return Ball(radius, lower, upper, rows, not fine)
