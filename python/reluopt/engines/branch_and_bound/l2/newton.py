"""Newton steps of the interior point method: steps 1 and 2 of :mod:`interior`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.l2.algebra import (
    backward_solve,
    cholesky,
    forward_solve,
    forward_solve_columns,
    gram,
    inverse_from_factor,
    product,
    times,
    times_transposed,
)
from reluopt.engines.branch_and_bound.l2.iterate import Iterate, Residuals
from reluopt.engines.branch_and_bound.l2.program import Curvature, Program
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.jit import apart, search_kernel

RIDGE = 1e-13
"""Added to diagonals of the Newton systems, against parallel rows and unused variables."""


class Factors(NamedTuple):
    """What one Newton step factorises."""

    ok: bool
    inverse_diagonal: FloatArray
    scaled_basis: FloatMatrix
    inverse_gram: FloatMatrix
    system: FloatMatrix
    gradients: FloatMatrix
    half_solved: FloatMatrix
    derivative: FloatMatrix
    theta_system: FloatMatrix
    inverse_reduced: FloatMatrix


@apart
@search_kernel
def factorise(program: Program, it: Iterate, shape: Curvature, res: Residuals) -> Factors:
    """Eliminate pixels, then y and x, then factorise the system of theta."""
    u, r, m = program.cap.size, program.basis.shape[0], it.theta.size
    p = r + u
    diagonal = np.empty(it.delta.size)
    for j in range(diagonal.size):
        diagonal[j] = 1.0 / (
            2.0
            + it.delta_low[j] / (it.delta[j] - program.low[j])
            + it.delta_high[j] / (program.high[j] - it.delta[j])
        )
    scaled = program.basis * diagonal
    inverse = gram(program.basis, diagonal)
    for i in range(r):
        inverse[i, i] *= 1.0 + RIDGE
    ok = cholesky(inverse)
    inverse = inverse_from_factor(inverse)
    weight = it.z / it.slack
    rows = np.empty((p, it.z.size))
    for k in range(it.z.size):
        for i in range(r):
            rows[i, k] = program.rows_y[k, i]
        for i in range(u):
            rows[r + i, k] = program.rows_x[k, i]
    system = gram(rows, weight)
    for i in range(r):
        for j in range(r):
            system[i, j] += inverse[i, j]
    for i in range(u):
        for j in range(r):
            system[r + i, j] += shape.cross[i, j]
            system[j, r + i] += shape.cross[i, j]
        for j in range(u):
            system[r + i, r + j] += shape.on_x[i, j]
        system[r + i, r + i] += (
            RIDGE + it.x_low[i] / it.x[i] + it.x_high[i] / (program.cap[i] - it.x[i])
        )
    ok = ok and cholesky(system)
    by_term = np.empty((m, p))
    for k in range(m):
        i = program.term_at[k]
        for j in range(r):
            by_term[k, j] = it.x[i] * program.term_y[k, j]
        for j in range(u):
            by_term[k, r + j] = it.x[i] * program.term_x[k, j]
        by_term[k, r + i] += res.forms[k]
    gradients = by_term.T.copy()
    half = gradients.copy()
    reduced = shape.reduced.copy()
    ok = ok and cholesky(reduced)
    derivative = program.term_x - 0.5 * product(program.term_y, shape.cross.T.copy())
    if not ok:
        return Factors(
            False, diagonal, scaled, inverse, system, gradients, half, derivative, half, reduced
        )
    inverse_reduced = inverse_from_factor(reduced)
    forward_solve_columns(system, half)
    theta_system = _theta_system(program, it, half, derivative, inverse_reduced)
    ok = cholesky(theta_system)
    return Factors(
        ok,
        diagonal,
        scaled,
        inverse,
        system,
        gradients,
        half,
        derivative,
        theta_system,
        inverse_reduced,
    )


@search_kernel
def _theta_system(
    program: Program,
    it: Iterate,
    half: FloatArray,
    derivative: FloatArray,
    inverse: FloatArray,
) -> FloatArray:
    """Step 2 of :mod:`interior`."""
    u, m = program.cap.size, it.theta.size
    system = product(half.T.copy(), half)
    by_moment = product(derivative, it.moment)
    by_inverse = product(derivative, inverse)
    both_moment = product(by_moment, derivative.T.copy())
    both_inverse = product(by_inverse, derivative.T.copy())
    for k in range(m):
        a = program.term_at[k]
        for j in range(k + 1):
            b = program.term_at[j]
            value = by_moment[k, b] * by_inverse[j, a] + by_moment[j, a] * by_inverse[k, b]
            value += both_moment[k, j] * inverse[a, b]
            value += it.moment[a, b] * (both_inverse[k, j] + program.parallel[k, j])
            system[k, j] += value
        system[k, k] += RIDGE
        if k >= u:
            system[k, k] += it.room[k] / it.theta[k]
    return system


@apart
@search_kernel
def direction(
    program: Program,
    it: Iterate,
    shape: Curvature,
    res: Residuals,
    fac: Factors,
    target: float,
    last: Iterate,
    corrected: bool,
) -> Iterate:
    """Newton direction towards complementarity ``target``.

    ``last`` is the predictor's direction, whose second-order terms are corrected for when
    ``corrected`` is set.
    """
    r, u = program.basis.shape[0], program.cap.size
    second = 1.0 if corrected else 0.0
    below, above = it.delta - program.low, program.high - it.delta
    down = (target - second * last.delta * last.delta_low) / below - it.delta_low
    up = (target + second * last.delta * last.delta_high) / above - it.delta_high
    x_above = program.cap - it.x
    x_down = (target - second * last.x * last.x_low) / it.x - it.x_low
    x_up = (target + second * last.x * last.x_high) / x_above - it.x_high
    weight = it.z / it.slack
    zeta = (target - second * last.slack * last.z) / it.slack - it.z + weight * res.rows
    # Gradients still contain no pull of the limits: subtract what the limits pull now.
    right_delta = -(res.gradient_delta - it.delta_low + it.delta_high) + down - up
    right_x = -(res.gradient_x - it.x_low + it.x_high) + x_down - x_up
    right = np.empty(r + u)
    start = times(fac.inverse_gram, times(fac.scaled_basis, right_delta))
    pull_y = times_transposed(program.rows_y, zeta)
    pull_x = times_transposed(program.rows_x, zeta)
    for i in range(r):
        right[i] = start[i] - pull_y[i]
    for i in range(u):
        right[r + i] = right_x[i] - pull_x[i]
    half_step = right.copy()
    forward_solve(fac.system, half_step)
    matrix_target = target * fac.inverse_reduced
    if corrected:
        matrix_target -= _second_order(program, fac, last)
    theta = res.terms + times_transposed(fac.half_solved, half_step)
    for k in range(theta.size):
        i = program.term_at[k]
        value = 0.0
        for j in range(u):
            value += fac.derivative[k, j] * matrix_target[j, i]
        theta[k] += 2.0 * value
        if k >= u:
            theta[k] += (target - second * last.room[k] * last.theta[k]) / it.theta[k]
    forward_solve(fac.theta_system, theta)
    backward_solve(fac.theta_system, theta)
    right -= times(fac.gradients, theta)
    forward_solve(fac.system, right)
    backward_solve(fac.system, right)
    step_y, x = right[:r].copy(), right[r:].copy()
    moved = times(program.rows_y, step_y) + times(program.rows_x, x)
    z = zeta + weight * moved
    bent = np.empty(theta.size)
    room = np.zeros(theta.size)
    for k in range(theta.size):
        bent[k] = it.x[program.term_at[k]] * theta[k]
        if k >= u:
            room[k] = (target - second * last.room[k] * last.theta[k]) / it.theta[k]
            room[k] -= it.room[k] + it.room[k] / it.theta[k] * theta[k]
    pull = times_transposed(program.rows_y, z) + times_transposed(shape.cross, x)
    pull += times_transposed(program.term_y, bent)
    delta = fac.inverse_diagonal * (right_delta - times_transposed(program.basis, pull))
    change = _matrix_change(program, fac, theta)
    shrink = product(product(it.moment, change), fac.inverse_reduced)
    moment = matrix_target - it.moment - 0.5 * (shrink + shrink.T)
    return Iterate(
        delta,
        x,
        -res.rows - moved,
        z,
        down - it.delta_low / below * delta,
        up + it.delta_high / above * delta,
        x_down - it.x_low / it.x * x,
        x_up + it.x_high / x_above * x,
        theta,
        room,
        moment,
    )


@apart
@search_kernel
def _matrix_change(program: Program, fac: Factors, theta: FloatArray) -> FloatMatrix:
    """First-order change of M for a change of theta."""
    u = program.cap.size
    change = np.zeros((u, u))
    for k in range(theta.size):
        i = program.term_at[k]
        for j in range(u):
            value = fac.derivative[k, j] * theta[k]
            change[i, j] += value
            change[j, i] += value
    return change


@search_kernel
def _second_order(program: Program, fac: Factors, last: Iterate) -> FloatArray:
    """Symmetric part of ``dY dM inverse(M)`` of the predictor."""
    change = _matrix_change(program, fac, last.theta)
    bend = product(product(last.moment, change), fac.inverse_reduced)
    return 0.5 * (bend + bend.T)
