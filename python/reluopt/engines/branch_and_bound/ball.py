"""The ball around the image that holds every better input, and what is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.folding import FoldedNetwork, fold, is_folded
from reluopt.engines.branch_and_bound.frame import Frame, make_frame
from reluopt.engines.branch_and_bound.simplifying import bounded_over
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.input_sets import with_radius
from reluopt.questions.input_sets import InputSet


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


def folded(frame: Frame, ball: Ball, *, leads: bool = False) -> Frame:
    """The frame of the network folded over a ball (:mod:`.folding`), or the same where none is.

    Args:
        frame: of the whole network.
        ball: bounds over the ball.
        leads: whether max poolings are led over it before (:mod:`.leading`).

    Raises:
        InputError: too many neurons are undecided over it.
    """
    led = _led(frame, ball.radius) if leads and not ball.empty else None
    if led is not None:
        return led
    if not is_folded(frame.network):
        return frame
    if ball.empty:
        return replace(frame, fold_radius=ball.radius)  # whoever bounds it finds it empty, too
    inputs = with_radius(frame.inputs, ball.radius)
    small = fold(frame.network, frame.task, inputs, ball.lower, ball.upper, frame.bias_errors)
    return _made(frame, small, ball.radius)


def _made(frame: Frame, small: FoldedNetwork, radius: float) -> Frame:
    """The frame of what was folded over a radius."""
    pairs = zip(frame.task.alternatives, small.task.alternatives, strict=True)
    rooms = [float((a.conditions.rhs - b.conditions.rhs).max(initial=0.0)) for a, b in pairs]
    made, room = make_frame(small.network, small.task), max(rooms, default=0.0)
    tilted = made.inputs._replace(tilt=frame.inputs.tilt)
    return replace(made, inputs=tilted, judge=frame.judge, fold_radius=radius, room=room)


def _led(frame: Frame, radius: float) -> Frame | None:
    """The frame of the network led and folded over a ball; None where nothing is led.

    Raises:
        InputError: too many neurons are undecided over it.
    """
    task = frame.task
    if frame.inputs.tilt != 0.0 or frame.bias_errors is not None:  # a blend's ball is another
        return None
    inputs = InputSet(task.box, np.array(task.image), task.norm, radius)
    bounded = bounded_over(frame.network, task, inputs)
    if bounded.is_empty or not bounded.is_led:
        return None
    return _made(frame, bounded.folded(), radius)
