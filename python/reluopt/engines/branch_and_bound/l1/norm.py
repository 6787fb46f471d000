"""How L1 is searched: ball rows, linear relaxations, depth first with strong branching."""

from __future__ import annotations

import math

import numpy as np

from reluopt.engines.branch_and_bound.corners.radius import CornerForms
from reluopt.engines.branch_and_bound.dual import within_ball
from reluopt.engines.branch_and_bound.events import TreeEvents
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1 import squeezing
from reluopt.engines.branch_and_bound.l1.ball import RowBall, make_row_ball
from reluopt.engines.branch_and_bound.l1.branching import PseudoCosts
from reluopt.engines.branch_and_bound.l1.leaves import L1_PARTS, L1Check, L1Prover
from reluopt.engines.branch_and_bound.l1.tree import L1Tree
from reluopt.engines.branch_and_bound.norm_search import GrowingTree, NormSearch, Squeezer
from reluopt.engines.branch_and_bound.search import Search

BEYOND = 1.0 + 1e-9
"""A radius must exceed the sum of all rooms by this factor to hold the whole box."""


def _objective_outside(frame: Frame, radius: float) -> float:
    """The radius, unless the ball holds the whole box."""
    reach = np.maximum(np.abs(frame.inputs.low), np.abs(frame.inputs.high))
    return math.inf if radius > reach.sum() * BEYOND else radius


def _tree(
    search: Search, alternative: int, ball: RowBall, events: TreeEvents, before: GrowingTree | None
) -> L1Tree:
    """A tree that knows the pseudo-costs of the one before."""
    costs = before.costs if isinstance(before, L1Tree) else PseudoCosts(search.frame.hidden)
    return L1Tree(search, alternative, ball, costs, events)


def _squeezer(frame: Frame) -> Squeezer | None:
    """Bounds by linear programs, for deep networks."""
    return squeezing if len(frame.network.hidden_sizes) >= squeezing.LEAST_LAYERS else None


SEARCH = NormSearch(
    L1_PARTS,
    make_row_ball,
    _objective_outside,
    _tree,
    _squeezer,
    L1Check,
    L1Prover,
    heavy=1500,
    finisher=within_ball,
    forms=CornerForms,
)
