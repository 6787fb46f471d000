"""Which neuron to split: the children's bounds, with all other multipliers as they are.

Filtered branching (De Palma et al. 2021): of each layer behind the first the neurons whose
relaxation may lose most are tried, of the first layer all, since their children's forms differ from
the node's by one row. The child that gains more counts: in a tree that is searched depth first to
its end, a split that settles one side at once costs one node.
"""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.dual import kernels
from reluopt.engines.branch_and_bound.dual.ascent import Model, children, descend
from reluopt.engines.branch_and_bound.dual.slots import Batch, Descents
from reluopt.numerics.arrays import IntArray, SingleArray, SingleMatrix

CANDIDATES = 10
"""Neurons of each layer behind the first that are tried."""

SMALLER_SHARE = 0.01
"""How much the gain of the child that gains less counts."""

NONE = -1
"""Split of a node whose neurons are all decided."""


def splits(model: Model, batch: Batch, threshold: float) -> IntArray:
    """The neuron to split in each node, :data:`NONE` where all are decided."""
    if (batch.phases != 0).all():
        return np.full(batch.size, NONE, dtype=np.int64)
    found = descend(model, batch)
    gains = _first_layer(model, batch, found, threshold)
    for k in range(1, model.top):
        _behind(model, batch, found, k, threshold, gains)
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


def _first_layer(model: Model, batch: Batch, found: Descents, threshold: float) -> SingleMatrix:
    """Gains of all neurons, those behind the first layer still -1."""
    gains = np.full(batch.phases.shape, -1.0, dtype=np.float32)
    if not model.top:
        return gains
    t, width = model.tables, model.chain.layers[0].bias.size
    place = np.full(width, -1, dtype=np.int64)
    count = t.firsts[1]
    place[t.neurons[:count]] = np.arange(count)
    inactive = np.empty((batch.size, width), dtype=np.float32)
    active = np.empty_like(inactive)
    kernels.first_layer_children(t, found, batch.phases, place, inactive, active)
    scores = _scores(model, batch, found, 0)
    own_gains = _gain(inactive, active, found.values, threshold) + 1e-6 * scores
    gains[:, :width] = np.where(batch.phases[:, :width] == 0, own_gains, -1.0)
    return gains


def _scores(model: Model, batch: Batch, found: Descents, k: int) -> SingleMatrix:
    """What the relaxations of one layer lose at most."""
    layer = model.chain.layers[k]
    lower, upper = layer.lower.astype(np.float32), layer.upper.astype(np.float32)
    scores = np.empty((batch.size, lower.size), dtype=np.float32)
    ends = (lower, upper, model.tables.offsets)
    args = (found.coefficients, model.chain.starts[k], *ends, batch.phases, batch.multipliers)
    kernels.scores(*args, scores)
    return scores


def _behind(
    model: Model, batch: Batch, found: Descents, k: int, threshold: float, gains: SingleMatrix
) -> None:
    """Gains of the most promising neurons of a layer behind the first."""
    scores = _scores(model, batch, found, k)
    count = min(CANDIDATES, scores.shape[1])
    start = model.chain.starts[k]
    tried = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    node, column = np.repeat(np.arange(batch.size), count), tried.ravel()
    undecided = batch.phases[node, start + column] == 0
    node, column = node[undecided], column[undecided]
    phase = np.repeat(np.array([-1, 1]), node.size)
    ends = children(model, batch, np.tile(node, 2), np.tile(start + column, 2), phase)
    inactive, active = ends[: node.size, None], ends[node.size :, None]
    gain = _gain(inactive, active, found.values[node], threshold)[:, 0]
    gains[node, start + column] = gain + 1e-6 * scores[node, column]
