r"""Multipliers that make bounds tight: projected gradient ascent, many nodes at once, in float32.

The bound of :mod:`.certificate` is concave in the multipliers of one layer, and every iterate is
valid, so the best one is kept (Xu et al. 2021; Wang et al. 2021). Its gradient comes from the point
s at which the form that is left takes its minimum, sent forward through the relaxation:
:math:`\partial / \partial \alpha_i = c_i a_i`, :math:`\partial / \partial \beta_i = \mp a_i`,
:math:`\partial / \partial w_i = c_i (G s + g - \hat s a - \hat t)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from reluopt.engines.branch_and_bound.dual import kernels
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES, Planes
from reluopt.numerics.arrays import (
    BoolArray,
    ByteMatrix,
    FloatArray,
    IntArray,
    SingleArray,
    SingleMatrix,
)

SLOPE_RATE = 0.25
"""Adam's rate for slopes and shares, which lie in [0, 1]."""

SPLIT_RATE = 0.3
"""Adam's rate for multipliers of splits, relative to the mean coefficient of their layer."""

DECAY = 0.97
"""Factor of the rates from one iteration to the next."""

WORTH_REMOVING = 0.2
"""Share of rows that must be done before they are taken out of the batch."""


@dataclass(eq=False)
class Batch:
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
        parts: tuple[Any, ...] = (self.rows, self.constants, self.phases, *self.free)
        return Batch(*(np.ascontiguousarray(part[index]) for part in parts))

    @property
    def free(self) -> Free:
        """All that an ascent may choose."""
        return self.multipliers, self.shares, self.mixture

    def with_free(self, free: Free) -> Batch:
        """The nodes with other multipliers."""
        return Batch(self.rows, self.constants, self.phases, *free)


Free: TypeAlias = tuple[SingleMatrix, SingleMatrix, SingleMatrix]
"""Multipliers, shares and mixture."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions ``matrix @ logits >= rhs`` that inputs of interest meet.

    Attributes:
        matrix: shape ``(conditions, n_K)``.
        rhs: shape ``(conditions,)``.
    """

    matrix: SingleMatrix
    rhs: SingleArray


@dataclass(eq=False)
class Model:
    """What all nodes of a tree share: the network, planes, and conditions.

    Attributes:
        chain: the network over the box.
        top: the layer of all forms.
        conditions: of the logits, or None.
        neurons: of each plane.
        each: how many a neuron has, in a row.
        edges: constants.
        stacked: weights of the first layer and, below, of the planes; and their transpose.
    """

    chain: Chain
    top: int
    conditions: Conditions | None
    neurons: IntArray
    each: int
    edges: SingleArray
    stacked: SingleMatrix
    transposed: SingleMatrix

    @classmethod
    def of(
        cls,
        chain: Chain,
        planes: Planes = NO_PLANES,
        top: int | None = None,
        conditions: Conditions | None = None,
    ) -> Model:
        """Planes, one for each neuron at most; forms of the last layer unless another is named."""
        first, top = chain.layers[0], len(chain.layers) - 1 if top is None else top
        none = np.zeros(0, dtype=np.float32)
        stacked, transposed = first.single, first.single_transposed
        if planes.count:
            stacked = np.concatenate([first.single, planes.matrix.astype(np.float32)])
            transposed = np.ascontiguousarray(stacked.T)
        edges = planes.single_edges if planes.count else none
        return cls(chain, top, conditions, planes.neurons, 1, edges, stacked, transposed)


@dataclass(eq=False)
class Descent:
    """A form on its way down to the inputs.

    Attributes:
        values: bounds, before the inputs' part is subtracted.
        coefficients: of post-activations, for each hidden layer below the top.
        forms: of pre-activations; of the first layer with the planes' parts behind.
        total: coefficients of the inputs.
    """

    values: SingleArray
    coefficients: list[SingleMatrix] = field(default_factory=list)
    forms: list[SingleMatrix] = field(default_factory=list)
    total: SingleMatrix = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))


def descend(model: Model, batch: Batch) -> Descent:
    """Coefficients and constants down to the inputs; lists begin with the first layer."""
    chain, conditions = model.chain, model.conditions
    found = Descent(batch.constants.copy())
    current = batch.rows
    if conditions is not None:
        current = current - batch.mixture @ conditions.matrix
        found.values += batch.mixture @ conditions.rhs
    slopes, offsets = chain.single_slopes, chain.single_offsets
    for k in range(model.top, 0, -1):
        layer = chain.layers[k]
        found.values += current @ layer.single_bias
        coefficients = current @ layer.single
        width = coefficients.shape[1] + (model.neurons.size if k == 1 else 0)
        current = np.empty((batch.size, width), dtype=np.float32)
        given = (slopes, offsets, batch.phases, batch.multipliers)
        kernels.relax(coefficients, chain.starts[k - 1], *given, current, found.values)
        if k == 1 and model.neurons.size:
            lines = (slopes, offsets, batch.phases)
            planes = (batch.shares, model.neurons, model.edges)
            kernels.add_planes(coefficients, *lines, *planes, current, found.values)
        found.coefficients.insert(0, coefficients)
        found.forms.insert(0, current)
    first = chain.layers[0]
    found.values += current[:, : first.bias.size] @ first.single_bias
    found.total = current @ (model.stacked if model.top else first.single)
    return found


