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
    lower_product,
    product,
    times,
    times_transposed,
)
from reluopt.engines.branch_and_bound.l2.iterate import Iterate, Residuals
from reluopt.engines.branch_and_bound.l2.program import Curvature, QuadraticProgram
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.jit import apart, part, search_kernel

RIDGE = 1e-13
"""Added to diagonals of the Newton systems, against parallel rows and unused variables."""


class PrimalFactors(NamedTuple):
    """Of a Newton step what eliminates pixels, y and x.

    Attributes:
        ok: whether there is a step.
        inverse_diagonal: of the pixels.
        scaled_basis: Q times that.
        inverse_gram: ``inverse(S)``.
        system: Cholesky factor of the system in (y, x).
    """

    ok: bool
    inverse_diagonal: FloatArray
    scaled_basis: FloatMatrix
    inverse_gram: FloatMatrix
    system: FloatMatrix


class Factors(NamedTuple):
    """What one Newton step factorises."""

    ok: bool
    primal: PrimalFactors
    gradients: FloatMatrix
    half_solved: FloatMatrix
    derivative: FloatMatrix
    theta_system: FloatMatrix
    inverse_reduced: FloatMatrix


@apart
@search_kernel
def factorise_primal(
    program: QuadraticProgram, iterate: Iterate, shape: Curvature
) -> PrimalFactors:
    """Eliminate pixels, then y and x."""
    r = program.basis.shape[0]
    # E is the pixels' diagonal; S = Q inverse(E) Q^T is what they leave of y.
    diagonal = np.empty(iterate.delta.size)
    for j in range(diagonal.size):
        diagonal[j] = 1.0 / (
            2.0
            + iterate.delta_low[j] / (iterate.delta[j] - program.low[j])
            + iterate.delta_high[j] / (program.high[j] - iterate.delta[j])
        )
    scaled = program.basis * diagonal
    inverse = gram(program.basis, diagonal)
    for i in range(r):
        inverse[i, i] *= 1.0 + RIDGE
    ok = cholesky(inverse)
    inverse = inverse_from_factor(inverse)
    system = _primal_system(program, iterate, shape, inverse)
    ok = ok and cholesky(system)
    return PrimalFactors(ok, diagonal, scaled, inverse, system)


@apart
@search_kernel
def factorise(
    program: QuadraticProgram, iterate: Iterate, shape: Curvature, residuals: Residuals
) -> Factors:
    """Eliminate pixels, then y and x, then factorise the system of theta."""
    primal = factorise_primal(program, iterate, shape)
    # J, by term: how the value of a term changes with y and x.
    by_term = _term_gradients(program, iterate, residuals)
    gradients = by_term.T.copy()
    half = gradients.copy()
    reduced = shape.reduced.copy()
    ok = primal.ok and cholesky(reduced)
    derivative = program.term_x - 0.5 * product(program.term_y, shape.cross.T.copy())
    theta_system = half
    if ok:
        reduced = inverse_from_factor(reduced)
        forward_solve_columns(primal.system, half)
        theta_system = _theta_system(program, iterate, half, derivative, reduced)
        ok = cholesky(theta_system)
    return Factors(ok, primal, gradients, half, derivative, theta_system, reduced)


@part
def _primal_system(
    program: QuadraticProgram, iterate: Iterate, shape: Curvature, inverse: FloatArray
) -> FloatArray:
    """Step 1 of :mod:`interior`: the system in (y, x), ``inverse`` being that of S."""
    u, r = program.cap.size, program.basis.shape[0]
    weight = iterate.z / iterate.slack
    system = gram(program.columns, weight)
    for i in range(r):
        for j in range(i + 1):
            system[i, j] += inverse[i, j]
    for i in range(u):
        for j in range(r):
            system[r + i, j] += shape.cross[i, j]
        for j in range(i + 1):
            system[r + i, r + j] += shape.on_x[i, j]
        system[r + i, r + i] += (
            RIDGE
            + iterate.x_low[i] / iterate.x[i]
            + iterate.x_high[i] / (program.cap[i] - iterate.x[i])
        )
    return system


