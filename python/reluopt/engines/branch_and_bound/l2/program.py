r"""The convex program of a node: triangle relaxation plus valid quadratics.

The triangle relaxation of a ReLU is weak when the objective is :math:`\|\delta\|_2^2`. What helps
is that :math:`x_i s_i = 0` at every true point, and that products of non-negative forms are
non-negative there:

.. math:: x_i\, s_i = 0, \qquad x_i\, \ell_k \ge 0 .

Adding them to the objective with multipliers :math:`\theta` leaves the problem as it is and makes
its relaxation stronger, as long as it stays convex: for one neuron :math:`\theta = 1/\|w\|^2` turns
the triangle into the convex hull of the epigraph. This is the dual of the semidefinite relaxation
of quadratically constrained programs (Shor 1987; for ReLU networks Raghunathan, Steinhardt and
Liang 2018, Semidefinite relaxations for certifying robustness; products of constraints as in
Sherali and Adams 1990), and the quadratic convex reformulation of Billionnet, Elloumi and Plateau
(2009) whose node problems it gives. With ``y = Q delta`` for an orthonormal basis Q of the rows of
:math:`W^1`, the *terms* are

.. math:: g_k(\delta, x) = x_{i(k)}\,(f_k^\top x + p_k^\top y + c_k), \qquad
          g_k = 0 \text{ or } g_k \le 0 \text{ (one-sided, } \theta_k \ge 0),

and the relaxation is, with the Hessian of the objective required to be positive semidefinite,

.. math:: \max_\theta \min_{\delta, x} \|\delta\|^2 + \sum_k \theta_k g_k(\delta, x)
          \quad\text{s.t.}\quad A_y y + A_x x \le b,\ l \le \delta \le u,\ 0 \le x \le U .

The Hessian is :math:`\begin{pmatrix} 2 I & Q^\top G^\top \\ G Q & K \end{pmatrix}` with
:math:`G = \sum_k \theta_k e_{i(k)} p_k^\top` and
:math:`K = \sum_k \theta_k (e_{i(k)} f_k^\top + f_k e_{i(k)}^\top)`; it is positive semidefinite
when the small matrix :math:`M(\theta) = K - \tfrac12 G G^\top` is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.l2.algebra import is_positive_definite, product, times
from reluopt.engines.branch_and_bound.l2.model import CAP, POSITIVE, Model
from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.jit import apart, part, search_kernel

NARROW = 1e-7
"""Least width of a pixel's range in the program; fixed pixels get it, the safe bound does not."""

RELU_SCALE = 4.0
"""Scale of the terms ``x_i s_i``, for which ``theta = 1/|w|^2`` gives the hull of one neuron."""

START_SHARE = 0.25
"""Multipliers start at this share of the largest that one layer alone would allow."""

CUT_START = 0.01
"""Multipliers of products start here, or lower where convexity asks for it."""

HALVINGS = 200
"""Most halvings of a start; a handful are usual, and 2^-200 is nothing."""


class QuadraticProgram(NamedTuple):
    """The program of the module; r basis rows, u variables x, q rows, m terms.

    Attributes:
        basis: Q, shape ``(r, n_0)``.
        low, high: limits of the change.
        tilt: k adds ``2 k sum(delta)`` to the objective.
        rows_y, rows_x, rhs: the rows, each of length about 1, shapes ``(q, r)``, ``(q, u)``,
            ``(q,)``.
        columns: the rows of both, transposed, shape ``(r + u, q)``.
        scale: length by which each row was divided, shape ``(q,)``.
        form: form of the model behind each row, shape ``(q,)``.
        cap: U, shape ``(u,)``.
        term_at: variable ``i(k)`` of each term, shape ``(m,)``; the first u are ``x_i s_i``.
        term_form: form of the model behind each term.
        term_scale: what the form was multiplied by: 4 for ReLU terms, minus 1 over its length for
            products.
        term_x, term_y, term_c: ``f``, ``p``, ``c`` of each term.
        parallel: products of the rows of ``term_y``, shape ``(m, m)``.
    """

    basis: FloatMatrix
    low: FloatArray
    high: FloatArray
    tilt: float
    rows_y: FloatMatrix
    rows_x: FloatMatrix
    rhs: FloatArray
    columns: FloatMatrix
    scale: FloatArray
    form: IntArray
    cap: FloatArray
    term_at: IntArray
    term_form: IntArray
    term_scale: FloatArray
    term_x: FloatMatrix
    term_y: FloatMatrix
    term_c: FloatArray
    parallel: FloatMatrix


