"""How far away every alternative lies at least, by sums of squares (:mod:`.squares`).

From what linear forms show balls grow until one is not excluded, then come those between;
parabolas are fitted to the change at which each bound is attained. While they grow some eigenvalues
are estimates, so that the last radius is shown once more with all of them proven, or a smaller one
is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.corners.units import layers_at, units_of
from reluopt.engines.branch_and_bound.curved.quadratics import (
    largest_over_ball,
    proven_over_ball,
)
from reluopt.engines.branch_and_bound.curved.squares import Linear, Net, Squares
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.questions.tasks import Alternative

MOST_PIXELS = 1500
"""Larger pictures keep linear forms: a bound takes all eigenvalues of a matrix of this order."""

FIRST = 1.0 / 16.0
"""The first ball's radius, relative to the one beyond which nothing is of interest."""

GROWTH, NEAR = 1.6, 4.0
"""The next ball's radius relative to the last one's, and how near the largest one is tried at
once."""

LEAST = 1e-6
"""Smaller balls, relative to that one, are not looked at."""

CLOSE = 1.02
"""Two balls as near as this, relative to each other, are near enough."""

FITS = 10
"""Times that parabolas are fitted for one condition over one ball: later ones gain little."""

LOOK_BACK = 2
"""Fits whose gain tells whether the rest may suffice."""

RATE = 0.25
"""How far a fit goes; less each time."""

RESERVE = 1.5
"""How many times as long as the longest look at a ball so far is kept for the proof of the last,
beside what is left of the time that forms may take."""

PROOFS, SHRINKAGE = 4, 0.97
"""Radii that are tried to be proven, each smaller than the last."""


class CurvedForms:
    """Sums of squares over balls about the image of a frame; see the module."""

    slow = True

    def __init__(self, frame: Frame) -> None:
        task, units = frame.task, units_of(frame.network)
        image, box = np.array(task.image), (np.array(task.box.lower), np.array(task.box.upper))
        self._alternatives = task.alternatives
        with _errors_ignored():
            self._net = Net.of(layers_at(units, image), units[-1].pieces, image, box)

    def undecided(self, radius: float, enough: int, deadline: Deadline) -> int:
        """About how many pieces of units may come to lead within a ball."""
        with _errors_ignored():
            return Squares(self._net, radius, False, deadline, enough).undecided

    def narrowed(self, ball: Ball, deadline: Deadline) -> Ball:
        """The ball as it is: what is undecided depends on estimates here."""
        del deadline
        return ball

    def excluded_radius(
        self, known: float, most: float, deadline: Deadline, report: Callable[[float], None]
    ) -> float:
        """A radius, at most ``most``, of a ball in which no input meets any alternative.

        Args:
            known: one of which that is known.
            most: beyond it nothing is of interest; positive and finite.
            deadline: when to stop, but for a last proof.
            report: told of the radius that is shown.
        """
        if self._net.image.size > MOST_PIXELS:
            return known
        rise = _Rise(self._net, self._alternatives, deadline)
        with _errors_ignored():
            radius = rise.found(known, most)
            for proof in range(PROOFS):
                if radius <= known:
                    break
                rise.deadline = deadline if proof else NEVER
                if rise.excluded(radius, proven=True):
                    report(radius)
                    return radius
                radius *= SHRINKAGE
        return known


def _errors_ignored() -> np.errstate:
    """What is not a number excludes nothing."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def _hopeless(bounds: Sequence[float]) -> bool:
    """Whether fits that gain as much as the last few did would leave a bound above zero."""
    if len(bounds) <= LOOK_BACK:
        return False
    gain = (bounds[-1 - LOOK_BACK] - bounds[-1]) / LOOK_BACK
    return gain * (FITS + 1 - len(bounds)) < bounds[-1]


@dataclass(eq=False)
class _Rise:
    """The way up.

    Attributes:
        net: the network.
        alternatives: what is asked.
        deadline: when to stop.
        order: of the alternatives, the one that was hardest last first.
    """

    net: Net
    alternatives: Sequence[Alternative]
    deadline: Deadline
    order: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.order = list(range(len(self.alternatives)))

    def found(self, known: float, most: float) -> float:
        """The largest ball that seems to be excluded, from the one that is known to be."""
        high, longest = np.inf, 0.0
        while self.deadline.left > RESERVE * longest and known < most and high > LEAST * most:
            if known * CLOSE >= high:
                break
            radius, started = self._next(known, high, most), self.deadline.clock()
            if self.excluded(radius, proven=False):
                known = radius
            else:
                high = radius
            longest = max(longest, self.deadline.clock() - started)
        return known

    def _next(self, known: float, high: float, most: float) -> float:
        """The next radius, between one that is excluded and one that is not."""
        if known == 0.0:
            return min(FIRST * most, 0.25 * high)
        if high == np.inf:
            return most if most <= NEAR * known else GROWTH * known
        return math.sqrt(high * known)

    def excluded(self, radius: float, proven: bool) -> bool:
        """Whether all alternatives are."""
        squares = Squares(self.net, radius, proven, self.deadline)
        if not squares.complete:
            return False
        for place, index in enumerate(list(self.order)):
            if self.deadline.passed or not self._lowered(squares, self.alternatives[index]):
                self.order.insert(0, self.order.pop(place))
                return False
        return True

    def _lowered(self, squares: Squares, alternative: Alternative) -> bool:
        """Whether a condition is excluded, with parabolas fitted for it."""
        matrix = np.array(alternative.conditions.matrix)
        rhs = np.array(alternative.conditions.rhs)
        if rhs.size == 0:
            return False
        linear, bounds = self._hardest(squares, matrix, rhs), list[float]()
        for fit in range(FITS + 1):
            constant, slopes, square = squares.quadratic(linear)
            if not np.isfinite(square).all():
                return False
            value, point, _ = largest_over_ball(slopes, square, squares.radius)
            if constant + value < 0.0 and (
                not squares.proven or self._is_proven(squares, constant, slopes, square)
            ):
                return True
            bounds.append(constant + value)
            if self.deadline.passed or not np.isfinite(value) or _hopeless(bounds):
                return False
            squares.refit(point, RATE * 0.97**fit)
        return False

    def _is_proven(
        self, squares: Squares, constant: float, slopes: FloatArray, matrix: FloatMatrix
    ) -> bool:
        """Whether a bound is below zero with outward rounding."""
        bound = proven_over_ball(slopes, matrix, squares.radius, squares.terms)
        return bool(constant + bound + 1e-12 * (abs(constant) + abs(bound)) < 0.0)

    def _hardest(self, squares: Squares, matrix: FloatMatrix, rhs: FloatArray) -> Linear:
        """Of several conditions the one that linear parts exclude most clearly."""
        last = self.net.last
        rows = matrix @ last.weight
        constants = matrix @ last.bias - rhs + squares.room_of(matrix, rhs)
        linear = self.net.linear(len(self.net.layers), rows, constants)
        least = int(np.argmin(linear.rest + squares.radius * linear.lengths))
        own = slice(least, least + 1)
        rising = [part[own] for part in linear.rising]
        return Linear(linear.rest[own], linear.slopes[own], linear.lengths[own], rising)
