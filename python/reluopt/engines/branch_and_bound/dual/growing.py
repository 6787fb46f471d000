"""Which boxes are searched before the incumbent's, where a network is folded over each of them.

Most neurons are folded away over small boxes, so that these are searched in a moment, and what is
undecided grows with the radius. Boxes rise until one stays open for its share of the time; then
those between it and the largest empty one come next.
"""

from __future__ import annotations

import math
from typing import Protocol

from reluopt.deadline import Deadline

SMALLEST, WIDER = 1 / 64, 1.4
"""The first radius, as a share of the incumbent's, and the factor of the next ones."""

QUICK, FASTER, HALF = 0.03, 2.0, 0.5
"""Share of the time left that boxes take which tell little of the next, the factor then, and up to
which share of the incumbent's radius."""

TREE, NARROWER = 20, 1.1
"""Nodes of which roots alone are fewer, and the factor behind a box that took more: trees double
with each percent."""

NEARER, SHRUNK, CLOSE, LEAST = 1 / 3, 0.25, 1.02, 1e-4
"""Where the next radius lies between an empty box and one that stays open, in logarithms, as trees
double with each percent; which share of the latter it has at least; when the two are so close that
the open one is given all the time that is left; and a share of the first open one that is too small
to be of use."""

LATE = "the next box is expected to take longer than the time that is left"
"""Message of a search that ends before its time."""

BOX_SHARE = 0.25
"""Share of the time left that such a box may take."""


class Boxes(Protocol):
    """A search for the nearest image.

    Attributes:
        deadline: when to stop.
        bound: the largest radius that is proven to hold nothing.
        nodes: of all boxes so far.
        message: why the search ends before its time, if so.
    """

    deadline: Deadline
    bound: float
    nodes: int
    message: str

    @property
    def objective(self) -> float:
        """Of the incumbent."""
        ...

    @property
    def cutoff(self) -> float:
        """Radius that closes the gap when it holds nothing."""
        ...

    def emptied(self, radius: float, until: Deadline) -> bool:
        """Whether a box is empty, which is reported; an image in it is taken."""
        ...


def _factor(boxes: Boxes, quick: bool) -> float:
    """By what the next radius exceeds that of a box which no tree was needed for."""
    return FASTER if quick and FASTER * boxes.bound <= HALF * boxes.cutoff else WIDER


def grow(boxes: Boxes, *opened: float) -> bool:
    """Search boxes of rising radii below what stays open; whether the whole one comes next.

    It ends where the time that is left would not do for the largest of the rising boxes.
    """
    left, taken, wider = list(opened), 0.0, WIDER
    while boxes.deadline.left > taken:
        start, low, before = boxes.deadline.clock(), boxes.bound, boxes.objective
        nodes = boxes.nodes
        high = left[-1] if left else math.inf
        last, radius = high <= CLOSE * low, max(SMALLEST * boxes.cutoff, wider * low)
        if left:
            between = low ** (1.0 - NEARER) * high**NEARER
            radius = high if last else max(between, SHRUNK * high)
            if not radius > LEAST * left[0]:
                return False
        elif not radius < boxes.cutoff:
            return True
        if boxes.emptied(radius, boxes.deadline if last else boxes.deadline.share(BOX_SHARE)):
            taken = taken if left else boxes.deadline.clock() - start
            quick = taken < QUICK * boxes.deadline.left
            wider = _factor(boxes, quick) if boxes.nodes - nodes < TREE else NARROWER
            left = left[:-1] if last else left
        elif boxes.objective < before:
            left = []
        elif last:
            return False
        else:
            left.append(radius)
    if not boxes.deadline.passed:
        boxes.message = LATE
    return False