class FormTable(NamedTuple):
    """All forms of a model in the coordinates of the basis.

    Attributes:
        on_x, on_y, constant: coefficients, shapes ``(F, u)``, ``(F, r)``, ``(F,)``.
        length: length of ``(on_x, on_y)``, 1 for forms of zeros.
    """

    on_x: FloatMatrix
    on_y: FloatMatrix
    constant: FloatArray
    length: FloatArray


@search_kernel
def tabulate(model: Model, transform: FloatMatrix, values: FloatArray) -> FormTable:
    """Forms in terms of ``y``: ``W^1 delta = transform @ y``; ``values`` are those of the image."""
    on_y = product(model.on_a, transform)
    length = np.empty(model.constant.size)
    for f in range(length.size):
        square = 0.0
        for j in range(on_y.shape[1]):
            square += on_y[f, j] * on_y[f, j]
        for j in range(model.on_x.shape[1]):
            square += model.on_x[f, j] * model.on_x[f, j]
        length[f] = np.sqrt(square) if square > 0.0 else 1.0
    return FormTable(model.on_x, on_y, model.constant + times(model.on_a, values), length)


@search_kernel
def build_program(
    model: Model,
    table: FormTable,
    basis: FloatMatrix,
    inputs: FlatInputSet,
    cut_at: IntArray,
    cut_form: IntArray,
) -> QuadraticProgram:
    """Rows for all forms that are no limits of x, terms for all ReLUs and the given products."""
    form, rows_y, rows_x, rhs, scale = _rows(model, table)
    term_at, term_form, term_scale = _terms(table, model.neuron.size, cut_at, cut_form)
    terms = term_at.size
    term_x = np.empty((terms, table.on_x.shape[1]))
    term_y, term_c = np.empty((terms, table.on_y.shape[1])), np.empty(terms)
    for k in range(terms):
        f, factor = term_form[k], term_scale[k]
        for j in range(term_x.shape[1]):
            term_x[k, j] = factor * table.on_x[f, j]
        for j in range(term_y.shape[1]):
            term_y[k, j] = factor * table.on_y[f, j]
        term_c[k] = factor * table.constant[f]
    low, high = inputs.low.copy(), inputs.high.copy()
    for j in range(low.size):
        if high[j] - low[j] < NARROW:
            low[j] -= NARROW
            high[j] += NARROW
    return QuadraticProgram(
        basis,
        low,
        high,
        inputs.tilt,
        rows_y,
        rows_x,
        rhs,
        np.concatenate((rows_y, rows_x), axis=1).T.copy(),
        scale,
        form,
        model.cap,
        term_at,
        term_form,
        term_scale,
        term_x,
        term_y,
        term_c,
        product(term_y, term_y.T.copy()),
    )


@part
def _rows(
    model: Model, table: FormTable
) -> tuple[IntArray, FloatMatrix, FloatMatrix, FloatArray, FloatArray]:
    """``form``, ``rows_y``, ``rows_x``, ``rhs`` and ``scale`` of the program."""
    form = np.empty(model.kind.size, dtype=np.int64)
    q, r, u = 0, table.on_y.shape[1], table.on_x.shape[1]
    for f in range(form.size):
        if model.kind[f] != POSITIVE and model.kind[f] != CAP:
            form[q] = f
            q += 1
    form = form[:q].copy()
    rows_y, rows_x, rhs, scale = np.empty((q, r)), np.empty((q, u)), np.empty(q), np.empty(q)
    for k in range(q):
        f = form[k]
        length = table.length[f]
        scale[k] = length
        for j in range(r):
            rows_y[k, j] = -table.on_y[f, j] / length
        for j in range(u):
            rows_x[k, j] = -table.on_x[f, j] / length
        rhs[k] = table.constant[f] / length
    return form, rows_y, rows_x, rhs, scale


