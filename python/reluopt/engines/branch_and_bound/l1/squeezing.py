"""What is done for deep networks, whose roots are weak: smaller balls, and bounds by programs.

:func:`proven_radius`. Bounds over a ball get much better as it shrinks. If the relaxation over the
ball of radius r has the bound v, then every input that meets the conditions is at a distance of at
least ``min(r, v)``: it lies outside of the ball, or inside with that bound. That says nothing about
the rest of the incumbent's ball, so it makes the tree no smaller, but the proven bound of a search
that does not end is half the objective instead of nothing.

:func:`squeezed`. Rounds of :meth:`~.relaxation.L1Relaxation.squeeze`, each with new ball rows.

The module is a :class:`~reluopt.engines.branch_and_bound.norm_search.Squeezer`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball, no_bounds
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1.ball import RowBall, make_row_ball
from reluopt.engines.branch_and_bound.l1.relaxation import ROOT_PIVOTS, L1Relaxation
from reluopt.engines.branch_and_bound.norm_search import GrowingTree
from reluopt.engines.branch_and_bound.search import Search

LEAST_LAYERS = 3
"""Hidden layers of networks that gain. With two, ball rows leave little to find: the trees of
``thesis-96`` kept their size, at nearly twice the time."""

AFTER, WEAK_AFTER = 250, 20
"""Nodes of one alternative after which it is done; the second where the root is weak."""

WEAK_ROOT, WEAK_NEURONS = 0.3, 40
"""A root is weak when its bound is below this share of the cutoff and at least so many neurons are
undecided: such a tree would have thousands of nodes."""

MAX_ROUNDS = 12
"""Most rounds."""

WORTH_ANOTHER = 0.9
"""Another round needs the last one to have brought the sum of all bounds below this share."""

HALVINGS = 6
"""Balls that are tried; the last two move the bound by less than 4 %."""


def patience(search: Search, tree: GrowingTree, root_bound: float) -> int:
    """Nodes to process before bounds are squeezed."""
    node = tree.open[0]
    undecided = np.count_nonzero(search.frame.undecided(node.lower, node.upper))
    weak = root_bound < WEAK_ROOT * search.cutoff and undecided >= WEAK_NEURONS
    return WEAK_AFTER if weak else AFTER


def proven_radius(search: Search, alternatives: Iterable[int]) -> float:
    """A distance below which no input meets any of the alternatives, 0 if none is found."""
    least, most = 0.0, search.radius
    order = list(alternatives)
    for _ in range(HALVINGS):
        radius = 0.5 * (least + most)
        ball = make_row_ball(search.frame, radius, *no_bounds(search.frame))
        for place, alternative in enumerate(order):
            if _root_bound(search.frame, alternative, ball) < radius:
                order.insert(0, order.pop(place))  # the next, smaller ball may fail there again
                most = radius
                break
            if search.out_of_time:
                return least
        else:
            least = radius
    return least


def _root_bound(frame: Frame, alternative: int, ball: RowBall) -> float:
    """Proven bound of one alternative inside of a ball."""
    if ball.empty:
        return math.inf
    relaxation = L1Relaxation(frame, frame.conditions(alternative), ball)
    relaxation.set_bounds(ball.lower, ball.upper)
    return relaxation.solve(ball.radius, ROOT_PIVOTS).bound


def squeezed(search: Search, alternative: int, ball: Ball) -> tuple[RowBall, float]:
    """Tighten a ball's bounds to what is of interest for one alternative.

    Returns:
        The ball with bounds and rows of this alternative alone (empty where nothing of interest is
        left), and a proven bound on the alternative's objective.
    """
    frame, best, now = search.frame, 0.0, cast("RowBall", ball)
    for _ in range(MAX_ROUNDS):
        lower, upper = now.lower.copy(), now.upper.copy()
        relaxation = L1Relaxation(frame, frame.conditions(alternative), now)
        bound = relaxation.squeeze(
            lower[: frame.hidden], upper[: frame.hidden], search.cutoff, lambda: search.out_of_time
        )
        best = max(best, bound)
        if bound >= search.cutoff:
            return replace(now, empty=True), math.inf
        before = _open_width(frame, now)
        now = make_row_ball(frame, now.radius, lower, upper)
        if now.empty:
            return now, math.inf
        if _open_width(frame, now) > WORTH_ANOTHER * before or search.out_of_time:
            break
    return now, best


def _open_width(frame: Frame, ball: Ball) -> float:
    """Sum of the shorter sides of all undecided neurons."""
    shorter = np.minimum(-ball.lower[: frame.hidden], ball.upper[: frame.hidden])
    return float(np.maximum(shorter, 0.0).sum())
