"""Which neuron to split: the children's bounds, with all other multipliers as they are.

Filtered branching (De Palma et al. 2021): of each layer behind the first the neurons whose
relaxation may lose most are tried, of the first layer all, since their children's forms differ from
the node's by one row. The child that gains more counts: in a tree that is searched depth first to
its end, a split that settles one side at once costs one node.
"""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.dual import kernels
from reluopt.engines.branch_and_bound.dual.ascent import Batch, Descent, Model, descend, evaluate
from reluopt.numerics.arrays import IntArray, SingleArray, SingleMatrix

CANDIDATES = 10
"""Neurons of each layer behind the first that are tried."""

SMALLER_SHARE = 0.01
"""How much the gain of the child that gains less counts."""

MOST_CHILDREN = 1024
"""Children evaluated at once."""

NONE = -1
"""Split of a node whose neurons are all decided."""


def splits(model: Model, batch: Batch, threshold: float) -> IntArray:
    """The neuron to split in each node, :data:`NONE` where all are decided."""
    if (batch.phases != 0).all():
        return np.full(batch.size, NONE, dtype=np.int64)
    found = descend(model, batch)
    values = found.values.copy()
    kernels.subtract_sums(found.total, values)
    gains = _first_layer(model, batch, found, values, threshold)
    for k in range(1, len(found.coefficients)):
        _behind(model, batch, found.coefficients[k], k, values, threshold, gains)
    chosen = gains.argmax(axis=1)
    return np.where(gains[np.arange(batch.size), chosen] >= 0.0, chosen, NONE)


def _gain(
    inactive: SingleMatrix, active: SingleMatrix, values: SingleArray, threshold: float
) -> SingleMatrix:
    """How good a split is: by the children's gains, up to what is needed."""
    need = np.maximum(threshold - values, 1e-6)[:, None] * 1.01
    one = np.clip(inactive - values[:, None], 0.0, need)
    other = np.clip(active - values[:, None], 0.0, need)
    found: SingleMatrix = np.maximum(one, other) + SMALLER_SHARE * np.minimum(one, other)
    return found


def _first_layer(
    model: Model, batch: Batch, found: Descent, values: SingleArray, threshold: float
) -> SingleMatrix:
    """Gains of all neurons, those behind the first layer still -1."""
    gains = np.full(batch.phases.shape, -1.0, dtype=np.float32)
    if not model.top:
        return gains
    chain, coefficients = model.chain, found.coefficients[0]
    first, width = chain.layers[0], coefficients.shape[1]
    place = np.full(width, -1, dtype=np.int64)
    place[model.neurons] = np.arange(model.neurons.size)
    inactive, active = np.empty_like(coefficients), np.empty_like(coefficients)
    own = (first.single_bias, model.stacked, chain.single_offsets, batch.phases)
    args = (coefficients, found.forms[0], found.total, values, *own)
    kernels.first_layer_children(*args, place, model.edges, inactive, active)
    undecided = batch.phases[:, :width] == 0
    scores = np.empty_like(coefficients)
    _scores(model, batch, coefficients, 0, scores)
    own_gains = _gain(inactive, active, values, threshold) + 1e-6 * scores
    gains[:, :width] = np.where(undecided, own_gains, -1.0)
    return gains


def _scores(
    model: Model, batch: Batch, coefficients: SingleMatrix, k: int, out: SingleMatrix
) -> None:
    """What the relaxations of one layer lose at most."""
    layer = model.chain.layers[k]
    lower, upper = layer.lower.astype(np.float32), layer.upper.astype(np.float32)
    ends = (lower, upper, model.chain.single_offsets)
    kernels.scores(coefficients, model.chain.starts[k], *ends, batch.phases, batch.multipliers, out)


def _behind(
    model: Model,
    batch: Batch,
    coefficients: SingleMatrix,
    k: int,
    values: SingleArray,
    threshold: float,
    gains: SingleMatrix,
) -> None:
    """Gains of the most promising neurons of a layer behind the first."""
    scores = np.empty_like(coefficients)
    _scores(model, batch, coefficients, k, scores)
    count = min(CANDIDATES, scores.shape[1])
    start = model.chain.starts[k]
    tried = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    nodes, columns = np.repeat(np.arange(batch.size), count), tried.ravel()
    undecided = batch.phases[nodes, start + columns] == 0
    nodes, columns = nodes[undecided], columns[undecided]
    for first in range(0, nodes.size, MOST_CHILDREN // 2):
        node, column = (part[first : first + MOST_CHILDREN // 2] for part in (nodes, columns))
        ends: list[SingleMatrix] = []
        for phase in (-1, 1):
            child = batch.chosen(node)
            index = np.arange(node.size), start + column
            child.phases[index], child.multipliers[index] = phase, 0.0
            ends.append(evaluate(model, child)[:, None])
        gain = _gain(ends[0], ends[1], values[node], threshold)[:, 0]
        gains[node, start + column] = gain + 1e-6 * scores[node, column]
