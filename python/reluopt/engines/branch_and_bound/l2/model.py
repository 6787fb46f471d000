r"""Assembles the L2 relaxation of a node in as few variables as possible.

Variables are the change :math:`\delta` of the image and the post-activation :math:`x_i` of the
*undecided* neurons (``lower < 0 < upper``). Everything else is an affine function of them, a
*form*

.. math:: \ell(\delta, x) = f^\top x + p^\top (W^1 \delta + \hat y) + c,
          \qquad \hat y = fl(W^1 \bar x + b^1),

found by substitution through the layers: an active neuron hands on its pre-activation, an inactive
one hands on nothing. The numbers of a node are its non-negative forms, each of which is >= 0 at
every input of the node that meets the conditions:

========== =================================================== =========
kind       form                                                count
========== =================================================== =========
POSITIVE   :math:`x_i`                                         undecided
CAP        :math:`U_i - x_i`                                   undecided
NEGATIVE   :math:`s_i = x_i - a_i`                             undecided
CHORD      :math:`\kappa_i a_i + \tau_i - x_i`                 undecided
PHASE      :math:`a_h` (active) or :math:`-a_h` (inactive),    decided
           for neurons that the root left undecided            below root
CONDITION  :math:`(C a^K - d)_q`                               conditions
========== =================================================== =========

The chord is a valid line for every :math:`\kappa = fl(U/(U-L))` once
:math:`\tau \ge \max(-\kappa L, (1-\kappa) U)`: it is above the convex ReLU at both ends.

Rounding
--------
The substitution is a chain of floating-point sums, so a form differs from what it stands for. With
:math:`X_j` the largest post-activations and :math:`m_h = |W_h| X + |b_h|`, the value of a
pre-activation's form at any input of the node is wrong by at most

.. math:: \epsilon_h = \sum_{j\ active} |W_{hj}|\,(\epsilon_j + \gamma_N \mu_j)
          + \gamma_N \Bigl(\sum_{j\ undecided} |W_{hj}| X_j + |b_h|\Bigr),

where :math:`\mu_j \ge |f_j|^\top X + |p_j|^\top m^1 + |c_j|` bounds all terms of the form that is
handed on, and N exceeds the number of neurons of the layer below: a coefficient of the form is one
sum over these, of given numbers. First layer: the coefficients are exact, and :math:`\hat y` is
wrong by what its input set says (:class:`~reluopt.numerics.input_sets.FlatInputSet`). ``error``
holds :math:`\epsilon` for every form; :mod:`certificate` subtracts it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.numerics.arrays import BoolArray, FloatArray, FloatMatrix, IntArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.jit import apart, kernel, part
from reluopt.numerics.rounding import ROUNDOFF, TINY, chord, gamma
from reluopt.questions.problems import LogitConditions

POSITIVE, CAP, NEGATIVE, CHORD, PHASE, CONDITION = 0, 1, 2, 3, 4, 5
"""Kinds of forms."""

THIN = 1e-6
"""Narrowest side of a triangle. Widening keeps the relaxation valid; thinner ones would leave the
interior point method without an interior."""


class Model(NamedTuple):
    """The forms of one node; u undecided neurons, F forms, n_1 neurons in the first layer.

    Attributes:
        neuron: hidden neuron of each variable ``x_i``, rising, shape ``(u,)``.
        layer: its layer, shape ``(u,)``.
        cap: ``U_i``, shape ``(u,)``.
        kind: kind of each form, shape ``(F,)``.
        owner: hidden neuron or condition of each form, shape ``(F,)``.
        on_x: ``f``, shape ``(F, u)``.
        on_a: ``p``, shape ``(F, n_1)``.
        constant: ``c``, shape ``(F,)``.
        error: bound on what the form is wrong by, at every input of the node, shape ``(F,)``.
    """

    neuron: IntArray
    layer: IntArray
    cap: FloatArray
    kind: IntArray
    owner: IntArray
    on_x: FloatMatrix
    on_a: FloatMatrix
    constant: FloatArray
    error: FloatArray


class _Stage(NamedTuple):
    """Forms of the post-activations of one layer while the model is built."""

    on_x: FloatMatrix
    on_a: FloatMatrix
    constant: FloatArray
    error: FloatArray
    size: FloatArray


class L2Setting(NamedTuple):
    """What the forms of all nodes of an alternative are about.

    Attributes:
        flat: the network.
        inputs: image and box.
        matrix, rhs: the conditions ``C @ logits >= d``.
        open_at_root: neurons that the root's bounds left undecided, shape ``(H,)``.
    """

    flat: FlatNetwork
    inputs: FlatInputSet
    matrix: FloatMatrix
    rhs: FloatArray
    open_at_root: BoolArray


def make_setting(
    frame: Frame, conditions: LogitConditions, lower: FloatArray, upper: FloatArray
) -> L2Setting:
    """The setting of an alternative whose root has these bounds."""
    matrix, rhs = np.array(conditions.matrix), np.array(conditions.rhs)
    return L2Setting(frame.flat, frame.inputs, matrix, rhs, frame.undecided(lower, upper))


@kernel
def build_model(setting: L2Setting, lower: FloatArray, upper: FloatArray) -> Model:
    """The model of the node with bounds ``lower``, ``upper`` of (at least) all hidden neurons."""
    flat, inputs = setting.flat, setting.inputs
    model = _empty_model(setting, lower, upper)
    u, width = model.neuron.size, flat.sizes[1]
    stage = _Stage(np.zeros((0, u)), np.zeros((0, width)), np.zeros(0), np.zeros(0), np.zeros(0))
    variable, row = 0, 4 * u
    for k in range(flat.weight_offsets.size - 1):
        start, size = flat.neuron_offsets[k], flat.sizes[k + 1]
        if k == 0:
            stage = _first_layer(inputs, u, width)
        else:
            weight = flat.weights[flat.weight_offsets[k] :][: size * flat.sizes[k]]
            bias = flat.biases[start : start + size]
            stage = _next_layer(weight.reshape((size, flat.sizes[k])), bias, stage)
        for i in range(size):
            h = start + i
            if not (lower[h] >= 0.0 or upper[h] <= 0.0):
                model.layer[variable] = k
                _undecided(model, variable, stage, i, lower[h], upper[h])
                _replace(stage, i, variable, model.cap[variable])
                variable += 1
                continue
            if setting.open_at_root[h]:
                sign = 1.0 if lower[h] >= 0.0 else -1.0
                _copy_form(model, row, PHASE, h, stage, i, sign)
                row += 1
            if not lower[h] >= 0.0:
                _replace(stage, i, -1, 0.0)
    _conditions(setting, stage, model, row)
    return model


@part
def _empty_model(setting: L2Setting, lower: FloatArray, upper: FloatArray) -> Model:
    """A model of the right shapes that knows its undecided neurons."""
    flat = setting.flat
    hidden = flat.neuron_offsets[flat.weight_offsets.size - 1]
    neuron = np.empty(hidden, dtype=np.int64)
    u, phases, width = 0, 0, flat.sizes[1]
    for h in range(hidden):
        if not (lower[h] >= 0.0 or upper[h] <= 0.0):
            neuron[u] = h
            u += 1
        elif setting.open_at_root[h]:
            phases += 1
    total = 4 * u + phases + setting.rhs.size
    return Model(
        neuron[:u].copy(),
        np.zeros(u, dtype=np.int64),
        np.empty(u),
        np.empty(total, dtype=np.int64),
        np.empty(total, dtype=np.int64),
        np.zeros((total, u)),
        np.zeros((total, width)),
        np.zeros(total),
        np.zeros(total),
    )


@apart
@kernel
def _first_layer(inputs: FlatInputSet, u: int, width: int) -> _Stage:
    """Pre-activations of the first layer are coordinates themselves."""
    return _Stage(
        np.zeros((width, u)),
        np.eye(width),
        np.zeros(width),
        inputs.errors.copy(),
        inputs.magnitudes.copy(),
    )


@apart
@kernel
def _next_layer(weight: FloatMatrix, bias: FloatArray, below: _Stage) -> _Stage:
    """Forms ``weight @ below + bias`` with their errors and sizes."""
    size = bias.size
    on_x = np.dot(weight, below.on_x)
    on_a = np.dot(weight, below.on_a)
    constant = np.empty(size)
    error, reach = np.empty(size), np.empty(size)
    rounding = gamma(below.constant.size + 8.0)
    for i in range(size):
        value, wrong, large = bias[i], 0.0, abs(bias[i])
        for j in range(below.constant.size):
            value += weight[i, j] * below.constant[j]
            wrong += abs(weight[i, j]) * below.error[j]
            large += abs(weight[i, j]) * below.size[j]
        constant[i], reach[i] = value, large
        error[i] = (wrong + rounding * large) * (1.0 + 1e-9)
    return _Stage(on_x, on_a, constant, error, reach)


@kernel
def _replace(stage: _Stage, i: int, variable: int, reach: float) -> None:
    """The post-activation of neuron i becomes a variable, or zero for ``variable = -1``."""
    stage.on_x[i] = 0.0
    stage.on_a[i] = 0.0
    stage.constant[i] = 0.0
    stage.error[i] = 0.0
    stage.size[i] = reach
    if variable >= 0:
        stage.on_x[i, variable] = 1.0


@apart
@kernel
def _copy_form(
    model: Model, row: int, kind: int, owner: int, stage: _Stage, i: int, sign: float
) -> None:
    """Form ``sign * a_i``."""
    model.kind[row], model.owner[row] = kind, owner
    for j in range(model.on_x.shape[1]):
        model.on_x[row, j] = sign * stage.on_x[i, j]
    for j in range(model.on_a.shape[1]):
        model.on_a[row, j] = sign * stage.on_a[i, j]
    model.constant[row] = sign * stage.constant[i]
    model.error[row] = stage.error[i]


@apart
@kernel
def _undecided(model: Model, variable: int, stage: _Stage, i: int, low: float, high: float) -> None:
    """The four forms of an undecided neuron."""
    u, h = model.neuron.size, model.neuron[variable]
    high, low = max(high, THIN), min(low, -THIN)
    model.cap[variable] = high
    model.kind[variable], model.owner[variable] = POSITIVE, h
    model.on_x[variable, variable] = 1.0
    row = u + variable
    model.kind[row], model.owner[row] = CAP, h
    model.on_x[row, variable] = -1.0
    model.constant[row] = high
    row = 2 * u + variable
    _copy_form(model, row, NEGATIVE, h, stage, i, -1.0)
    model.on_x[row, variable] += 1.0
    row = 3 * u + variable
    slope, offset = chord(low, high)
    offset += TINY
    _copy_form(model, row, CHORD, h, stage, i, slope)
    model.on_x[row, variable] -= 1.0
    model.constant[row] += offset
    # The products of slope and coefficients, and the sum with the offset, are rounded.
    reach = slope * stage.size[i] + offset + high
    model.error[row] = slope * stage.error[i] + 8.0 * ROUNDOFF * reach


@kernel
def _conditions(setting: L2Setting, below: _Stage, model: Model, row: int) -> None:
    """Forms ``C (W x + b) - d``; without hidden layers ``x`` is the image itself."""
    flat = setting.flat
    last = flat.weight_offsets.size - 1
    if last == 0:
        top = _first_layer(setting.inputs, model.neuron.size, flat.sizes[1])
    else:
        weight = flat.weights[flat.weight_offsets[last] :]
        weight = weight.reshape((flat.sizes[last + 1], flat.sizes[last]))
        top = _next_layer(weight, flat.biases[flat.neuron_offsets[last] :], below)
    forms = _next_layer(setting.matrix, -setting.rhs, top)
    for q in range(setting.rhs.size):
        _copy_form(model, row + q, CONDITION, q, forms, q, 1.0)
