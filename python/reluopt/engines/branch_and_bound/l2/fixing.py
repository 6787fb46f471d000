r"""Phases that a solved program rules out: one Newton step for each, and a certificate.

Where a node's program was left, its Newton system :math:`\mathcal{K}` in (y, x), in which rows and
limits are springs, stiff ones where they are active, says what it costs to make a form c of value v
zero, ``x_i`` for the inactive side of a neuron and ``s_i`` for the active one:
:math:`\tfrac12 v^2 / (c^\top \mathcal{K}^{-1} c)`, the side's *gain*. Multipliers are not adapted
to the new point, so that this tends to be less than the bound's true rise. A share :math:`\alpha`
of the step that does it,

.. math:: d = -\alpha \lambda\, \mathcal{K}^{-1} c,
    \qquad \lambda = v / (c^\top \mathcal{K}^{-1} c),

with the multiplier :math:`\alpha \lambda` for the form raises the bound by
:math:`\alpha (2 - \alpha)` times that gain, as far as rows and limits act like springs. No more of
it is taken than is needed. The point that it reaches, cut to the limits, and its multipliers, cut
to their signs, are a witness for the side (:func:`.certificate.bound_by_tangent`): where its bound
exceeds the goal the side holds nothing, and the neuron has its other phase. The multipliers of the
terms stay, and with them the costly part of the certificate. Sides come by falling gain, until
several in a row are not ruled out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l2.algebra import (
    backward_solve,
    forward_solve_columns,
    times,
    times_transposed,
)
from reluopt.engines.branch_and_bound.l2.certificate import (
    FirstLayer,
    Witness,
    bound_by_tangent,
    form_spread,
    negative_curvature,
)
from reluopt.engines.branch_and_bound.l2.iterate import Iterate
from reluopt.engines.branch_and_bound.l2.model import NEGATIVE, POSITIVE, Model
from reluopt.engines.branch_and_bound.l2.newton import PrimalFactors, factorise_primal
from reluopt.engines.branch_and_bound.l2.program import RELU_SCALE, QuadraticProgram, curvature
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix
from reluopt.numerics.jit import search_kernel

PROMISING, AIM = 1.1, 1.3
"""Gains, relative to what is missing to the goal, from which a side is tried; and what its step
aims at: a few of its springs give way."""

MISSES = 5
"""Sides in a row, by falling gain, that are not ruled out before the others are left alone. In an
L2 tree and a Linf tree of ``mlp-100`` half and three quarters of those were ruled out that gain
more than ten times what is missing, one in fifty and one in ten of those near twice as much."""


class Springs(NamedTuple):
    """The Newton system at an optimum.

    Attributes:
        best: the optimum.
        primal: the system's factors.
        half: ``inverse(system) @ c`` of all sides (:func:`side_columns`).
        softness, value: ``c K^-1 c`` and v of each side, shape ``(u, 2)``.
        gain: predicted rise of the bound on each side; 0 where there is no system.
        cross: G.
    """

    best: Iterate
    primal: PrimalFactors
    half: FloatMatrix
    softness: FloatMatrix
    value: FloatMatrix
    gain: FloatMatrix
    cross: FloatMatrix


@search_kernel
def springs_at(program: QuadraticProgram, best: Iterate) -> Springs:
    """The system at an iterate."""
    shape = curvature(program, best.theta)
    primal = factorise_primal(program, best, shape)
    half = side_columns(program)
    if primal.ok:
        forward_solve_columns(primal.system, half)
    softness, value = side_softness(half), side_values(program, best)
    gain = 0.5 * value**2 / softness if primal.ok else np.zeros(value.shape)
    return Springs(best, primal, half, softness, value, gain, shape.cross)


@search_kernel
def side_columns(program: QuadraticProgram) -> FloatMatrix:
    """The forms ``x_i`` (columns 2 i) and ``4 s_i`` (2 i + 1) in terms of (y, x)."""
    u, r = program.cap.size, program.basis.shape[0]
    columns = np.zeros((r + u, 2 * u))
    for i in range(u):
        columns[r + i, 2 * i] = 1.0
        for j in range(r):
            columns[j, 2 * i + 1] = program.term_y[i, j]
        for j in range(u):
            columns[r + j, 2 * i + 1] = program.term_x[i, j]
    return columns


@search_kernel
def side_softness(half: FloatMatrix) -> FloatMatrix:
    """``c K^-1 c`` of these forms, shape ``(u, 2)``, for the columns that K's factor solved."""
    softness = np.empty((half.shape[1] // 2, 2))
    for i in range(softness.shape[0]):
        for side in range(2):
            softness[i, side] = np.sum(half[:, 2 * i + side] ** 2)
    return softness


@search_kernel
def side_values(program: QuadraticProgram, iterate: Iterate) -> FloatMatrix:
    """Values of these forms at a point, shape ``(u, 2)``."""
    u = program.cap.size
    y = times(program.basis, iterate.delta)
    forms = times(program.term_x[:u], iterate.x) + times(program.term_y[:u], y)
    values = np.empty((u, 2))
    for i in range(u):
        values[i, 0] = iterate.x[i]
        values[i, 1] = forms[i] + program.term_c[i]
    return values


class Stepped(NamedTuple):
    """A point within the limits, the multipliers of the rows, and that of the side's form."""

    delta: FloatArray
    x: FloatArray
    z: FloatArray
    pull: float


@search_kernel
def stepped(
    program: QuadraticProgram, springs: Springs, neuron: int, side: int, share: float
) -> Stepped:
    """A share of the step that makes a side's form zero."""
    best = springs.best
    r, column = program.basis.shape[0], 2 * neuron + side
    pull = share * springs.value[neuron, side] / springs.softness[neuron, side]
    step = -pull * springs.half[:, column]
    backward_solve(springs.primal.system, step)
    step_y, step_x = step[:r].copy(), step[r:].copy()
    moved = times(program.rows_y, step_y) + times(program.rows_x, step_x)
    change = best.z / best.slack * moved
    force = times_transposed(program.rows_y, change) + times_transposed(springs.cross, step_x)
    if side == 1:
        force += pull * program.term_y[neuron]
    pulled = times_transposed(program.basis, force)
    delta = best.delta - springs.primal.inverse_diagonal * pulled
    return Stepped(
        np.minimum(np.maximum(delta, program.low), program.high),
        np.minimum(np.maximum(best.x + step_x, 0.0), program.cap),
        np.maximum(best.z + change, 0.0),
        pull,
    )


def ruled_out(
    frame: Frame,
    first: FirstLayer,
    node: tuple[Model, QuadraticProgram],
    springs: Springs,
    proven: tuple[Witness, float],
    goal: float,
) -> BoolArray:
    """Sides of neurons on which the objective provably exceeds a goal.

    Args:
        frame: network and box.
        first: of the network.
        node: its model and program.
        springs: where the program ended.
        proven: the node's witness and bound.
        goal: the objective.

    Returns:
        Shape ``(u, 2)``: whether the inactive side is ruled out, and the active one.
    """
    (model, program), (witness, bound) = node, proven
    found = np.zeros((program.cap.size, 2), dtype=np.bool_)
    missing, gain = goal - bound, springs.gain
    if not (springs.primal.ok and missing > 0.0):
        return found
    kappa = negative_curvature(frame.inputs, first, model, witness)
    if kappa == np.inf:  # nothing can be certified
        return found
    spread, misses = form_spread(frame.inputs, model), 0
    for place in np.argsort(-gain, axis=None, kind="stable").tolist():
        i, side = divmod(place, 2)
        if misses == MISSES or not gain[i, side] > PROMISING * missing:
            break
        share = 1.0 - np.sqrt(max(1.0 - AIM * missing / gain[i, side], 0.0))
        point = stepped(program, springs, i, side, share)
        z = np.zeros(model.constant.size)
        z[program.form] = point.z / program.scale
        zero = (POSITIVE, NEGATIVE)[side] * program.cap.size + i
        z[zero] -= (1.0, RELU_SCALE)[side] * point.pull
        moved = witness._replace(delta=point.delta, x=point.x, z=z)
        value = bound_by_tangent(frame.flat, frame.inputs, model, spread, moved, kappa, zero)
        found[i, side] = value > goal
        misses = 0 if value > goal else misses + 1
    return found
