"""How far away every alternative lies at least, by convex functions at corners (:mod:`.forms`).

Bisection with the slopes at no change comes first. From there the radius grows as long as
:mod:`.climbing` finds slopes of each alternative, the hardest one first, whose slopes serve the
others as a start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.corners.climbing import Climb
from reluopt.engines.branch_and_bound.corners.forms import Corners, Slopes
from reluopt.engines.branch_and_bound.corners.units import are_neurons, layers_at, units_of
from reluopt.engines.branch_and_bound.dual.domains import SimplexDomain
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.numerics.arrays import FloatArray

HALVINGS = 7
"""Balls that the bisection tries."""

GROWTHS = (1.08, 1.03, 1.01)
"""A ball's radius relative to that of the one before; the next growth where one fails."""

PATIENCE = 60
"""Steps for one condition over one ball: later ones gain little."""

LOOK_BACK = 8
"""Steps whose gain tells whether the rest may suffice."""


class CornerForms:
    """Forms at corners of balls about the image of a frame; see the module."""

    slow = False

    def __init__(self, frame: Frame) -> None:
        task, units = frame.task, units_of(frame.network)
        self.alternatives = task.alternatives
        self.layers, self.last = layers_at(units, np.array(task.image)), units[-1].pieces
        self._box = np.array(task.box.lower), np.array(task.box.upper)
        self._image = np.array(task.image)
        self._are_neurons = are_neurons(units, frame.network)

    def corners(
        self, radius: float, slopes: Slopes, deadline: Deadline, enough: float = math.inf
    ) -> Corners:
        """The network over a ball."""
        domain = SimplexDomain(*self._box, self._image, radius)
        with np.errstate(over="ignore", invalid="ignore"):  # such forms show nothing
            return Corners(self.layers, self.last, domain, slopes, deadline, enough)

    def undecided(self, radius: float, enough: int, deadline: Deadline) -> int:
        """How many units may switch within a ball; above ``enough`` perhaps more."""
        return self.corners(radius, {}, deadline, enough).count

    def narrowed(self, ball: Ball, deadline: Deadline) -> Ball:
        """Bounds over a ball with the phases that these forms decide, where units are neurons."""
        if not self._are_neurons or ball.empty or not self.layers:
            return ball
        corners = self.corners(ball.radius, {}, deadline)
        if not corners.complete:
            return ball
        stable = ~np.concatenate(corners.undecided)
        active = np.concatenate([layer.keeps for layer in self.layers]) > 0.0
        lower, upper = ball.lower.copy(), ball.upper.copy()
        own = slice(0, stable.size)
        lower[own] = np.where(stable & active, np.maximum(lower[own], 0.0), lower[own])
        upper[own] = np.where(stable & ~active, np.minimum(upper[own], 0.0), upper[own])
        return replace(ball, lower=lower, upper=upper)

    def excluded_radius(
        self, known: float, most: float, deadline: Deadline, report: Callable[[float], None]
    ) -> float:
        """A radius, at most ``most``, of a ball in which no input meets any alternative.

        Args:
            known: one of which that is known.
            most: beyond it nothing is of interest; positive and finite.
            deadline: when to stop; what was shown until then stands.
            report: told of every radius that is shown.
        """
        rise = _Rise(self, deadline, report, known)
        with np.errstate(over="ignore", invalid="ignore"):
            rise.halve(most)
            if self.layers:
                rise.grow(most)
        return rise.known


@dataclass(eq=False)
class _Rise:
    """The way up.

    Attributes:
        known: the largest radius that was shown.
        ceilings: of all alternatives over the last ball that was tried without slopes.
        climbs: of the alternatives, for the condition that excludes each most clearly.
    """

    net: CornerForms
    deadline: Deadline
    report: Callable[[float], None]
    known: float = 0.0
    ceilings: FloatArray = field(default_factory=lambda: np.zeros(0))
    climbs: list[Climb] = field(default_factory=list)

    def halve(self, most: float) -> None:
        """Bisection with the slopes at no change."""
        radius, high = most, most
        for trial in range(HALVINGS + 1):
            if self._excluded(radius):
                self._shown(radius)
            else:
                high = radius
            if self.deadline.passed or self.known == most:
                return
            first = trial == 0 and self.known == 0.0
            radius = most / 8.0 if first else 0.5 * (self.known + high)

    def grow(self, most: float) -> None:
        """Larger balls, with slopes for each."""
        growths = list(GROWTHS)
        if growths and 0.0 < self.known < most:
            self._excluded(min(self.known * growths[0], most))
        while self.known > 0.0 and growths and self.known < most and not self.deadline.passed:
            radius = min(self.known * growths[0], most)
            if self._climbed(radius):
                self._shown(radius)
            else:
                growths.pop(0)

    def _shown(self, radius: float) -> None:
        self.known = radius
        self.report(radius)

    def _excluded(self, radius: float) -> bool:
        """Whether all alternatives are, with the slopes at no change."""
        corners = self.net.corners(radius, {}, self.deadline)
        if not corners.complete:
            return False
        climbs, ceilings = [], []
        for alternative in self.net.alternatives:
            matrix, rhs = alternative.conditions.matrix, alternative.conditions.rhs
            if rhs.size == 0:
                return False
            found, _ = corners.conditions(np.array(matrix), np.array(rhs))
            least = int(np.argmin(found))
            chosen = slice(least, least + 1)
            climbs.append(Climb(np.array(matrix[chosen]), np.array(rhs[chosen])))
            ceilings.append(float(found[least]))
        self.climbs, self.ceilings = climbs, np.array(ceilings)
        return bool((self.ceilings < 0.0).all())

    def _climbed(self, radius: float) -> bool:
        """Whether slopes are found that exclude every alternative."""
        open_ones = sorted(range(len(self.climbs)), key=lambda index: -self.ceilings[index])
        while open_ones:
            hardest = self.climbs[open_ones.pop(0)]
            if not self._lowered(hardest, radius):
                return False
            open_ones = self._others(open_ones, hardest, radius)
        return True

    def _lowered(self, climb: Climb, radius: float) -> bool:
        """Whether slopes of one condition are found."""
        values: list[float] = []
        while len(values) < PATIENCE and not self.deadline.passed:
            corners = self.net.corners(radius, climb.slopes, self.deadline)
            if not corners.complete:
                return False
            values.append(climb.step(corners))
            if values[-1] < 0.0:
                climb.rest()
                return True
            left = PATIENCE - len(values)
            if len(values) > LOOK_BACK:
                gain = (values[-1 - LOOK_BACK] - values[-1]) / LOOK_BACK
                if gain * left < values[-1]:
                    return False
        return False

    def _others(self, others: Sequence[int], lead: Climb, radius: float) -> list[int]:
        """Those alternatives which the slopes of another, below the logits, leave open."""
        corners, left = self.net.corners(radius, lead.slopes, NEVER), []
        for index in others:
            climb = self.climbs[index]
            found, _ = corners.conditions(climb.matrix, climb.rhs, climb.slopes)
            if not found[0] < 0.0:
                left.append(index)
                climb.follow(lead, len(corners.layers))
        return left
