"""A few nodes at a time: their forms down to the inputs, and a step of their multipliers.

Nodes pass through *slots* whose working arrays stay in the cache. A slot takes the next node of the
batch when its node has had all its steps or is good enough. See :mod:`.ascent` for the bound, and
:mod:`.certificate` for its evaluation with outward rounding: nothing here is part of a proof.

``phases`` holds 0 for an undecided neuron, 1 for an active and -1 for an inactive one.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from reluopt.engines.branch_and_bound.dual.products import MOST_ROWS, times
from reluopt.engines.branch_and_bound.dual.sparse import SparseLayers, sparse_times
from reluopt.numerics.arrays import BoolArray, ByteMatrix, IntArray, SingleArray, SingleMatrix
from reluopt.numerics.jit import apart, part, search_kernel

SLOTS = MOST_ROWS
"""Nodes that are worked on at a time."""

ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)

HALVINGS = 14
"""Of the interval of a budget's price, any of which is valid."""


class Tables(NamedTuple):
    """A model as kernels take it.

    Attributes:
        sizes: neurons of each layer up to the top, shape ``(layers,)``.
        weights: of the dense layers behind the first, row by row, one after the other; and their
            transposes.
        biases: of all layers.
        places: where each layer's weights begin.
        sparse: the other layers, and the first one where it is sparse and there are no planes.
        stacked: weights of the first layer and, below, of the planes.
        slopes: of the lines above hidden neurons, and their ``offsets``.
        neurons: of each plane, ``each`` in a row of one neuron, layer by layer, and their constants
            ``edges``.
        firsts: where the planes of each hidden layer begin, and how many there are.
        caps: of a simplex, see :mod:`.domains`; of a box empty.
        matrix: of the conditions, and their right-hand sides ``rhs``.
    """

    sizes: IntArray
    weights: SingleArray
    transposed: SingleArray
    biases: SingleArray
    places: IntArray
    sparse: SparseLayers
    stacked: SingleMatrix
    slopes: SingleArray
    offsets: SingleArray
    neurons: IntArray
    each: int
    edges: SingleArray
    firsts: IntArray
    caps: SingleArray
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
        parts: coefficients of planes, and ``lines``, their values where the form is least.
        pre, post: values of one layer there.
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
    parts: SingleMatrix
    lines: SingleMatrix
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
        np.empty((SLOTS, planes), single),
        np.empty((SLOTS, planes), single),
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


Free: TypeAlias = tuple[SingleMatrix, SingleMatrix, SingleMatrix]
"""Multipliers, shares and mixture."""


class Batch(NamedTuple):
    """Nodes, one a row.

    Attributes:
        rows: their forms of the pre-activations of the top layer, shape ``(batch, n_top)``.
        constants: shape ``(batch,)``.
        phases: of hidden neurons, shape ``(batch, neurons)``.
        multipliers: alpha or beta, same shape.
        shares: of planes, shape ``(batch, planes)``.
        mixture: mu >= 0 of the conditions, which add ``mu @ (rhs - matrix @ logits)`` to every
            form; shape ``(batch, conditions)``.
    """

    rows: SingleMatrix
    constants: SingleArray
    phases: ByteMatrix
    multipliers: SingleMatrix
    shares: SingleMatrix
    mixture: SingleMatrix

    @property
    def size(self) -> int:
        """How many nodes."""
        return self.constants.size

    def chosen(self, index: BoolArray | IntArray | slice) -> Batch:
        """Copies of some of them."""
        parts: tuple[Any, ...] = self
        return Batch(*(np.ascontiguousarray(part[index]) for part in parts))

    @property
    def free(self) -> Free:
        """All that an ascent may choose."""
        return self.multipliers, self.shares, self.mixture

    def with_free(self, free: Free) -> Batch:
        """The nodes with other multipliers."""
        return Batch(self.rows, self.constants, self.phases, *free)


def taken(free: Free, index: BoolArray | IntArray) -> Free:
    """Those of some nodes."""
    multipliers, shares, mixture = free
    return multipliers[index], shares[index], mixture[index]


