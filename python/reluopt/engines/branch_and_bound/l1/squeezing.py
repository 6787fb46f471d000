"""What is done for deep networks, whose roots are weak: smaller balls, and bounds by programs.

:func:`proven_radius`. Bounds over a ball get much better as it shrinks. If the relaxation over the
ball of radius r has the bound v, then every input that meets the conditions is at a distance of at
least ``min(r, v)``: it lies outside of the ball, or inside with that bound. That says nothing about
the rest of the incumbent's ball, so it makes the tree no smaller, but the proven bound of a search
that does not end is half the objective instead of nothing.

:func:`squeezed`. Rounds of :meth:`~.relaxation.LPRelaxation.squeeze`, each with new ball rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball, make_ball
from reluopt.engines.branch_and_bound.l1.relaxation import ROOT_PIVOTS, LPRelaxation
from reluopt.engines.branch_and_bound.search import Search
from reluopt.numerics.arrays import FloatArray

LEAST_LAYERS = 3
"""Hidden layers of networks that gain. With two, ball rows leave little to find: the trees of
``thesis-96`` kept their size, at nearly twice the time."""

MAX_ROUNDS = 12
"""Most rounds."""

WORTH_ANOTHER = 0.9
"""Another round needs the last one to have brought the sum of all bounds below this share."""


HALVINGS = 6
"""Balls that are tried; the last two move the bound by less than 4 %."""


def proven_radius(search: Search, alternatives: Iterable[int]) -> float:
    """A distance below which no input meets any of the alternatives, 0 if none is found."""
    least, most = 0.0, search.radius
    order = list(alternatives)
    neurons = search.frame.flat.biases.size
    unknown = np.full(neurons, np.inf)
    for _ in range(HALVINGS):
        radius = 0.5 * (least + most)
        ball = make_ball(search.frame, radius, -unknown, unknown)
        for place, alternative in enumerate(order):
            bound = _root_bound(search, alternative, ball)
            if bound < radius:
                order.insert(0, order.pop(place))  # the next, smaller ball may fail there again
                most = radius
                break
            if search.out_of_time:
                return least
        else:
            least = radius
    return least


def _root_bound(search: Search, alternative: int, ball: Ball) -> float:
    """Proven bound of one alternative inside of a ball."""
    if ball.empty:
        return math.inf
    frame, hidden = search.frame, int(search.frame.flat.neuron_offsets[-2])
    relaxation = LPRelaxation(frame, frame.task.alternatives[alternative].conditions, ball)
    relaxation.set_bounds(ball.lower[:hidden], ball.upper[:hidden])
    return relaxation.solve(ball.radius, ROOT_PIVOTS).bound


def squeezed(search: Search, alternative: int, ball: Ball) -> tuple[Ball, float]:
    """Tighten a ball's bounds to what is of interest for one alternative.

    Returns:
        The ball with bounds and rows of this alternative alone (empty where nothing of interest is
        left), and a proven bound on the alternative's objective.
    """
    frame, hidden = search.frame, int(search.frame.flat.neuron_offsets[-2])
    conditions = frame.task.alternatives[alternative].conditions
    best = 0.0
    for _ in range(MAX_ROUNDS):
        lower, upper = ball.lower.copy(), ball.upper.copy()
        relaxation = LPRelaxation(frame, conditions, ball)
        bound = relaxation.squeeze(
            lower[:hidden], upper[:hidden], search.cutoff, lambda: search.out_of_time
        )
        best = max(best, bound)
        if bound >= search.cutoff:
            return replace(ball, empty=True), math.inf
        before = _open_width(ball.lower[:hidden], ball.upper[:hidden])
        ball = make_ball(frame, ball.radius, lower, upper)
        if ball.empty:
            return ball, math.inf
        after = _open_width(ball.lower[:hidden], ball.upper[:hidden])
        if after > WORTH_ANOTHER * before or search.out_of_time:
            break
    return ball, best


def _open_width(lower: FloatArray, upper: FloatArray) -> float:
    """Sum of the shorter sides of all undecided neurons."""
    return float(np.maximum(np.minimum(-lower, upper), 0.0).sum())
