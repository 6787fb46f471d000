"""Points of the interior point method (:mod:`interior`), and how far a step may go.

Everything that is evaluated at a point without solving a system: residuals, the lower bound that
its tangent gives, complementarity, and the longest step along a direction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.l2.algebra import (
    cholesky,
    inverse_from_factor,
    is_positive_definite,
    times,
    times_transposed,
)
from reluopt.engines.branch_and_bound.l2.program import Curvature, QuadraticProgram, curvature
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.jit import apart, search_kernel

START_INSIDE = 0.05
"""The start keeps this share of a pixel's width from its limits; one-sided products and the dual
matrix start at it, too."""

START_X, START_SLACK, START_PULL = 0.3, 0.5, 0.5
"""Where post-activations (as a share of their limit), slacks (at least), and the multipliers of
limits start: objectives are about 1."""

SHORTER, SHORTENINGS = 0.85, 60
"""Steps that a matrix does not allow are shortened by the first, at most so often: to 1e-4."""

MATRIX_MARGIN = 0.98
"""The matrices must stay positive definite up to the step divided by this."""


class Iterate(NamedTuple):
    """Primal and dual variables, or a direction in them.

    Attributes:
        delta, x: primal point.
        slack: of the rows.
        z: multipliers of the rows; ``pull_low`` ... those of the limits of delta and x.
        theta: multipliers of the terms.
        room: ``w`` of one-sided terms (0 for the others).
        moment: ``Y``.
    """

    delta: FloatArray
    x: FloatArray
    slack: FloatArray
    z: FloatArray
    delta_low: FloatArray
    delta_high: FloatArray
    x_low: FloatArray
    x_high: FloatArray
    theta: FloatArray
    room: FloatArray
    moment: FloatMatrix


class Residuals(NamedTuple):
    """Gradients, row residuals and term values at an iterate."""

    gradient_delta: FloatArray
    gradient_x: FloatArray
    rows: FloatArray
    forms: FloatArray
    terms: FloatArray
    objective: float


@apart
@search_kernel
def start_iterate(program: QuadraticProgram, theta: FloatArray) -> Iterate:
    """A strictly interior start; rows may be violated."""
    u, q, n = program.cap.size, program.rhs.size, program.low.size
    width = program.high - program.low
    delta = np.minimum(
        np.maximum(0.0, program.low + START_INSIDE * width), program.high - START_INSIDE * width
    )
    x = START_X * program.cap
    value = times(program.rows_y, times(program.basis, delta)) + times(program.rows_x, x)
    slack = np.maximum(program.rhs - value, START_SLACK)
    room = np.zeros(theta.size)
    for k in range(u, theta.size):
        room[k] = START_INSIDE / theta[k]
    reduced = curvature(program, theta).reduced
    cholesky(reduced)
    moment = START_INSIDE * inverse_from_factor(reduced)
    return Iterate(
        delta,
        x,
        slack,
        np.ones(q),
        np.full(n, START_PULL),
        np.full(n, START_PULL),
        np.full(u, START_PULL),
        np.full(u, START_PULL),
        theta.copy(),
        room,
        moment,
    )


@apart
@search_kernel
def residuals_at(program: QuadraticProgram, iterate: Iterate, shape: Curvature) -> Residuals:
    """Everything that is evaluated at an iterate."""
    y = times(program.basis, iterate.delta)
    forms = times(program.term_x, iterate.x) + times(program.term_y, y) + program.term_c
    gradient_x = (
        times(shape.on_x, iterate.x)
        + times(shape.cross, y)
        + times_transposed(program.rows_x, iterate.z)
    )
    terms = np.empty(forms.size)
    objective = 0.0
    for j in range(iterate.delta.size):
        objective += iterate.delta[j] * (iterate.delta[j] + 2.0 * program.tilt)
    for k in range(forms.size):
        gradient_x[program.term_at[k]] += iterate.theta[k] * program.term_c[k]
        terms[k] = iterate.x[program.term_at[k]] * forms[k]
        objective += iterate.theta[k] * terms[k]
    pull = times_transposed(program.rows_y, iterate.z) + times_transposed(shape.cross, iterate.x)
    gradient_delta = 2.0 * (iterate.delta + program.tilt) + times_transposed(program.basis, pull)
    rows = times(program.rows_y, y) + times(program.rows_x, iterate.x) + iterate.slack - program.rhs
    return Residuals(gradient_delta, gradient_x, rows, forms, terms, objective)


@search_kernel
def estimate(program: QuadraticProgram, iterate: Iterate, residuals: Residuals) -> float:
    """Lower bound at an iterate (up to rounding): its tangent, minimised over the limits."""
    bound = residuals.objective
    for k in range(iterate.z.size):
        bound += iterate.z[k] * (residuals.rows[k] - iterate.slack[k])
    for j in range(iterate.delta.size):
        slope = residuals.gradient_delta[j]
        bound += min(
            slope * (program.low[j] - iterate.delta[j]),
            slope * (program.high[j] - iterate.delta[j]),
        )
    for i in range(iterate.x.size):
        slope = residuals.gradient_x[i]
        bound += min(-slope * iterate.x[i], slope * (program.cap[i] - iterate.x[i]))
    return bound


@search_kernel
def complementarity(program: QuadraticProgram, iterate: Iterate, reduced: FloatMatrix) -> float:
    """Sum of all products that go to zero."""
    total = 0.0
    for k in range(iterate.z.size):
        total += iterate.slack[k] * iterate.z[k]
    for j in range(iterate.delta.size):
        total += iterate.delta_low[j] * (iterate.delta[j] - program.low[j])
        total += iterate.delta_high[j] * (program.high[j] - iterate.delta[j])
    for i in range(iterate.x.size):
        total += iterate.x_low[i] * iterate.x[i] + iterate.x_high[i] * (
            program.cap[i] - iterate.x[i]
        )
        for j in range(iterate.x.size):
            total += iterate.moment[i, j] * reduced[i, j]
    for k in range(iterate.x.size, iterate.theta.size):
        total += iterate.room[k] * iterate.theta[k]
    return total


@apart
@search_kernel
def unevenness(program: QuadraticProgram, iterate: Iterate) -> float:
    """Gap between objective and bound in terms of the products: 1 where rows and terms are met."""
    shape = curvature(program, iterate.theta)
    residuals = residuals_at(program, iterate, shape)
    gap = residuals.objective - estimate(program, iterate, residuals)
    return gap / complementarity(program, iterate, shape.reduced)


@search_kernel
def _limit(step: float, value: FloatArray, change: FloatArray) -> float:
    """Longest step that keeps ``value + step * change >= 0``."""
    for i in range(value.size):
        if change[i] < 0.0 and value[i] + step * change[i] < 0.0:
            step = -value[i] / change[i]
    return step


@apart
@search_kernel
def longest_step(program: QuadraticProgram, iterate: Iterate, move: Iterate) -> float:
    """Longest step, at most 1, that keeps everything non-negative."""
    u = program.cap.size
    step = _limit(1.0, iterate.slack, move.slack)
    step = _limit(step, iterate.z, move.z)
    step = _limit(step, iterate.delta - program.low, move.delta)
    step = _limit(step, program.high - iterate.delta, -move.delta)
    step = _limit(step, iterate.delta_low, move.delta_low)
    step = _limit(step, iterate.delta_high, move.delta_high)
    step = _limit(step, iterate.x, move.x)
    step = _limit(step, program.cap - iterate.x, -move.x)
    step = _limit(step, iterate.x_low, move.x_low)
    step = _limit(step, iterate.x_high, move.x_high)
    step = _limit(step, iterate.theta[u:], move.theta[u:])
    step = _limit(step, iterate.room[u:], move.room[u:])
    for _ in range(SHORTENINGS):
        if is_positive_definite(iterate.moment + step / MATRIX_MARGIN * move.moment):
            break
        step *= SHORTER
    for _ in range(SHORTENINGS):
        shape = curvature(program, iterate.theta + step / MATRIX_MARGIN * move.theta)
        if is_positive_definite(shape.reduced):
            break
        step *= SHORTER
    return step


@apart
@search_kernel
def advance(iterate: Iterate, move: Iterate, step: float) -> Iterate:
    """The iterate after a step."""
    return Iterate(
        iterate.delta + step * move.delta,
        iterate.x + step * move.x,
        iterate.slack + step * move.slack,
        iterate.z + step * move.z,
        iterate.delta_low + step * move.delta_low,
        iterate.delta_high + step * move.delta_high,
        iterate.x_low + step * move.x_low,
        iterate.x_high + step * move.x_high,
        iterate.theta + step * move.theta,
        iterate.room + step * move.room,
        iterate.moment + step * move.moment,
    )
