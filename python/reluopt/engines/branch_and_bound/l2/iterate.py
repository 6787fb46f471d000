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
from reluopt.engines.branch_and_bound.l2.program import Curvature, Program, curvature
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.jit import apart, search_kernel

MATRIX_MARGIN = 0.98
"""The matrices must stay positive definite up to the step divided by this."""


class Iterate(NamedTuple):
    """Primal and dual variables, all written in place.

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
def start_iterate(program: Program, theta: FloatArray) -> Iterate:
    """A strictly interior start; rows may be violated."""
    u, q, n = program.cap.size, program.rhs.size, program.low.size
    width = program.high - program.low
    delta = np.minimum(np.maximum(0.0, program.low + 0.05 * width), program.high - 0.05 * width)
    x = 0.3 * program.cap
    value = times(program.rows_y, times(program.basis, delta)) + times(program.rows_x, x)
    slack = np.maximum(program.rhs - value, 0.5)
    room = np.zeros(theta.size)
    for k in range(u, theta.size):
        room[k] = 0.05 / theta[k]
    reduced = curvature(program, theta).reduced
    cholesky(reduced)
    moment = 0.05 * inverse_from_factor(reduced)
    return Iterate(
        delta,
        x,
        slack,
        np.ones(q),
        np.full(n, 0.5),
        np.full(n, 0.5),
        np.full(u, 0.5),
        np.full(u, 0.5),
        theta.copy(),
        room,
        moment,
    )


@apart
@search_kernel
def residuals_at(program: Program, it: Iterate, shape: Curvature) -> Residuals:
    """Everything that is evaluated at an iterate."""
    y = times(program.basis, it.delta)
    forms = times(program.term_x, it.x) + times(program.term_y, y) + program.term_c
    gradient_x = (
        times(shape.on_x, it.x) + times(shape.cross, y) + times_transposed(program.rows_x, it.z)
    )
    terms = np.empty(forms.size)
    objective = 0.0
    for j in range(it.delta.size):
        objective += it.delta[j] * (it.delta[j] + 2.0 * program.tilt)
    for k in range(forms.size):
        gradient_x[program.term_at[k]] += it.theta[k] * program.term_c[k]
        terms[k] = it.x[program.term_at[k]] * forms[k]
        objective += it.theta[k] * terms[k]
    pull = times_transposed(program.rows_y, it.z) + times_transposed(shape.cross, it.x)
    gradient_delta = 2.0 * (it.delta + program.tilt) + times_transposed(program.basis, pull)
    rows = times(program.rows_y, y) + times(program.rows_x, it.x) + it.slack - program.rhs
    return Residuals(gradient_delta, gradient_x, rows, forms, terms, objective)


@search_kernel
def estimate(program: Program, it: Iterate, res: Residuals) -> float:
    """Lower bound at an iterate (up to rounding): its tangent, minimised over the limits."""
    bound = res.objective
    for k in range(it.z.size):
        bound += it.z[k] * (res.rows[k] - it.slack[k])
    for j in range(it.delta.size):
        slope = res.gradient_delta[j]
        bound += min(
            slope * (program.low[j] - it.delta[j]), slope * (program.high[j] - it.delta[j])
        )
    for i in range(it.x.size):
        slope = res.gradient_x[i]
        bound += min(-slope * it.x[i], slope * (program.cap[i] - it.x[i]))
    return bound


@search_kernel
def complementarity(program: Program, it: Iterate, reduced: FloatMatrix) -> float:
    """Sum of all products that go to zero."""
    total = 0.0
    for k in range(it.z.size):
        total += it.slack[k] * it.z[k]
    for j in range(it.delta.size):
        total += it.delta_low[j] * (it.delta[j] - program.low[j])
        total += it.delta_high[j] * (program.high[j] - it.delta[j])
    for i in range(it.x.size):
        total += it.x_low[i] * it.x[i] + it.x_high[i] * (program.cap[i] - it.x[i])
        for j in range(it.x.size):
            total += it.moment[i, j] * reduced[i, j]
    for k in range(it.x.size, it.theta.size):
        total += it.room[k] * it.theta[k]
    return total


@search_kernel
def _limit(step: float, value: FloatArray, change: FloatArray) -> float:
    """Longest step that keeps ``value + step * change >= 0``."""
    for i in range(value.size):
        if change[i] < 0.0 and value[i] + step * change[i] < 0.0:
            step = -value[i] / change[i]
    return step


@apart
@search_kernel
def longest_step(program: Program, it: Iterate, move: Iterate) -> float:
    """Longest step, at most 1, that keeps everything non-negative."""
    u = program.cap.size
    step = _limit(1.0, it.slack, move.slack)
    step = _limit(step, it.z, move.z)
    step = _limit(step, it.delta - program.low, move.delta)
    step = _limit(step, program.high - it.delta, -move.delta)
    step = _limit(step, it.delta_low, move.delta_low)
    step = _limit(step, it.delta_high, move.delta_high)
    step = _limit(step, it.x, move.x)
    step = _limit(step, program.cap - it.x, -move.x)
    step = _limit(step, it.x_low, move.x_low)
    step = _limit(step, it.x_high, move.x_high)
    step = _limit(step, it.theta[u:], move.theta[u:])
    step = _limit(step, it.room[u:], move.room[u:])
    for _ in range(60):
        if is_positive_definite(it.moment + step / MATRIX_MARGIN * move.moment):
            break
        step *= 0.85
    for _ in range(60):
        shape = curvature(program, it.theta + step / MATRIX_MARGIN * move.theta)
        if is_positive_definite(shape.reduced):
            break
        step *= 0.85
    return step


@apart
@search_kernel
def advance(it: Iterate, move: Iterate, step: float) -> Iterate:
    """The iterate after a step."""
    return Iterate(
        it.delta + step * move.delta,
        it.x + step * move.x,
        it.slack + step * move.slack,
        it.z + step * move.z,
        it.delta_low + step * move.delta_low,
        it.delta_high + step * move.delta_high,
        it.x_low + step * move.x_low,
        it.x_high + step * move.x_high,
        it.theta + step * move.theta,
        it.room + step * move.room,
        it.moment + step * move.moment,
    )