@search_kernel
def renew(given: Batch, b: int, s: Slots, slot: int) -> None:
    """Put the form of row b into a slot again: a descent has used it up."""
    s.values[slot] = given.constants[b]
    copied(given.rows[b], s.form[slot], 0)


@apart
@search_kernel
def load(given: Batch, b: int, s: Slots, slot: int) -> None:
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
def add_planes(t: Tables, s: Slots, b: int, layer: int, start: int) -> None:
    """Move shares of a layer's neurons from the line above them to planes, after :func:`relax`."""
    total, shares = ZERO, s.phases.shape[1]
    for k in range(t.firsts[layer], t.firsts[layer + 1]):
        i = t.neurons[k]
        c = s.coefficients[b, i]
        if s.phases[b, i] == 0 and c < ZERO:
            moved = c * s.free[b, shares + k]
            s.parts[b, k] = moved
            s.form[b, i - start] -= moved * t.slopes[i]
            total += moved * (t.edges[k] - t.offsets[i])
        else:
            s.parts[b, k] = ZERO
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
    bias, start = t.biases.size, t.sizes[:top].sum()
    for k in range(top, 0, -1):
        size, width, place = t.sizes[k], t.sizes[k - 1], t.places[k]
        bias, start = bias - size, start - width
        add_biases(s, count, t.biases[bias : bias + size])
        if t.sparse.begins[k] < 0:
            matrix = t.weights[place : place + size * width].reshape(size, width)
            times(s.form, matrix, s.coefficients, count, start)
        else:
            sparse_times(s.form, t.sparse, k, size, s.coefficients, count, start, width)
        for b in range(count):
            relax(t, s, b, start, start + width)
            add_planes(t, s, b, k - 1, start)
    if top:
        for b in range(count):
            copied(s.parts[b], s.form[b], t.sizes[0])
    add_biases(s, count, t.biases[: t.sizes[0]])


@search_kernel
def budget_price(form: SingleArray, caps: SingleArray) -> Any:
    """Two prices of a simplex' budget (:mod:`.domains`), between which is the best; 0 if free."""
    spent, high = ZERO, ZERO
    for j in range(form.size):
        spent += caps[j] if form[j] < ZERO else ZERO
        high = max(high, -form[j])
    low = ZERO
    if spent <= ONE:
        return low, low
    for _ in range(HALVINGS):
        price, spent = HALF * (low + high), ZERO
        for j in range(form.size):
            spent += caps[j] if -form[j] > price else ZERO
        if spent > ONE:
            low = price
        else:
            high = price
    return low, high


@part
def simplex_largest(form: SingleArray, caps: SingleArray, point: SingleArray) -> Any:
    """The largest value of ``-form @ s`` over a simplex, and where it is taken.

    What is left of the budget goes to all columns between the two prices.
    """
    low, high = budget_price(form, caps)
    value, spent, between = high, ZERO, ZERO
    for j in range(form.size):
        gain = -form[j]
        value += caps[j] * max(gain - high, ZERO)
        spent += caps[j] if gain > high else ZERO
        between += caps[j] if (gain > low and gain <= high) else ZERO
    share = min((ONE - spent) / between, ONE) if between > ZERO else ZERO
    for j in range(form.size):
        gain = -form[j]
        inside = share * caps[j] if gain > low else ZERO
        point[j] = caps[j] if gain > high else inside
    return value


@apart
@search_kernel
def descend_inputs(t: Tables, s: Slots, count: int) -> None:
    """From forms of the first layer, and of planes, to the inputs, and the least values."""
    if t.sparse.begins[0] < 0:
        times(s.form, t.stacked, s.total, count, 0)
    else:
        sparse_times(s.form, t.sparse, 0, t.sizes[0], s.total, count, 0, t.stacked.shape[1])
    if t.caps.size:
        for b in range(count):
            s.values[b] -= simplex_largest(s.total[b], t.caps, s.points[b])
        return
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
def descend(t: Tables, given: Batch, found: Descents) -> None:
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
    t: Tables, given: Batch, node: IntArray, neuron: IntArray, phase: IntArray, bounds: SingleArray
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
