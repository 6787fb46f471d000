"""All splits of a small tree at once: one path to a linear region, and the nodes beside it.

Where few neurons are undecided and little is missing, a tree is one path to the linear region in
which the form is least, and nodes beside it that are closed at once. Bounding them together costs
as much as bounding two of them.
"""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.dual.ascent import children
from reluopt.engines.branch_and_bound.dual.branching import NONE
from reluopt.engines.branch_and_bound.dual.layers import ITERATIONS
from reluopt.engines.branch_and_bound.dual.tree import Nodes, Record, Tree
from reluopt.numerics.arrays import ByteMatrix, IntArray, SingleMatrix

MOST = 24
"""Undecided neurons of a node that is worth a fan."""


def fan(tree: Tree, points: SingleMatrix) -> None:
    """Replace every waiting root of few undecided neurons by a fan.

    Args:
        tree: one whose roots have just been planted.
        points: inputs of each form whose linear regions the paths lead to, shape
            ``(forms, inputs)``.
    """
    waiting, tree.stack = tree.stack, []
    for nodes in waiting:
        undecided = (nodes.batch.phases == 0).sum(axis=1)
        few = (undecided > 1) & (undecided <= MOST)
        if not few.all():
            tree.stack.append(nodes.chosen(~few))
        for b in np.flatnonzero(few):
            one = nodes.chosen(slice(b, b + 1))
            tree.bound(_fanned(tree, one, _phases(tree, points[one.form[0]])), ITERATIONS)


def _phases(tree: Tree, point: SingleMatrix) -> IntArray:
    """1 for hidden neurons that are active at a point, -1 for the others."""
    found, values = [], point.astype(np.float64)
    for layer in tree.model.chain.hidden:
        values = layer.weight @ values + layer.bias
        found.append(np.where(values > 0.0, 1, -1))
        values = np.maximum(values, 0.0)
    return np.concatenate(found)


def _fanned(tree: Tree, node: Nodes, phases: IntArray) -> Nodes:
    """The nodes of the fan, the one of the path's end last."""
    own: ByteMatrix = node.batch.phases
    undecided = np.flatnonzero(own[0] == 0)
    first = np.zeros(undecided.size, dtype=np.int64)
    aside = children(tree.model, node.batch, first, undecided, -phases[undecided])
    order = undecided[np.argsort(-aside, kind="stable")]
    nodes = node.chosen(np.zeros(order.size + 1, dtype=np.int64))
    for step, neuron in enumerate(order):
        nodes.batch.phases[step:, neuron] = phases[neuron]
        nodes.batch.phases[step, neuron] = -phases[neuron]
        nodes.batch.multipliers[step:, neuron] = 0.0
    nodes.split[:] = NONE
    if tree.record is not None:
        nodes.names = _named(tree.record, int(node.names[0]), order, phases)
    return nodes


def _named(record: Record, name: int, order: IntArray, phases: IntArray) -> IntArray:
    """Names of the nodes of a fan below a node; the path's own nodes are named, too."""
    names = np.empty(order.size + 1, dtype=np.int64)
    for step, neuron in enumerate(order.tolist()):
        aside, along = record.new(2).tolist()
        pair = (along, aside) if phases[neuron] < 0 else (aside, along)
        record.children[name] = (neuron, *pair)
        names[step], name = aside, along
    names[-1] = name
    return names
