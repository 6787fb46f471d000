"""A few nodes at a time: their forms down to the inputs, and a step of their multipliers.

Nodes pass through *slots* whose working arrays stay in the cache. A slot takes the next node of the
batch when its node has had all its steps or is good enough. See :mod:`.ascent` for the bound, and
:mod:`.certificate` for its evaluation with outward rounding: nothing here is part of a proof.

``phases`` holds 0 for an undecided neuron, 1 for an active and -1 for an inactive one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.dual.products import MOST_ROWS, times
from reluopt.numerics.arrays import ByteMatrix, IntArray, SingleArray, SingleMatrix
from reluopt.numerics.jit import apart, part, search_kernel

SLOTS = MOST_ROWS
"""Nodes that are worked on at a time."""

ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)


class Tables(NamedTuple):
    """A model as kernels take it.

    Attributes:
        sizes: neurons of each layer up to the top, shape ``(layers,)``.
        weights: of the layers behind the first, row by row, one after the other; and their
            transposes.
        biases: of all layers.
        stacked: weights of the first layer and, below, of the planes.
        slopes: of the lines above hidden neurons, and their ``offsets``.
        neurons: of each plane, ``each`` in a row of one neuron, and their constants ``edges``.
        matrix: of the conditions, and their right-hand sides ``rhs``.
    """

    sizes: IntArray
    weights: SingleArray
    transposed: SingleArray
    biases: SingleArray
    stacked: SingleMatrix
    slopes: SingleArray
    offsets: SingleArray
    neurons: IntArray
    each: int
    edges: SingleArray
    matrix: SingleMatrix
    rhs: SingleArray


class Slots(NamedTuple):
    """Working arrays, a slot a row.

    Attributes:
        values: bounds.
        phases: of hidden neurons.
        free: their multipliers, shares of planes, and the mixture, one behind the other.
        gradient: by these, and Adam's moments of it, ``first`` and ``second``.
        coefficients: of post-activations.
        form: of one layer's pre-activations; those of planes stand behind the first layer's.
        pre, post: values of one layer where the form is least.
        total: coefficients of the inputs; then ``points``, where the form is least.
    """

    values: SingleArray
    phases: ByteMatrix
    free: SingleMatrix
    gradient: SingleMatrix
    first: SingleMatrix
    second: SingleMatrix
    coefficients: SingleMatrix
    form: SingleMatrix
    pre: SingleMatrix
    post: SingleMatrix
    total: SingleMatrix
    points: SingleMatrix


@apart
@search_kernel
def empty_slots(t: Tables, neurons: int) -> Slots:
    """Slots of nodes of so many hidden neurons."""
    planes, conditions = t.neurons.size, t.rhs.size
    free, inputs = neurons + planes + conditions, t.stacked.shape[1]
    widest = t.sizes.max() + planes
    single = np.float32
    return Slots(
        np.empty(SLOTS, single),
        np.empty((SLOTS, neurons), np.int8),
        np.empty((SLOTS, free), single),
        np.empty((SLOTS, free), single),
        np.empty((SLOTS, free), single),
        np.empty((SLOTS, free), single),
        np.empty((SLOTS, neurons), single),
        np.empty((SLOTS, widest), single),
        np.empty((SLOTS, widest), single),
        np.empty((SLOTS, widest), single),
        np.empty((SLOTS, inputs), single),
        np.empty((SLOTS, inputs), single),
    )


@search_kernel
def copied(given: SingleArray, out: SingleArray, at: int) -> None:
    """Copy a vector into another from a place on."""
    for i in range(given.size):
        out[at + i] = given[i]


class Nodes(NamedTuple):
    """A batch as kernels take it; see :class:`.ascent.Batch`."""

    rows: SingleMatrix
    constants: SingleArray
    phases: ByteMatrix
    multipliers: SingleMatrix
    shares: SingleMatrix
    mixture: SingleMatrix


@search_kernel
def renew(given: Nodes, b: int, s: Slots, slot: int) -> None:
    """Put the form of row b into a slot again: a descent has used it up."""
    s.values[slot] = given.constants[b]
    copied(given.rows[b], s.form[slot], 0)


@apart
@search_kernel
def load(given: Nodes, b: int, s: Slots, slot: int) -> None:
    """Put row b of a batch into a slot."""
    neurons, planes = given.phases.shape[1], given.shares.shape[1]
    renew(given, b, s, slot)
    copied(given.multipliers[b], s.free[slot], 0)
    copied(given.shares[b], s.free[slot], neurons)
    copied(given.mixture[b], s.free[slot], neurons + planes)
    for i in range(neurons):
        s.phases[slot, i] = given.phases[b, i]


@part
def slope(c: Any, p: Any, q: Any, above: Any) -> Any:
    """Slope of the line that stands for a ReLU of coefficient c, multiplier p and phase q."""
    undecided = p if c >= ZERO else above
    return undecided if q == ZERO else (ONE + q) * HALF


@part
def relax(t: Tables, s: Slots, b: int, start: int, stop: int) -> None:
    """Coefficients of post-activations become those of pre-activations, and a constant."""
    slopes, offsets = t.slopes[start:stop], t.offsets[start:stop]
    total, c, form = ZERO, s.coefficients[b, start:stop], s.form[b]
    p, q = s.free[b, start:stop], s.phases[b, start:stop]
    for i in range(stop - start):
        phase, multiplier, offset = np.float32(q[i]), p[i], offsets[i]
        form[i] = c[i] * slope(c[i], multiplier, phase, slopes[i]) - phase * multiplier
        total += min(c[i], ZERO) * (offset if phase == ZERO else ZERO)
    s.values[b] += total


@part
def add_planes(t: Tables, s: Slots, b: int) -> None:
    """Move shares of first-layer neurons from the line above them to planes, after :func:`relax`.

    Plane ``k`` of neuron ``neurons[k]`` has the coefficient ``form[width + k]``.
    """
    total, width, shares = ZERO, t.sizes[0], s.phases.shape[1]
    for k in range(t.neurons.size):
        i = t.neurons[k]
        c = s.coefficients[b, i]
        if s.phases[b, i] == 0 and c < ZERO:
            moved = c * s.free[b, shares + k]
            s.form[b, width + k] = moved
            s.form[b, i] -= moved * t.slopes[i]
            total += moved * (t.edges[k] - t.offsets[i])
        else:
            s.form[b, width + k] = ZERO
    s.values[b] += total


@part
def mix(t: Tables, s: Slots, count: int) -> None:
    """Add the mixture of conditions to the forms of the top layer."""
    place = s.phases.shape[1] + t.neurons.size
    for b in range(count):
        for c in range(t.rhs.size):
            share = s.free[b, place + c]
            s.values[b] += share * t.rhs[c]
            for i in range(t.matrix.shape[1]):
                s.form[b, i] -= share * t.matrix[c, i]


@part
def add_biases(s: Slots, count: int, biases: SingleArray) -> None:
    """What the biases of one layer add to the bounds."""
    for b in range(count):
        total, form = ZERO, s.form[b]
        for i in range(biases.size):
            total += form[i] * biases[i]
        s.values[b] += total


@apart
@search_kernel
def descend_hidden(t: Tables, s: Slots, count: int) -> None:
    """From forms of the top layer to those of the first, biases included."""
    mix(t, s, count)
    top = t.sizes.size - 1
    place, bias, start = t.weights.size, t.biases.size, t.sizes[:top].sum()
    for k in range(top, 0, -1):
        size, width = t.sizes[k], t.sizes[k - 1]
        place, bias, start = place - size * width, bias - size, start - width
        add_biases(s, count, t.biases[bias : bias + size])
        matrix = t.weights[place : place + size * width].reshape(size, width)
        times(s.form, matrix, s.coefficients, count, start)
        for b in range(count):
            relax(t, s, b, start, start + width)
    if top:
        for b in range(count):
            add_planes(t, s, b)
    add_biases(s, count, t.biases[: t.sizes[0]])


@apart
@search_kernel
def descend_inputs(t: Tables, s: Slots, count: int) -> None:
    """From forms of the first layer, and of planes, to the inputs, and the least values."""
    times(s.form, t.stacked, s.total, count, 0)
    for b in range(count):
        total, form, point = ZERO, s.total[b], s.points[b]
        for j in range(form.size):
            total += abs(form[j])
            point[j] = -ONE if form[j] > ZERO else ONE
        s.values[b] -= total


class Descents(NamedTuple):
    """Forms on their way down to the inputs, a row each.

    Attributes:
        values: bounds.
        coefficients: of post-activations, shape ``(batch, neurons)``.
        forms: of the first layer's pre-activations with the planes' parts behind.
        total: coefficients of the inputs.
    """

    values: SingleArray
    coefficients: SingleMatrix
    forms: SingleMatrix
    total: SingleMatrix


@search_kernel
def descend(t: Tables, given: Nodes, found: Descents) -> None:
    """Forms and bounds of all rows, with the multipliers as they are."""
    rows, neurons = given.phases.shape
    s = empty_slots(t, neurons)
    for first in range(0, rows, SLOTS):
        count = min(SLOTS, rows - first)
        for slot in range(count):
            load(given, first + slot, s, slot)
        descend_hidden(t, s, count)
        descend_inputs(t, s, count)
        for slot in range(count):
            b = first + slot
            found.values[b] = s.values[slot]
            copied(s.coefficients[slot], found.coefficients[b], 0)
            copied(s.form[slot, : found.forms.shape[1]], found.forms[b], 0)
            copied(s.total[slot], found.total[b], 0)


@search_kernel
def children(
    t: Tables, given: Nodes, node: IntArray, neuron: IntArray, phase: IntArray, bounds: SingleArray
) -> None:
    """Bounds of children, each of a row with one neuron decided and all else as it is."""
    s = empty_slots(t, given.phases.shape[1])
    for first in range(0, node.size, SLOTS):
        count = min(SLOTS, node.size - first)
        for slot in range(count):
            c = first + slot
            load(given, node[c], s, slot)
            s.phases[slot, neuron[c]], s.free[slot, neuron[c]] = phase[c], ZERO
        descend_hidden(t, s, count)
        descend_inputs(t, s, count)
        for slot in range(count):
            bounds[first + slot] = s.values[slot]
