"""How L2 is searched; see :class:`~reluopt.engines.branch_and_bound.norm_search.NormSearch`."""

from __future__ import annotations

import math

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball, make_ball
from reluopt.engines.branch_and_bound.events import TreeEvents
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l2.leaves import L2_PARTS, L2Check, L2Prover
from reluopt.engines.branch_and_bound.l2.tree import L2Tree
from reluopt.engines.branch_and_bound.leaf import LeafCheck, Prover
from reluopt.engines.branch_and_bound.norm_search import GrowingTree, NormSearch, Squeezer
from reluopt.engines.branch_and_bound.search import Search
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.rounding import ROUNDOFF
from reluopt.questions.problems import LogitConditions

BEYOND = 1.0 + 1e-9
"""A squared radius must exceed that of the whole box by this factor to hold all of it."""


class L2Search:
    """Semidefinite relaxations with products, and a tree that takes the lowest bound first."""

    parts = L2_PARTS

    def ball(self, frame: Frame, radius: float, lower: FloatArray, upper: FloatArray) -> Ball:
        """Bounds over a ball."""
        return make_ball(frame, radius, lower, upper)

    def objective_outside(self, frame: Frame, radius: float) -> float:
        """The squared radius rounded down, unless the ball holds the whole box."""
        reach = np.maximum(np.abs(frame.inputs.low), np.abs(frame.inputs.high))
        square = radius * radius * (1.0 - 4.0 * ROUNDOFF)
        return math.inf if square > float(reach @ reach) * BEYOND else square

    def tree(
        self,
        search: Search,
        alternative: int,
        ball: Ball,
        events: TreeEvents,
        before: GrowingTree | None,
    ) -> GrowingTree:
        """A tree; it follows the incumbent's ball by itself."""
        del before
        return L2Tree(search, alternative, ball, events)

    def squeezer(self, frame: Frame) -> Squeezer | None:
        """None: nothing is known that would pay."""
        del frame
        return None

    def check(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> LeafCheck:
        """Quadratic bounds."""
        return L2Check(frame, conditions, ball)

    def prover(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> Prover:
        """Semidefinite relaxations."""
        return L2Prover(frame, conditions, ball)


SEARCH: NormSearch = L2Search()