@part
def _term_gradients(
    program: QuadraticProgram, iterate: Iterate, residuals: Residuals
) -> FloatArray:
    """Gradients of the terms with respect to (y, x), one row each."""
    u, r, m = program.cap.size, program.basis.shape[0], iterate.theta.size
    by_term = np.empty((m, r + u))
    for k in range(m):
        i = program.term_at[k]
        for j in range(r):
            by_term[k, j] = iterate.x[i] * program.term_y[k, j]
        for j in range(u):
            by_term[k, r + j] = iterate.x[i] * program.term_x[k, j]
        by_term[k, r + i] += residuals.forms[k]
    return by_term


@search_kernel
def _theta_system(
    program: QuadraticProgram,
    iterate: Iterate,
    half: FloatArray,
    derivative: FloatArray,
    inverse: FloatArray,
) -> FloatArray:
    """Step 2 of :mod:`interior`."""
    u, m = program.cap.size, iterate.theta.size
    turned = half.T.copy()
    system = lower_product(turned, turned)
    by_moment = product(derivative, iterate.moment)
    by_inverse = product(derivative, inverse)
    both_moment = lower_product(by_moment, derivative)
    both_inverse = lower_product(by_inverse, derivative)
    at_moment, at_inverse = by_moment.T.copy(), by_inverse.T.copy()
    for k in range(m):
        a = program.term_at[k]
        moment, inverted = iterate.moment[a], inverse[a]
        for j in range(k + 1):
            b = program.term_at[j]
            value = by_moment[k, b] * at_inverse[a, j] + at_moment[a, j] * by_inverse[k, b]
            value += both_moment[k, j] * inverted[b]
            value += moment[b] * (both_inverse[k, j] + program.parallel[k, j])
            system[k, j] += value
        system[k, k] += RIDGE
        if k >= u:
            system[k, k] += iterate.room[k] / iterate.theta[k]
    return system


@apart
@search_kernel
def direction(
    program: QuadraticProgram,
    iterate: Iterate,
    shape: Curvature,
    residuals: Residuals,
    factors: Factors,
    target: float,
    last: Iterate,
    corrected: bool,
) -> Iterate:
    """Newton direction towards complementarity ``target``.

    Everything is written in terms of the step in theta, which is found first; the steps in (y, x)
    and in the pixels follow by substitution, and those of multipliers and slacks from these.

    ``last`` is the predictor's direction, whose second-order terms are corrected for when
    ``corrected`` is set.
    """
    r = program.basis.shape[0]
    second = 1.0 if corrected else 0.0
    aim = target, second
    below, above = iterate.delta - program.low, program.high - iterate.delta
    x_above = program.cap - iterate.x
    weight = iterate.z / iterate.slack
    down, up, x_down, x_up = _limits_pull(iterate, last, (below, above, x_above), aim)
    zeta = _rows_pull(iterate, last, weight, residuals, aim)
    # Gradients still contain no pull of the limits: subtract what the limits pull now.
    right_delta = -(residuals.gradient_delta - iterate.delta_low + iterate.delta_high) + down - up
    right_x = -(residuals.gradient_x - iterate.x_low + iterate.x_high) + x_down - x_up
    right = _primal_right(program, factors, zeta, right_delta, right_x)
    matrix_target = target * factors.inverse_reduced
    if corrected:
        matrix_target -= _second_order(program, factors, last)
    theta = _theta_step(program, iterate, residuals, factors, right, matrix_target, last, aim)
    right -= times(factors.gradients, theta)
    forward_solve(factors.primal.system, right)
    backward_solve(factors.primal.system, right)
    step_y, x = right[:r].copy(), right[r:].copy()
    moved = times(program.rows_y, step_y) + times(program.rows_x, x)
    z = zeta + weight * moved
    bent, room = _bent_and_room(program, iterate, theta, last, aim)
    pull = times_transposed(program.rows_y, z) + times_transposed(shape.cross, x)
    pull += times_transposed(program.term_y, bent)
    delta = factors.primal.inverse_diagonal * (right_delta - times_transposed(program.basis, pull))
    change = _matrix_change(program, factors, theta)
    shrink = product(product(iterate.moment, change), factors.inverse_reduced)
    moment = matrix_target - iterate.moment - 0.5 * (shrink + shrink.T)
    return Iterate(
        delta,
        x,
        -residuals.rows - moved,
        z,
        down - iterate.delta_low / below * delta,
        up + iterate.delta_high / above * delta,
        x_down - iterate.x_low / iterate.x * x,
        x_up + iterate.x_high / x_above * x,
        theta,
        room,
        moment,
    )


