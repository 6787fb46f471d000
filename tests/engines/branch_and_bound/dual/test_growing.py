"""Boxes grow to where trees take longer than the time that is left, and no box takes it all."""

import itertools
import math
from dataclasses import dataclass, field

import pytest

from helpers.clocks import FakeClock
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual import growing
from reluopt.engines.branch_and_bound.dual.growing import LATE, grow

DISTANCE = 1.0


@dataclass
class Boxes:
    """Boxes of a made-up search, whose trees double with each percent of the radius.

    Attributes:
        easy: radius of which a box takes a second.
        image: distance of an image that boxes hold from a radius on, and that is found at once.
    """

    easy: float
    clock: FakeClock = field(default_factory=FakeClock)
    objective: float = DISTANCE
    image: float = math.inf
    bound: float = 0.0
    nodes: int = 0
    message: str = ""
    seen: list[float] = field(default_factory=list)

    def __post_init__(self):
        self.deadline = Deadline.after(60.0, self.clock)

    @property
    def cutoff(self):
        return self.objective * (1.0 - 1e-6)

    def emptied(self, radius, until):
        self.seen.append(radius)
        if radius >= self.image:
            self.clock.seconds += 0.1
            self.objective, self.image = self.image, math.inf
            return False
        wanted = max(2.0 ** min(100.0 * (radius / self.easy - 1.0), 99.0), 0.01)
        self.clock.seconds += min(wanted, until.left)
        self.nodes += int(100.0 * wanted)
        if until.passed:
            return False
        self.bound = radius
        return True


def test_easy_boxes_leave_the_whole_one():
    boxes = Boxes(2.0)
    assert grow(boxes)
    assert boxes.bound > DISTANCE / 1.5
    assert boxes.deadline.left > 50.0


@pytest.mark.parametrize("easy", [0.02, 0.1, 0.37, 0.5, 0.6])
def test_hard_ones_are_approached(easy):
    boxes = Boxes(easy)
    assert not grow(boxes)
    assert boxes.bound > 1.01 * easy  # of which a tree takes 2 seconds, of 1.06 a minute
    assert boxes.bound < 1.06 * easy
    assert boxes.deadline.passed


def test_a_first_box_that_stays_open_is_followed_by_smaller_ones():
    boxes = Boxes(1e-3)
    assert not grow(boxes)
    assert 1.01e-3 < boxes.bound < 1.06e-3


def test_below_a_whole_box_that_stayed_open_the_others_are_searched():
    boxes = Boxes(0.95)
    assert grow(boxes)
    assert boxes.bound < boxes.cutoff < growing.WIDER * boxes.bound
    boxes.clock.seconds += 20.0
    assert not grow(boxes, boxes.cutoff)
    assert 0.95 < boxes.bound < 1.0


def test_boxes_rise_by_less_behind_a_tree_and_by_more_where_they_are_quick():
    boxes = Boxes(0.5)
    grow(boxes)
    assert boxes.seen[1] == growing.FASTER * boxes.seen[0]
    tree = next(i for i, radius in enumerate(boxes.seen) if radius > 0.49)
    assert boxes.seen[tree + 1] == growing.NARROWER * boxes.seen[tree]
    steps = [b / a for a, b in itertools.pairwise(boxes.seen[: tree + 2])]
    known = (growing.FASTER, growing.WIDER, growing.NARROWER)
    assert all(min(abs(step - each) for each in known) < 1e-12 for step in steps)
    fast = [b for b, step in zip(boxes.seen[1:], steps, strict=False) if step == growing.FASTER]
    assert max(fast) <= growing.HALF * boxes.cutoff < 2.0 * max(fast)


def test_an_image_is_the_next_whole_box():
    boxes = Boxes(2.0, image=0.3)
    assert grow(boxes)
    assert boxes.objective == 0.3
    assert 0.3 / 1.5 < boxes.bound < 0.3


def test_boxes_that_cannot_be_searched_are_left_for_smaller_ones():
    boxes, decided = Boxes(2.0), Boxes.emptied

    def folded(radius, until):
        return radius < 0.3 and decided(boxes, radius, until)

    boxes.emptied = folded
    assert not grow(boxes)
    assert 0.28 < boxes.bound < 0.3


def test_it_ends_where_no_box_can_be_searched():
    boxes = Boxes(2.0)
    boxes.emptied = lambda radius, until: boxes.seen.append(radius)
    assert not grow(boxes)
    assert len(boxes.seen) < 10


def test_it_says_so_when_the_next_box_would_come_too_late():
    boxes = Boxes(2.0)
    boxes.clock.seconds = 59.9
    boxes.emptied = boxes.clock.charge(
        lambda radius, until: setattr(boxes, "bound", radius) or True, 0.06
    )
    assert not grow(boxes)
    assert boxes.message == LATE
    assert not boxes.deadline.passed


def test_without_an_image_the_whole_box_comes_first_and_then_smaller_ones():
    boxes = Boxes(0.2, objective=math.inf)
    assert grow(boxes)
    assert not boxes.seen
    assert not grow(boxes, DISTANCE)
    assert 0.2 < boxes.bound < 0.22
