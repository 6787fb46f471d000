r"""Multipliers that make bounds tight: projected gradient ascent, many nodes at once, in float32.

The bound of :mod:`.certificate` is concave in the multipliers of one layer, and every iterate is
valid, so the best one is kept (Xu et al. 2021; Wang et al. 2021). Its gradient comes from the point
s at which the form that is left takes its minimum, sent forward through the relaxation:
:math:`\partial / \partial \alpha_i = c_i a_i`, :math:`\partial / \partial \beta_i = \mp a_i`,
:math:`\partial / \partial w_i = c_i (G s + g - \hat s a - \hat t)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.dual import climbing, slots
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.climbing import Found
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES, Planes
from reluopt.engines.branch_and_bound.dual.slots import Batch, Descents, Free, Tables
from reluopt.numerics.arrays import (
    FloatArray,
    IntArray,
    SingleArray,
    SingleMatrix,
)
from reluopt.questions.margins import LogitConditions


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions ``matrix @ logits >= rhs`` that inputs of interest meet.

    Attributes:
        matrix: shape ``(conditions, n_K)``.
        rhs: shape ``(conditions,)``.
    """

    matrix: SingleMatrix
    rhs: SingleArray


def singles(conditions: LogitConditions | None) -> Conditions | None:
    """Conditions for the search."""
    if conditions is None:
        return None
    matrix = np.ascontiguousarray(conditions.matrix, dtype=np.float32)
    return Conditions(matrix, conditions.rhs.astype(np.float32))


@dataclass(eq=False)
class Model:
    """What all nodes of a tree share: the network, planes, and conditions.

    Attributes:
        chain: the network over the domain.
        tables: all of it as kernels take it.
    """

    chain: Chain
    tables: Tables

    @classmethod
    def of(
        cls, chain: Chain, planes: Planes = NO_PLANES, conditions: Conditions | None = None
    ) -> Model:
        """Forms of the last layer, with planes, one for each neuron at most."""
        none = Conditions(np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.float32))
        conditions = none if conditions is None else conditions
        stacked = chain.layers[0].single
        own = (stacked, chain.single_slopes, chain.single_offsets)
        lines = NO_PLANES.single_edges, planes_before(chain, NO_PLANES.neurons)
        rest = (chain.domain.caps, conditions.matrix, conditions.rhs)
        plain = cls(chain, Tables(*chain.flat, *own, NO_PLANES.neurons, 1, *lines, *rest))
        if not planes.count:
            return plain
        matrix = planes.matrix.astype(np.float32)
        return plain.with_planes(planes.neurons, 1, planes.single_edges, matrix)

    def with_planes(
        self, neurons: IntArray, each: int, edges: SingleArray, matrix: SingleMatrix
    ) -> Model:
        """The model with planes, ``each`` in a row of one neuron."""
        stacked = np.concatenate([self.chain.layers[0].single, matrix])
        firsts = planes_before(self.chain, neurons)
        planes = self.tables._replace(neurons=neurons, each=each, edges=edges, firsts=firsts)
        begins = self.tables.sparse.begins.copy()
        begins[0] = -1
        sparse = self.tables.sparse._replace(begins=begins)
        return Model(self.chain, planes._replace(stacked=stacked, sparse=sparse))

    @property
    def top(self) -> int:
        """The layer of all forms."""
        return len(self.chain.layers) - 1


def planes_before(chain: Chain, neurons: IntArray) -> IntArray:
    """Where the planes of each hidden layer begin, and how many there are."""
    return np.searchsorted(neurons, chain.starts).astype(np.int64)


def descend(model: Model, batch: Batch) -> Descents:
    """Coefficients and bounds with the multipliers as they are."""
    t, single = model.tables, np.float32
    found = Descents(
        np.empty(batch.size, dtype=single),
        np.empty(batch.phases.shape, dtype=single),
        np.empty((batch.size, t.stacked.shape[0]), dtype=single),
        np.empty((batch.size, t.stacked.shape[1]), dtype=single),
    )
    slots.descend(t, batch, found)
    return found


def children(
    model: Model, batch: Batch, node: IntArray, neuron: IntArray, phase: IntArray
) -> SingleArray:
    """Bounds of children of some nodes, one neuron decided, all other multipliers as they are.

    Args:
        model: network, planes, conditions.
        batch: the nodes.
        node: which of them, shape ``(children,)``.
        neuron: the one that is decided, same shape.
        phase: 1 where it is active, -1 where not, same shape.
    """
    bounds = np.empty(node.size, dtype=np.float32)
    slots.children(model.tables, batch, node, neuron, phase, bounds)
    return bounds


@dataclass(eq=False)
class Climbed:
    """What an ascent ends with.

    Attributes:
        bounds: the best of each row.
        free: the multipliers with which they were reached.
        points: where the last forms were least, shape ``(batch, inputs)``.
        mean: the average of these points over the ascent, later ones weighing more.
    """

    bounds: SingleArray
    free: Free
    points: SingleMatrix
    mean: FloatArray | None = None

    def joined(self, others: list[Climbed]) -> Climbed:
        """This and those, without averages."""
        if not others:
            return self
        every = [self, *others]
        multipliers, shares, mixture = (
            np.concatenate(made) for made in zip(*(one.free for one in every), strict=True)
        )
        bounds = np.concatenate([one.bounds for one in every])
        points = np.concatenate([one.points for one in every])
        return Climbed(bounds, (multipliers, shares, mixture), points)


def climb(
    model: Model,
    batch: Batch,
    iterations: int,
    enough: float = np.inf,
    *,
    averages: bool = False,
) -> Climbed:
    """Bounds of the forms of a batch after some iterations.

    Args:
        model: network, planes, conditions.
        batch: nodes with multipliers to begin with.
        iterations: evaluations, at least one.
        enough: rows whose bound exceeds it are not improved further.
        averages: whether to average the points.
    """
    bounds = np.empty(batch.size, dtype=np.float32)
    free = (
        np.empty_like(batch.multipliers),
        np.empty_like(batch.shares),
        np.empty_like(batch.mixture),
    )
    shape = batch.size, model.tables.stacked.shape[1]
    points, mean = np.empty(shape, dtype=np.float32), np.zeros(shape if averages else (0, 0))
    found = Found(bounds, *free, points, mean)
    climbing.ascend(model.tables, batch, iterations, enough, found)
    return Climbed(bounds, free, points, mean if averages else None)
