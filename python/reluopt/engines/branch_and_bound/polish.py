"""Better inputs of a ball in the linear region of a good one, and in those beside it.

Within a linear region the largest value is a linear program where rows hold the ball (L1). Where
they do not (L2) the program without the ball mostly ends beyond it; the value whose nearest input
lies at the radius is then found by chords: the nearest length is convex in the value. A nearest
input also tells which neighbours are worth a visit
(:func:`~reluopt.attacks.linear_regions.walk_linear_regions`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.linear_regions import Pattern, linear_region_rows, walk_linear_regions
from reluopt.attacks.slack import middle
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.raised import RaisedTask
from reluopt.numerics.arrays import FloatArray

VISITS = 8
"""Linear regions whose largest value is looked for: one or two are usual."""

ROUNDS = 12
"""Values that are tried in one of them: four are usual."""

SHORT = 1e-10
"""Lengths that miss the radius by this share of it are as good as the radius."""

OUTSIDE = 1e-8
"""By which share of the radius rounding may leave the ball."""

MOST = 1_000_000
"""Entries of the rows of a linear region: programs of more take seconds and gain little."""

WALKED = 4
"""A walk to a better linear region takes this part of what the norm is worth to walks."""


def polished(raised: RaisedTask, start: Incumbent, tolerance: float, end: Deadline) -> Incumbent:
    """The best input of linear regions from that of ``start`` on; never worse than it.

    It is ``start`` for networks of more than :data:`MOST` entries.

    Args:
        raised: what is asked.
        start: an input of the ball.
        tolerance: difference of values that is of no interest.
        end: when to stop with the best so far.
    """
    network = raised.network
    if sum(network.hidden_sizes) * network.input_size > MOST:
        return start
    polish = _Polish(raised, start.alternative, tolerance, end, start)
    pattern: Pattern = network.activation_pattern(start.image)
    for _ in range(VISITS):
        before = polish.best.objective
        near = polish.nearest(before - tolerance, pattern, WALKED)
        if near is not None:
            pattern = near
        polish.visit(pattern)
        if end.passed or not polish.best.objective > before + tolerance:
            break
    return polish.best


@dataclass(eq=False)
class _Polish:
    """Visits of linear regions.

    Attributes:
        raised: what is asked.
        index: of the goal.
        tolerance: difference of values that is of no interest.
        end: when to stop.
        best: the best input so far.
    """

    raised: RaisedTask
    index: int
    tolerance: float
    end: Deadline
    best: Incumbent

    def __post_init__(self) -> None:
        self._inputs = self.raised.task.inputs
        self._center = middle(self._inputs)
        value = self.raised.goals[self.index].value(self.raised.network.forward(self._center))
        self._chords = _Chords((value, 0.0), self._inputs.radius)

    def nearest(self, value: float, pattern: Pattern, part: int = 0) -> Pattern | None:
        """Take the input of ``value`` in a linear region that is nearest, and tell which it is in.

        Args:
            value: what it shall be worth.
            pattern: the linear region.
            part: of the linear regions that a walk may take; 0 stays where it is.
        """
        task = self.raised.at(value, [self.index])
        most = task.norm.most_linear_regions // part if part else 1
        only = task.alternatives[0]
        near = walk_linear_regions(self.raised.network, task, only, pattern, most, self.end)
        length = math.inf if near is None else task.norm.distance_of(near.objective)
        self._chords.add(value, length)
        if near is None or length > self._inputs.radius:
            return None
        self._take(near.image)
        return near.pattern

    def visit(self, pattern: Pattern) -> None:
        """Take the best input of a linear region."""
        image = self._highest(pattern)
        if image is None:
            return
        value = self.raised.goals[self.index].value(self.raised.network.forward(image))
        length = self._inputs.length(image)
        if length <= self._inputs.radius * (1.0 + OUTSIDE):
            if self._take(image):
                return
            value, length = value - self.tolerance, math.inf
        self._chords.beyond = value, length
        for _ in range(ROUNDS):
            value = self._chords.next_value
            if not value > self.best.objective + self.tolerance or self.end.passed:
                return
            self.nearest(value, pattern)

    def _highest(self, pattern: Pattern) -> FloatArray | None:
        """The best input of a linear region, perhaps beyond a ball that rows do not hold."""
        from reluopt.attacks.linear_region_lp import best_change  # loads HiGHS and scipy

        inputs, goal = self._inputs, self.raised.goals[self.index]
        rows = linear_region_rows(self.raised.network, self._center, goal.alternative, pattern)
        gains = np.append(np.zeros(rows.hidden), goal.rises.astype(np.float64)) / rows.lengths
        ends = inputs.box.lower - self._center, inputs.box.upper - self._center
        norm = inputs.ball_norm
        ball = (norm, inputs.radius) if norm is not None and norm.linear_ball else None
        change = best_change(rows.matrix, rows.rhs, gains, ends, ball, self.end)
        return None if change is None else inputs.box.clip(self._center + change)

    def _take(self, image: FloatArray) -> bool:
        """Keep an input of the ball if it is the best; whether it meets what has to be met."""
        found = self.raised.value_at(image)
        if found is not None and found.objective > self.best.objective:
            self.best = found
        return found is not None


@dataclass(eq=False)
class _Chords:
    """Values with the lengths that reach them, convex in the values.

    A chord through two lengths within the radius overshoots the value that is wanted, a chord to
    one beyond falls short.

    Attributes:
        center: the value of no change, and 0.
        radius: the length whose value is wanted.
        inside: the last two up to the radius.
        beyond: the last one beyond it.
    """

    center: tuple[float, float]
    radius: float
    inside: tuple[tuple[float, float], ...] = ()
    beyond: tuple[float, float] = (math.inf, math.inf)

    def add(self, value: float, length: float) -> None:
        """Remember a pair."""
        if length <= self.radius:
            self.inside = (*self.inside[-1:], (value, length))
        else:
            self.beyond = value, length

    @property
    def next_value(self) -> float:
        """The value to try next; the last one within the radius where chords are of no use."""
        value, length = self.inside[-1] if self.inside else self.center
        before = self.inside[0] if self.inside and self.inside[0][1] < length else self.center
        missing = self.radius * (1.0 - SHORT) - length
        further = math.inf
        if before[1] < length and before[0] < value:
            further = value + missing * (value - before[0]) / (length - before[1])
        far, reach = self.beyond
        if further < far:
            return further
        if reach == math.inf:
            return 0.5 * (value + far)
        return value + missing * (far - value) / (reach - length)
