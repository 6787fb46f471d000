"""Rounds of :meth:`~.lp_relaxation.LPRelaxation.squeeze`, each with new ball rows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from reluopt.engines.branch_and_bound.ball import Ball, make_ball
from reluopt.engines.branch_and_bound.lp_relaxation import LPRelaxation
from reluopt.engines.branch_and_bound.search import Search
from reluopt.network import FloatArray

LEAST_LAYERS = 3
"""Hidden layers of networks that gain. With two, ball rows leave little to find: the trees of
``thesis-96`` kept their size, at nearly twice the time."""

MAX_ROUNDS = 12
"""Most rounds."""

WORTH_ANOTHER = 0.9
"""Another round needs the last one to have brought the sum of all bounds below this share."""


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
