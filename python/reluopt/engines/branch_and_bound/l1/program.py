r"""The linear program of a node, in the shape that the simplex method of :mod:`simplex` likes.

Few rows and many boxed columns. With H kept hidden neurons (those not proven inactive for good),
B ball rows, q conditions and T triangles there are ``m = H + B + q + T`` rows

* neuron ``i``:    ``x_i - s_i - W_i x_below - sum_j sign_j W_ij p_j = b_i`` (pixels: first layer),
* ball ``i``: ``x_i - sum_j c_ij p_j + r_i = g_i`` with ``r_i >= 0`` (see :mod:`ball`),
* condition ``c``: ``(C W x)_c + r_c = d_c - (C b)_c`` with ``r_c <= 0``,
* triangle ``i``:  ``e_i x_i + f_i s_i + r_i = g_i`` with ``r_i >= 0`` (see :func:`build.build`
  for which),

in the order first layer, ball rows, other neurons, conditions, triangles,
and ``N = 2H + P + m`` columns: ``x`` (H), ``s`` (H), pixels ``p`` (P) and one logical ``r`` for
each row (fixed to zero for neurons). Every column has finite bounds, so that every basis can be
made dual feasible by choosing the right bound for every nonbasic column.

A network without hidden layers has condition rows alone, and its pixels appear in those.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray, IntMatrix


class LinearProgram(NamedTuple):
    """A linear program ``min cost @ x`` over its rows and ``lower <= x <= upper``.

    Attributes:
        first_s, first_pixel, first_logical: first columns of their kinds; those of ``x`` begin at
            0.
        pixels: coefficients of the pixel columns in the first rows, shape ``(P, dense rows)``.
        block: coefficients of the ``x`` columns in the rows of the layer above (or in the
            conditions), shape ``(H, widest such layer)``, padded with zeros.
        layers: first neuron of each hidden layer, then H.
        above: first row and number of rows above each hidden layer, shape ``(2, layers)``.
        row: row of each neuron, shape ``(H,)``.
        ball: ball row of each neuron or -1, shape ``(H,)``.
        triangle: row of each neuron's triangle or -1, shape ``(H,)``.
        slopes: coefficients ``(e, f)`` of ``x`` and ``s`` in it, shape ``(2, H)``.
        rhs: right-hand sides, shape ``(m,)``.
        cost: shape ``(N,)``.
        lower, upper: finite bounds, shape ``(N,)``.
        listed: all columns, neurons first, then logicals, then pixels in some order, shape
            ``(N,)``. The simplex method looks at the first ``listed_count`` of them; the other
            pixels stay at zero until :func:`basis.add_columns` finds that they matter.
        listed_count: shape ``(1,)``.
        first_listed_pixel: place in ``listed`` from which on there are pixels.
    """

    first_s: int
    first_pixel: int
    first_logical: int
    pixels: FloatMatrix
    block: FloatMatrix
    layers: IntArray
    above: IntMatrix
    row: IntArray
    ball: IntArray
    triangle: IntArray
    slopes: FloatMatrix
    rhs: FloatArray
    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    listed: IntArray
    listed_count: IntArray
    first_listed_pixel: int


class State(NamedTuple):
    """A basis with everything derived from it: what a warm start needs.

    Attributes:
        inverse: inverse of the basis matrix, shape ``(m, m)``.
        norms: squared length of each of its rows (dual steepest edge weights), shape ``(m,)``.
        head: column that is basic in each row position, shape ``(m,)``.
        position: row position of each column, -1 for nonbasic ones, shape ``(N,)``.
        side: for nonbasic columns that can move, +1 at the lower and -1 at the upper bound; 0 for
            basic and fixed columns, shape ``(N,)``.
        value: of each column, shape ``(N,)``.
        reduced_cost: of each column, shape ``(N,)``.
        slopes: triangle coefficients that the inverse was computed with, shape ``(2, H)``.
        scalars: objective.
        counters: pivots since the last factorisation, pivots in all, listed columns known, pivots
            since the objective rose.
    """

    inverse: FloatMatrix
    norms: FloatArray
    head: IntArray
    position: IntArray
    side: FloatArray
    value: FloatArray
    reduced_cost: FloatArray
    slopes: FloatMatrix
    scalars: FloatArray
    counters: IntArray


OBJECTIVE = 0
"""Place in ``State.scalars``."""

SINCE_FACTOR, PIVOTS, LISTED, SINCE_RISE = 0, 1, 2, 3
"""Places in ``State.counters``."""


class Work(NamedTuple):
    """Buffers of the simplex method; m rows, N columns.

    Attributes:
        pivot_row: row of the inverse that is priced, shape ``(m,)``.
        column: an entering column, transformed by the inverse, shape ``(m,)``.
        shift: what nonbasic columns put into the rows, shape ``(m,)``.
        y: multipliers of the rows, shape ``(m,)``.
        ray: a dual ray after INFEASIBLE, shape ``(m,)``.
        priced: a row times all columns, shape ``(N,)``.
        ratios: of the columns that may enter, a heap, shape ``(N,)``.
        candidates: these columns, shape ``(N,)``.
        cost: the true costs while they are perturbed, shape ``(N,)``.
    """

    pivot_row: FloatArray
    column: FloatArray
    shift: FloatArray
    y: FloatArray
    ray: FloatArray
    priced: FloatArray
    ratios: FloatArray
    candidates: IntArray
    cost: FloatArray


def empty_state(rows: int, columns: int, hidden: int) -> State:
    """A state of the right shapes, to be filled by :func:`node.start`."""
    return State(
        inverse=np.zeros((rows, rows)),
        norms=np.ones(rows),
        head=np.zeros(rows, dtype=np.int64),
        position=np.full(columns, -1, dtype=np.int64),
        side=np.zeros(columns),
        value=np.zeros(columns),
        reduced_cost=np.zeros(columns),
        slopes=np.zeros((2, hidden)),
        scalars=np.zeros(1),
        counters=np.zeros(4, dtype=np.int64),
    )


def copied(state: State) -> State:
    """A copy that shares nothing."""
    return State._make(array.copy() for array in state)


def empty_work(rows: int, columns: int) -> Work:
    """Buffers for a program of this size."""
    return Work(
        pivot_row=np.zeros(rows),
        column=np.zeros(rows),
        shift=np.zeros(rows),
        y=np.zeros(rows),
        ray=np.zeros(rows),
        priced=np.zeros(columns),
        ratios=np.zeros(columns),
        candidates=np.zeros(columns, dtype=np.int64),
        cost=np.zeros(columns),
    )