@part
def _limits_pull(
    iterate: Iterate,
    last: Iterate,
    room: tuple[FloatArray, FloatArray, FloatArray],
    aim: tuple[float, float],
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """How the multipliers of the limits change if nothing else moves.

    ``room`` is what pixels have below and above them, and x above.
    """
    target, second = aim
    below, above, x_above = room
    down = (target - second * last.delta * last.delta_low) / below - iterate.delta_low
    up = (target + second * last.delta * last.delta_high) / above - iterate.delta_high
    x_down = (target - second * last.x * last.x_low) / iterate.x - iterate.x_low
    x_up = (target + second * last.x * last.x_high) / x_above - iterate.x_high
    return down, up, x_down, x_up


@part
def _rows_pull(
    iterate: Iterate,
    last: Iterate,
    weight: FloatArray,
    residuals: Residuals,
    aim: tuple[float, float],
) -> FloatArray:
    """How the multipliers of the rows change if nothing but their residuals moves."""
    target, second = aim
    own = (target - second * last.slack * last.z) / iterate.slack - iterate.z
    return own + weight * residuals.rows


@part
def _primal_right(
    program: QuadraticProgram,
    factors: Factors,
    zeta: FloatArray,
    right_delta: FloatArray,
    right_x: FloatArray,
) -> FloatArray:
    """Right-hand side of the system in (y, x), the pixels eliminated."""
    r, u = program.basis.shape[0], program.cap.size
    right = np.empty(r + u)
    start = times(factors.primal.inverse_gram, times(factors.primal.scaled_basis, right_delta))
    pull_y = times_transposed(program.rows_y, zeta)
    pull_x = times_transposed(program.rows_x, zeta)
    for i in range(r):
        right[i] = start[i] - pull_y[i]
    for i in range(u):
        right[r + i] = right_x[i] - pull_x[i]
    return right


@part
def _theta_step(
    program: QuadraticProgram,
    iterate: Iterate,
    residuals: Residuals,
    factors: Factors,
    right: FloatArray,
    matrix_target: FloatMatrix,
    last: Iterate,
    aim: tuple[float, float],
) -> FloatArray:
    """Step 2 of :mod:`interior`: (y, x) eliminated, and the system of theta solved."""
    u = program.cap.size
    target, second = aim
    half_step = right.copy()
    forward_solve(factors.primal.system, half_step)
    theta = residuals.terms + times_transposed(factors.half_solved, half_step)
    for k in range(theta.size):
        i = program.term_at[k]
        value = 0.0
        for j in range(u):
            value += factors.derivative[k, j] * matrix_target[i, j]
        theta[k] += 2.0 * value
        if k >= u:
            theta[k] += (target - second * last.room[k] * last.theta[k]) / iterate.theta[k]
    forward_solve(factors.theta_system, theta)
    backward_solve(factors.theta_system, theta)
    return theta


@part
def _bent_and_room(
    program: QuadraticProgram,
    iterate: Iterate,
    theta: FloatArray,
    last: Iterate,
    aim: tuple[float, float],
) -> tuple[FloatArray, FloatArray]:
    """What the step in theta pulls at each term's variable, and the step in ``room``."""
    target, second = aim
    bent = np.empty(theta.size)
    room = np.zeros(theta.size)
    for k in range(theta.size):
        bent[k] = iterate.x[program.term_at[k]] * theta[k]
        if k >= program.cap.size:
            room[k] = (target - second * last.room[k] * last.theta[k]) / iterate.theta[k]
            room[k] -= iterate.room[k] + iterate.room[k] / iterate.theta[k] * theta[k]
    return bent, room


@apart
@search_kernel
def _matrix_change(program: QuadraticProgram, factors: Factors, theta: FloatArray) -> FloatMatrix:
    """First-order change of M for a change of theta."""
    u = program.cap.size
    change = np.zeros((u, u))
    for k in range(theta.size):
        i = program.term_at[k]
        for j in range(u):
            value = factors.derivative[k, j] * theta[k]
            change[i, j] += value
            change[j, i] += value
    return change


@search_kernel
def _second_order(program: QuadraticProgram, factors: Factors, last: Iterate) -> FloatArray:
    """Symmetric part of ``dY dM inverse(M)`` of the predictor."""
    change = _matrix_change(program, factors, last.theta)
    bend = product(product(last.moment, change), factors.inverse_reduced)
    return 0.5 * (bend + bend.T)