@part
def _terms(
    table: FormTable, u: int, cut_at: IntArray, cut_form: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """``term_at``, ``term_form`` and ``term_scale`` of the program: ReLUs first."""
    count = u + cut_at.size
    at, form = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    scale = np.full(count, RELU_SCALE)
    for k in range(count):
        if k < u:
            at[k], form[k] = k, 2 * u + k
        else:
            at[k], form[k] = cut_at[k - u], cut_form[k - u]
            scale[k] = -1.0 / table.length[form[k]]
    return at, form, scale


class Curvature(NamedTuple):
    """``M``, ``K`` and ``G`` of the module for one theta."""

    reduced: FloatMatrix
    on_x: FloatMatrix
    cross: FloatMatrix


@apart
@search_kernel
def curvature(program: QuadraticProgram, theta: FloatArray) -> Curvature:
    """The Hessian's parts."""
    u, r = program.cap.size, program.basis.shape[0]
    cross, half = np.zeros((u, r)), np.zeros((u, u))
    for k in range(theta.size):
        i, factor = program.term_at[k], theta[k]
        if factor == 0.0:
            continue
        for j in range(r):
            cross[i, j] += factor * program.term_y[k, j]
        for j in range(u):
            half[i, j] += factor * program.term_x[k, j]
    on_x = half + half.T
    reduced = on_x - 0.5 * product(cross, cross.T)
    return Curvature(reduced, on_x, cross)


@search_kernel
def start_multipliers(program: QuadraticProgram, layer: IntArray) -> FloatArray:
    """Strictly convex multipliers: ReLU terms layer by layer, then a little of every product."""
    u, m = program.cap.size, program.term_at.size
    theta = np.zeros(m)
    if u == 0:
        return theta
    for k in range(layer.max() + 1):
        steepest, present = 1.0, False
        for i in range(u):
            if layer[i] == k:
                present = True
                square = 0.0
                for j in range(program.term_y.shape[1]):
                    square += program.term_y[i, j] ** 2
                steepest = max(steepest, square / RELU_SCALE**2)
        if not present:
            continue
        share = START_SHARE / steepest
        for _ in range(HALVINGS):
            for i in range(u):
                if layer[i] == k:
                    theta[i] = share
            if _keeps_curvature(program, theta, layer, k):
                break
            share *= 0.5
    share = CUT_START
    for _ in range(HALVINGS):
        theta[u:] = share
        if m == u or _keeps_curvature(program, theta, layer, layer.max() + 1):
            break
        share *= 0.5
    return theta


@search_kernel
def _keeps_curvature(
    program: QuadraticProgram, theta: FloatArray, layer: IntArray, top: int
) -> bool:
    """Whether M, on the layers up to ``top``, exceeds a small multiple of theta."""
    index = np.flatnonzero(layer <= top)
    reduced = curvature(program, theta).reduced
    part = np.empty((index.size, index.size))
    share = 1.0 if top <= layer.max() else 0.5
    for a in range(index.size):
        for b in range(index.size):
            part[a, b] = reduced[index[a], index[b]]
        part[a, a] -= share * theta[index[a]]
    return is_positive_definite(part)


@search_kernel
def product_values(
    program: QuadraticProgram,
    table: FormTable,
    theta: FloatArray,
    delta: FloatArray,
    x: FloatArray,
    moment: FloatMatrix,
) -> FloatMatrix:
    """Lifted values of all products ``x_i * form_k / length_k``, shape ``(u, F)``.

    Negative ones are violated.

    ``moment`` is the dual matrix of ``M(theta) >= 0``: the relaxation's covariance of x is twice
    it, that of x and y is ``-moment @ cross``.
    """
    y = times(program.basis, delta)
    value = table.constant + times(table.on_x, x) + times(table.on_y, y)
    cross = curvature(program, theta).cross
    spread_x = product(moment, table.on_x.T.copy())
    spread_y = product(product(moment, cross), table.on_y.T.copy())
    lifted = 2.0 * spread_x - spread_y
    for i in range(x.size):
        for k in range(value.size):
            lifted[i, k] = (lifted[i, k] + x[i] * value[k]) / table.length[k]
    return lifted
