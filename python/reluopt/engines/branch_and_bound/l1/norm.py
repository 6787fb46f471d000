"""How L1 is searched; see :class:`~reluopt.engines.branch_and_bound.norm_search.NormSearch`."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.events import TreeEvents
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1 import squeezing
from reluopt.engines.branch_and_bound.l1.ball import RowBall, make_row_ball
from reluopt.engines.branch_and_bound.l1.branching import PseudoCosts
from reluopt.engines.branch_and_bound.l1.leaves import L1_PARTS, L1Check, L1Prover
from reluopt.engines.branch_and_bound.l1.tree import L1Tree
from reluopt.engines.branch_and_bound.leaf import LeafCheck, Prover
from reluopt.engines.branch_and_bound.norm_search import GrowingTree, NormSearch, Squeezer
from reluopt.engines.branch_and_bound.search import Search
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import LogitConditions

BEYOND = 1.0 + 1e-9
"""A radius must exceed the sum of all rooms by this factor to hold the whole box."""


class L1Search:
    """Ball rows, linear relaxations, and a depth-first tree with strong branching."""

    parts = L1_PARTS

    def ball(self, frame: Frame, radius: float, lower: FloatArray, upper: FloatArray) -> RowBall:
        """Bounds and rows over a ball."""
        return make_row_ball(frame, radius, lower, upper)

    def objective_outside(self, frame: Frame, radius: float) -> float:
        """The radius, unless the ball holds the whole box."""
        reach = np.maximum(np.abs(frame.inputs.low), np.abs(frame.inputs.high))
        return math.inf if radius > reach.sum() * BEYOND else radius

    def tree(
        self,
        search: Search,
        alternative: int,
        ball: Ball,
        events: TreeEvents,
        before: GrowingTree | None,
    ) -> GrowingTree:
        """A tree that knows the pseudo-costs of the one before."""
        costs = before.costs if isinstance(before, L1Tree) else PseudoCosts(search.frame.hidden)
        return L1Tree(search, alternative, cast("RowBall", ball), costs, events)

    def squeezer(self, frame: Frame) -> Squeezer | None:
        """Bounds by linear programs, for deep networks."""
        return squeezing if len(frame.network.hidden_sizes) >= squeezing.LEAST_LAYERS else None

    def check(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> LeafCheck:
        """Lagrangian bounds."""
        return L1Check(frame, conditions, cast("RowBall", ball))

    def prover(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> Prover:
        """Linear programs."""
        return L1Prover(frame, conditions, cast("RowBall", ball))


SEARCH: NormSearch = L1Search()
