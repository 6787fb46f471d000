"""The ball around the image that holds every better input, and what is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.folding import fold, is_folded
from reluopt.engines.branch_and_bound.frame import Frame, make_frame
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.input_sets import with_radius


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

    @property
    def stages(self) -> Sequence[tuple[FloatArray, FloatArray]]:
        """The bounds on the way there, each found with the help of those before."""
        return ((self.lower, self.upper),)


def make_ball(frame: Frame, radius: float, lower: FloatArray, upper: FloatArray) -> Ball:
    """Tighten copies of the given bounds of all neurons to a ball."""
    lower, upper = lower.copy(), upper.copy()
    empty = not frame.tighten(radius, lower, upper, 0)
    return Ball(radius, lower, upper, empty)


def no_bounds(frame: Frame) -> tuple[FloatArray, FloatArray]:
    """Bounds of all neurons that say nothing."""
    unknown = np.full(frame.flat.biases.size, np.inf)
    return -unknown, unknown


def bare_ball(frame: Frame, radius: float, deadline: Deadline = NEVER) -> Ball:
    """Bounds over a ball, from nothing and in no norm's own way; looser after a deadline."""
    lower, upper = no_bounds(frame)
    empty = not frame.tighten(radius, lower, upper, 0, deadline=deadline)
    return Ball(radius, lower, upper, empty)


def folded(frame: Frame, ball: Ball) -> Frame:
    """The frame of the network folded over a ball (:mod:`.folding`), or the same where none is.

    Raises:
        InputError: too many neurons are undecided over it.
    """
    if not is_folded(frame.network):
        return frame
    if ball.empty:
        return replace(frame, fold_radius=ball.radius)  # whoever bounds it finds it empty, too
    inputs = with_radius(frame.inputs, ball.radius)
    small = fold(frame.network, frame.task, inputs, ball.lower, ball.upper, frame.bias_errors)
    made = make_frame(small.network, small.task)
    tilted = made.inputs._replace(tilt=frame.inputs.tilt)
    return replace(made, inputs=tilted, judge=frame.judge, fold_radius=ball.radius)
