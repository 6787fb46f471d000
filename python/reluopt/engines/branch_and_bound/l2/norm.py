"""How L2 is searched: semidefinite relaxations with products, the lowest bound first."""

from __future__ import annotations

import math

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball, make_ball
from reluopt.engines.branch_and_bound.curved.radius import CurvedForms
from reluopt.engines.branch_and_bound.events import TreeEvents
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l2.leaves import L2_PARTS, L2Check, L2Prover
from reluopt.engines.branch_and_bound.l2.tree import L2Tree
from reluopt.engines.branch_and_bound.norm_search import GrowingTree, NormSearch, Squeezer
from reluopt.engines.branch_and_bound.search import Search
from reluopt.numerics.rounding import ROUNDOFF

BEYOND = 1.0 + 1e-9
"""A squared radius must exceed that of the whole box by this factor to hold all of it."""


def _objective_outside(frame: Frame, radius: float) -> float:
    """The squared radius rounded down, unless the ball holds the whole box."""
    reach = np.maximum(np.abs(frame.inputs.low), np.abs(frame.inputs.high))
    square = radius * radius * (1.0 - 4.0 * ROUNDOFF)
    return math.inf if square > float(reach @ reach) * BEYOND else square


def _tree(
    search: Search, alternative: int, ball: Ball, events: TreeEvents, before: GrowingTree | None
) -> L2Tree:
    """A tree; it follows the incumbent's ball by itself."""
    del before
    return L2Tree(search, alternative, ball, events)


def _squeezer(frame: Frame) -> Squeezer | None:
    """None: nothing is known that would pay."""
    del frame
    return None


SEARCH = NormSearch(
    L2_PARTS,
    make_ball,
    _objective_outside,
    _tree,
    _squeezer,
    L2Check,
    L2Prover,
    heavy=400,
    forms=CurvedForms,
)