def evaluate(model: Model, batch: Batch) -> SingleArray:
    """Bounds with the multipliers as they are."""
    found = descend(model, batch)
    kernels.subtract_sums(found.total, found.values)
    return found.values


def _copies(free: Free) -> Free:
    """Multipliers that may be changed."""
    return free[0].copy(), free[1].copy(), free[2].copy()


class Ascent:
    """A running ascent.

    Attributes:
        batch: nodes with their present multipliers.
        best: their best bounds, and ``kept`` the multipliers of these.
        points: where their forms were least.
    """

    def __init__(self, model: Model, batch: Batch) -> None:
        self.model = model
        self.batch = batch.with_free(_copies(batch.free))
        self.best = np.full(batch.size, -np.inf, dtype=np.float32)
        self.kept = _copies(batch.free)
        self.points = np.empty((batch.size, model.chain.moving.size), dtype=np.float32)
        self._first, self._second = ([np.zeros_like(part) for part in batch.free] for _ in range(2))
        self._split_rates: list[float] = []
        self._iteration = 0

    def step(self, last: bool) -> None:
        """Evaluate, keep what is better, and move the multipliers unless it was the last step."""
        found = descend(self.model, self.batch)
        kernels.box_minimum(found.total, found.values, self.points)
        kernels.keep_best(found.values, self.best, *self.batch.free, *self.kept)
        if not last and self.model.top:
            self._move(found)
        self._iteration += 1

    def _move(self, found: Descent) -> None:
        """One step of every multiplier."""
        model, batch = self.model, self.batch
        chain, rate = model.chain, DECAY**self._iteration
        gradient, share_gradient = np.empty_like(batch.multipliers), np.empty_like(batch.shares)
        below = self.points
        if not self._split_rates:
            means = (float(np.abs(c).sum()) / max(c.size, 1) for c in found.coefficients)
            self._split_rates = [SPLIT_RATE * mean for mean in means]
        for k, coefficients in enumerate(found.coefficients):
            layer, start = chain.layers[k], chain.starts[k]
            pre = below @ (model.transposed if k == 0 else layer.single_transposed)
            width = coefficients.shape[1]
            pre[:, :width] += layer.single_bias
            post = np.empty_like(coefficients)
            given = (chain.single_slopes, chain.single_offsets, batch.phases, batch.multipliers)
            kernels.respond(coefficients, start, *given, pre, post, gradient)
            if k == 0 and model.neurons.size:
                planes = (batch.shares, model.neurons, model.edges)
                args = (batch.phases, *planes, pre, post, share_gradient)
                kernels.respond_with_planes(coefficients, *args)
            below = post
            moments = (self._first[0], self._second[0], batch.phases)
            rates = (SLOPE_RATE * rate, self._split_rates[k] * rate, self._iteration)
            kernels.climb(batch.multipliers, gradient, *moments, start, start + width, *rates)
        if model.neurons.size:
            moved = (self._first[1], self._second[1], model.each, SLOPE_RATE * rate)
            kernels.climb_shares(batch.shares, share_gradient, *moved, self._iteration)
        if model.conditions is not None:
            self._mix(below, model.conditions, SLOPE_RATE * rate)

    def _mix(self, below: SingleMatrix, conditions: Conditions, rate: float) -> None:
        """One step of the multipliers of conditions."""
        top = self.model.chain.layers[self.model.top]
        logits = below @ top.single_transposed + top.single_bias
        gradient = np.asarray(conditions.rhs - logits @ conditions.matrix.T, dtype=np.float32)
        mixture = self.batch.mixture
        moved = (self._first[2], self._second[2], rate, self._iteration)
        kernels.climb_mixture(mixture, gradient, *moved)

    def drop(self, done: BoolArray) -> None:
        """Take rows out."""
        left = ~done
        self.batch = self.batch.chosen(left)
        self.best = self.best[left]
        self.kept = tuple(np.ascontiguousarray(part[left]) for part in self.kept)  # type: ignore[assignment]
        self.points = np.ascontiguousarray(self.points[left])
        for moments in (self._first, self._second):
            moments[:] = [np.ascontiguousarray(each[left]) for each in moments]


@dataclass(eq=False)
class Climbed:
    """What an ascent ends with.

    Attributes:
        bounds: the best of each row.
        free: the multipliers with which they were reached.
        points: where the last forms were least, shape ``(batch, inputs)``.
        mean: the average of these points over the ascent, later ones weighing more; of a batch
            from which nothing was dropped.
    """

    bounds: SingleArray
    free: Free
    points: SingleMatrix
    mean: FloatArray | None = None


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
    run = Ascent(model, batch)
    free = _copies(batch.free)
    bounds = np.full(batch.size, -np.inf, dtype=np.float32)
    found = Climbed(bounds, free, np.zeros_like(run.points))
    index = np.arange(batch.size)
    mean, weight = np.zeros(run.points.shape), 0.0

    def store() -> None:
        found.bounds[index], found.points[index] = run.best, run.points
        for whole, part in zip(found.free, run.kept, strict=True):
            whole[index] = part

    for iteration in range(iterations):
        run.step(last=iteration == iterations - 1)
        if averages:
            share = (iteration + 1.0) ** 2
            mean, weight = mean + share * run.points, weight + share
        done = run.best > enough
        count = int(np.count_nonzero(done))
        if count == index.size:
            break
        if count > WORTH_REMOVING * index.size:
            store()
            run.drop(done)
            index = index[~done]
    store()
    if averages:
        found.mean = mean / weight
    return found
