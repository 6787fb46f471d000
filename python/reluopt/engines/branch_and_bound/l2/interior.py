r"""Primal-dual interior point method for the program of a node, multipliers theta included.

The saddle point problem :math:`\max_\theta \min_{\delta, x}` of :mod:`program` is solved in
one go. Its optimality conditions are those of a convex quadratic program in
:math:`(\delta, x)`, and for every term with :math:`Y \succeq 0` the dual matrix of
:math:`M(\theta) \succeq 0`

.. math:: g_k(\delta, x) + \langle Y, \partial_k M(\theta) \rangle + w_k = 0, \qquad
          M(\theta) Y = \tau I, \quad w_k \theta_k = \tau \text{ (one-sided; else } w_k = 0),

with :math:`\partial_k M = e_{i(k)} \tilde f_k^\top + \tilde f_k e_{i(k)}^\top`,
:math:`\tilde f_k = f_k - \tfrac12 G p_k`. One Newton step (Mehrotra's predictor and corrector 1992;
for the matrix the direction of Helmberg, Rendl, Vanderbei and Wolkowicz 1996) eliminates

1. the pixels, whose Hessian is diagonal, which leaves :math:`y` and :math:`x`: a system
   :math:`\begin{pmatrix} S^{-1} & G^\top \\ G & K + D \end{pmatrix} + A^\top \Sigma A` with
   :math:`S = Q E^{-1} Q^\top`, :math:`E` the pixels' diagonal;
2. these, which leaves theta: :math:`J \mathcal{K}^{-1} J^\top + T` with :math:`J` the gradients of
   the terms and :math:`T_{kl} = \langle \partial_k M, Y \partial_l M M^{-1} \rangle
   + p_k^\top p_l\, Y_{i(k) i(l)}` (+ :math:`w_k / \theta_k` on the diagonal).

Points and bounds are in :mod:`iterate`, Newton steps in :mod:`newton`. Every iterate gives a
lower bound (:func:`iterate.estimate`); the method stops as soon as it reaches the cutoff. It is
a search: what is believed of it is what :mod:`certificate` recomputes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.l2.iterate import (
    Iterate,
    Residuals,
    advance,
    complementarity,
    estimate,
    longest_step,
    residuals_at,
)
from reluopt.engines.branch_and_bound.l2.newton import direction, factorise
from reluopt.engines.branch_and_bound.l2.program import QuadraticProgram, curvature
from reluopt.numerics.jit import part, search_kernel

SOLVED, CUT_OFF, OUT_OF_STEPS, TROUBLE = 0, 1, 2, 3
"""What :func:`solve_program` returns."""

BACK_OFF = 0.99
"""Share of the step to the boundary that is taken."""

ROW_TOLERANCE = 1e-8
"""Rows (of length 1) count as met within iterate."""

LOOSE_TOLERANCE = 1e-4
"""The same when the cutoff is far away and the node will be branched on."""

SMALLEST_STEP = 1e-7
"""A shorter step means that rounding has taken over."""

SMALLEST_PRODUCT = 1e-14
"""Complementarity below it cannot be reduced any further."""

LEAST_OBJECTIVE = 1e-3
"""Gaps are relative to objectives of at least this; smaller ones are solved in units of theirs."""

LEAST_CENTRING = 1e-6
"""Complementarity is never aimed at by more than this factor below where it is."""

STEADY_CENTRING = 0.3
"""This factor is aimed at where :attr:`Effort.slackness` ends programs that miss their goal:
products that become small before rows and terms are met leave springs that tell nothing
(:data:`SLACKNESS`). What the predictor leaves would ask for more in the first steps alone."""

EARLY = 6.0
"""A gap is wide that exceeds the objective by this factor."""

SHORT_STEP, SHORT_CENTRING = 0.5, 0.1
"""Where the predictor runs into a limit before the first, at least the second share is aimed at."""

SLACKNESS = 3.0
"""A program that is branched on in any case ends at a gap of this share of what is missing: phases,
products and weights that are chosen far from the end make smaller trees than those at the optimum,
where what tells neurons apart is nearly singular."""

WIDEST = 0.2
"""Nor do they end at a gap above this share of their objective, which at roots is less than what
:data:`SLACKNESS` allows: the bound is what is known if time ends the search."""


class Effort(NamedTuple):
    """When the method stops before it reaches its goal.

    Attributes:
        steps: after so many steps.
        tolerance: at this relative gap.
        slackness: at a gap of this share of what is missing to the goal, within :data:`WIDEST`;
            where it is not 0, :data:`STEADY_CENTRING` is aimed at.
    """

    steps: int
    tolerance: float
    slackness: float


class InteriorPoint(NamedTuple):
    """How the method ended.

    Attributes:
        bound: the best one.
        objective: at the iterate that has it.
        best: this iterate.
        early: the last one whose gap was wide, or one of the first two; programs much like this one
            may start there.
        status: ``SOLVED``, ``CUT_OFF``, ``OUT_OF_STEPS`` or ``TROUBLE``.
        steps: Newton steps taken.
    """

    bound: float
    objective: float
    best: Iterate
    early: Iterate
    status: int
    steps: int


@search_kernel
def solve_program(
    program: QuadraticProgram, start: Iterate, cutoff: float, effort: Effort
) -> InteriorPoint:
    """Solve a program.

    Args:
        program: the program.
        start: strictly inside all limits; rows may be violated.
        cutoff: stop once the estimate of the bound reaches it.
        effort: when to stop otherwise.
    """
    iterate = start
    count = iterate.z.size + 2 * iterate.delta.size + 2 * program.cap.size + iterate.theta.size
    best, early, best_bound, objective = iterate, iterate, -np.inf, np.inf
    steady = effort.slackness > 0.0
    status, steps = OUT_OF_STEPS, 0
    for steps in range(effort.steps):
        shape = curvature(program, iterate.theta)
        residuals = residuals_at(program, iterate, shape)
        bound = estimate(program, iterate, residuals)
        if bound > best_bound:
            best, best_bound, objective = iterate, bound, residuals.objective
        size = max(LEAST_OBJECTIVE, abs(residuals.objective))
        wide = residuals.objective - best_bound >= EARLY * size
        if steps <= 1 or wide:
            early = iterate
        if best_bound >= cutoff:
            status = CUT_OFF
            break
        average = complementarity(program, iterate, shape.reduced) / count
        if _is_solved(residuals, best_bound, average, cutoff, effort):
            status = SOLVED
            break
        factors = factorise(program, iterate, shape, residuals)
        if not factors.ok:
            status = TROUBLE
            break
        # Predictor: towards no complementarity at all. Its second-order terms correct the move.
        guess = direction(program, iterate, shape, residuals, factors, 0.0, iterate, False)
        share = STEADY_CENTRING if steady else _centring(program, iterate, guess, count * average)
        target = share * average
        move = direction(program, iterate, shape, residuals, factors, target, guess, True)
        step = min(1.0, BACK_OFF * longest_step(program, iterate, move))
        if not step > SMALLEST_STEP:
            status = TROUBLE
            break
        iterate = advance(iterate, move, step)
    return InteriorPoint(best_bound, objective, best, early, status, steps)


@part
def _is_solved(
    residuals: Residuals, best_bound: float, average: float, cutoff: float, effort: Effort
) -> bool:
    """Whether rows and gap are as small as was asked, or cannot become any smaller."""
    worst = np.abs(residuals.rows).max() if residuals.rows.size > 0 else 0.0
    difference = abs(residuals.objective - best_bound)  # a bound above: rows that cannot be met
    close = difference < effort.tolerance * max(LEAST_OBJECTIVE, abs(residuals.objective))
    missing = effort.slackness * (cutoff - residuals.objective)
    missing = min(missing, WIDEST * abs(residuals.objective))  # NaN (no cutoff) ends nothing
    if worst < LOOSE_TOLERANCE and difference < missing:
        return True
    return (worst < ROW_TOLERANCE and close) or average < SMALLEST_PRODUCT


@part
def _centring(program: QuadraticProgram, iterate: Iterate, guess: Iterate, total: float) -> float:
    """Share of complementarity to aim at, for what the predictor leaves of it (Mehrotra)."""
    step = longest_step(program, iterate, guess)
    ahead = advance(iterate, guess, step)
    left = complementarity(program, ahead, curvature(program, ahead.theta).reduced)
    least = SHORT_CENTRING if step < SHORT_STEP else LEAST_CENTRING
    share: float = max((left / total) ** 3, least)
    return share
