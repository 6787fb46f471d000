r"""Primal-dual interior point method for the program of a node, multipliers theta included.

The saddle point problem :math:`\max_\theta \min_{\delta, x}` of :mod:`qp_program` is solved in
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

Every iterate gives a lower bound (:func:`estimate`); the method stops as soon as it reaches the
cutoff. It is a search: what is believed of it is what :mod:`qp_certificate` recomputes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.qp_algebra import (
    backward_solve,
    cholesky,
    forward_solve,
    forward_solve_columns,
    gram,
    inverse_from_factor,
    is_positive_definite,
    product,
    times,
    times_transposed,
)
from reluopt.engines.branch_and_bound.qp_program import Curvature, Program, curvature
from reluopt.kernels.jit import search_kernel
from reluopt.network import FloatArray

SOLVED, CUT_OFF, OUT_OF_STEPS, TROUBLE = 0, 1, 2, 3
"""What :func:`solve_program` returns."""

BACK_OFF = 0.99
"""Share of the step to the boundary that is taken."""

MATRIX_MARGIN = 0.98
"""The matrices must stay positive definite up to the step divided by this."""

RIDGE = 1e-13
"""Added to diagonals of the Newton systems, against parallel rows and unused variables."""

ROW_TOLERANCE = 1e-8
"""Rows (of length 1) count as met within it."""

LOOSE_TOLERANCE = 1e-4
"""The same when the cutoff is far away and the node will be branched on."""

SMALLEST_STEP = 1e-7
"""A shorter step means that rounding has taken over."""

SMALLEST_PRODUCT = 1e-14
"""Complementarity below it cannot be reduced any further."""


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
    moment: FloatArray


class Answer(NamedTuple):
    """The iterate with the best bound, and how the method ended.

    ``system`` is the Cholesky factor of the last Newton system in (y, x), see :func:`gains`.
    """

    bound: float
    objective: float
    delta: FloatArray
    x: FloatArray
    z: FloatArray
    theta: FloatArray
    room: FloatArray
    moment: FloatArray
    system: FloatArray
    status: int
    steps: int


class _Residuals(NamedTuple):
    """Gradients, row residuals and term values at an iterate."""

    gradient_delta: FloatArray
    gradient_x: FloatArray
    rows: FloatArray
    forms: FloatArray
    terms: FloatArray
    objective: float


class _Factors(NamedTuple):
    """What one Newton step factorises."""

    ok: bool
    inverse_diagonal: FloatArray
    scaled_basis: FloatArray
    inverse_gram: FloatArray
    system: FloatArray
    gradients: FloatArray
    half_solved: FloatArray
    derivative: FloatArray
    theta_system: FloatArray
    inverse_reduced: FloatArray


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


@search_kernel
def _residuals(program: Program, it: Iterate, shape: Curvature) -> _Residuals:
    """Everything that is evaluated at an iterate."""
    y = times(program.basis, it.delta)
    forms = times(program.term_x, it.x) + times(program.term_y, y) + program.term_c
    gradient_x = (
        times(shape.on_x, it.x) + times(shape.cross, y) + times_transposed(program.rows_x, it.z)
    )
    terms = np.empty(forms.size)
    objective = 0.0
    for j in range(it.delta.size):
        objective += it.delta[j] * it.delta[j]
    for k in range(forms.size):
        gradient_x[program.term_at[k]] += it.theta[k] * program.term_c[k]
        terms[k] = it.x[program.term_at[k]] * forms[k]
        objective += it.theta[k] * terms[k]
    pull = times_transposed(program.rows_y, it.z) + times_transposed(shape.cross, it.x)
    gradient_delta = 2.0 * it.delta + times_transposed(program.basis, pull)
    rows = times(program.rows_y, y) + times(program.rows_x, it.x) + it.slack - program.rhs
    return _Residuals(gradient_delta, gradient_x, rows, forms, terms, objective)


@search_kernel
def estimate(program: Program, it: Iterate, res: _Residuals) -> float:
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
def _complementarity(program: Program, it: Iterate, reduced: FloatArray) -> float:
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
def _factorise(program: Program, it: Iterate, shape: Curvature, res: _Residuals) -> _Factors:
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
    rows[:r] = program.rows_y.T
    rows[r:] = program.rows_x.T
    system = gram(rows, weight)
    system[:r, :r] += inverse
    system[r:, :r] += shape.cross
    system[:r, r:] += shape.cross.T
    system[r:, r:] += shape.on_x
    for i in range(u):
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
        return _Factors(
            False, diagonal, scaled, inverse, system, gradients, half, derivative, half, reduced
        )
    inverse_reduced = inverse_from_factor(reduced)
    forward_solve_columns(system, half)
    theta_system = _theta_system(program, it, half, derivative, inverse_reduced)
    ok = cholesky(theta_system)
    return _Factors(
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
    """Step 2 of the module."""
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


@search_kernel
def _direction(
    program: Program,
    it: Iterate,
    shape: Curvature,
    res: _Residuals,
    fac: _Factors,
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
    right[:r] = times(fac.inverse_gram, times(fac.scaled_basis, right_delta))
    right[:r] -= times_transposed(program.rows_y, zeta)
    right[r:] = right_x - times_transposed(program.rows_x, zeta)
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


@search_kernel
def _matrix_change(program: Program, fac: _Factors, theta: FloatArray) -> FloatArray:
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
def _second_order(program: Program, fac: _Factors, last: Iterate) -> FloatArray:
    """Symmetric part of ``dY dM inverse(M)`` of the predictor."""
    change = _matrix_change(program, fac, last.theta)
    bend = product(product(last.moment, change), fac.inverse_reduced)
    return 0.5 * (bend + bend.T)


@search_kernel
def _limit(step: float, value: FloatArray, change: FloatArray) -> float:
    """Longest step that keeps ``value + step * change >= 0``."""
    for i in range(value.size):
        if change[i] < 0.0 and value[i] + step * change[i] < 0.0:
            step = -value[i] / change[i]
    return step


@search_kernel
def _longest_step(program: Program, it: Iterate, move: Iterate) -> float:
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


@search_kernel
def _advance(it: Iterate, move: Iterate, step: float) -> Iterate:
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


@search_kernel
def solve_program(
    program: Program,
    theta: FloatArray,
    cutoff: float,
    tolerance: float,
    slackness: float,
    limit: int,
) -> Answer:
    """Solve the program from scratch.

    Args:
        program: the program.
        theta: strictly convex multipliers to start from (:func:`qp_program.start_multipliers`).
        cutoff: stop once the estimate of the bound reaches it.
        tolerance: relative gap at which to stop.
        slackness: gap at which to stop, relative to what is missing to the cutoff.
        limit: most iterations.
    """
    it = start_iterate(program, theta)
    u = program.cap.size
    count = it.z.size + 2 * it.delta.size + 3 * u + (theta.size - u)
    best, best_bound, objective = it, -np.inf, np.inf
    status, steps = OUT_OF_STEPS, 0
    system = np.zeros((0, 0))
    for steps in range(limit):  # noqa: B007
        shape = curvature(program, it.theta)
        res = _residuals(program, it, shape)
        bound = estimate(program, it, res)
        if bound > best_bound:
            best, best_bound, objective = it, bound, res.objective
        if best_bound >= cutoff:
            status = CUT_OFF
            break
        worst = np.abs(res.rows).max() if res.rows.size > 0 else 0.0
        average = _complementarity(program, it, shape.reduced) / count
        difference = abs(res.objective - best_bound)  # a bound above: rows that cannot be met
        close = difference < tolerance * max(1e-3, abs(res.objective))
        missing = slackness * (cutoff - res.objective)
        if worst < LOOSE_TOLERANCE and difference < missing:
            status = SOLVED
            break
        if (worst < ROW_TOLERANCE and close) or average < SMALLEST_PRODUCT:
            status = SOLVED
            break
        fac = _factorise(program, it, shape, res)
        if not fac.ok:
            status = TROUBLE
            break
        system = fac.system
        guess = _direction(program, it, shape, res, fac, 0.0, it, False)
        step = _longest_step(program, it, guess)
        ahead = _advance(it, guess, step)
        left = _complementarity(program, ahead, curvature(program, ahead.theta).reduced)
        centring = max((left / (count * average)) ** 3, 1e-6)
        if step < 0.5:
            centring = max(centring, 0.1)
        move = _direction(program, it, shape, res, fac, centring * average, guess, True)
        step = min(1.0, BACK_OFF * _longest_step(program, it, move))
        if not step > SMALLEST_STEP:
            status = TROUBLE
            break
        it = _advance(it, move, step)
    return Answer(
        best_bound,
        objective,
        best.delta,
        best.x,
        best.z,
        best.theta,
        best.room,
        best.moment,
        system,
        status,
        steps,
    )


@search_kernel
def gains(program: Program, answer: Answer) -> FloatArray:
    r"""Predicted rise of the objective when ``x_i`` (column 0) or ``s_i`` (1) must become zero.

    With the Newton system :math:`\mathcal{K}` of the last step, in which active rows and limits
    are stiff springs, moving the form ``c`` from its value v to zero costs
    :math:`\tfrac12 v^2 / (c^\top \mathcal{K}^{-1} c)`. The multipliers are not adapted to the new
    point, so this tends to be less than the true rise.
    """
    u, r = program.cap.size, program.basis.shape[0]
    result = np.zeros((u, 2))
    if answer.system.shape[0] != r + u:
        return result
    columns = np.zeros((r + u, 2 * u))
    y = times(program.basis, answer.delta)
    for i in range(u):
        columns[r + i, 2 * i] = 1.0
        for j in range(r):
            columns[j, 2 * i + 1] = program.term_y[i, j]
        for j in range(u):
            columns[r + j, 2 * i + 1] = program.term_x[i, j]
    forward_solve_columns(answer.system, columns)
    forms = times(program.term_x[:u], answer.x) + times(program.term_y[:u], y) + program.term_c[:u]
    for i in range(u):
        for side in range(2):
            softness = 0.0
            for j in range(r + u):
                softness += columns[j, 2 * i + side] ** 2
            value = answer.x[i] if side == 0 else forms[i]
            result[i, side] = 0.5 * value * value / softness
    return result
