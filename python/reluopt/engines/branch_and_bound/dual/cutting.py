"""Planes that help a form: made where its relaxation is least, weighed, and mixed to one a neuron.

At the relaxation's optimum nearly all inputs stand at an end of the box, and there the hull of one
ReLU is exact: a few rounds of new planes, the multipliers climbing in between, close most of what
triangles lose in the first layer.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound import threads
from reluopt.engines.branch_and_bound.dual.ascent import Climbed, Model, climb
from reluopt.engines.branch_and_bound.dual.certificate import lower_bounds
from reluopt.engines.branch_and_bound.dual.chain import Chain, Step
from reluopt.engines.branch_and_bound.dual.layers import both_ends, root_batch, signed_rows
from reluopt.engines.branch_and_bound.dual.planes import (
    STEPS,
    Planes,
    add_hull_planes,
    kept_point,
    mixed_planes,
)
from reluopt.engines.branch_and_bound.dual.slots import Batch, Free
from reluopt.engines.branch_and_bound.dual.vertices import all_planes, first_planes
from reluopt.numerics.arrays import ByteMatrix, FloatArray, IntArray, SingleMatrix

ROUNDS, ROUND_STEPS = 2, 10
"""Rounds of planes, and steps of the ascent before each and after the last: more lift a root a
little, but say no more of the nodes deep below it, which get planes of their own."""

LAYER_SHARE = 0.2
"""Of the time left, what planes for the bounds of one layer may take."""

FIRST_SHARE = 0.5
"""Share of a plane before an ascent."""


@dataclass(eq=False)
class Recipe:
    """What planes can be made again from.

    Attributes:
        neurons: of the first layer, that have planes.
        points: where planes were made, see :func:`.planes.kept_point`.
        shares: of each neuron's planes, shape ``(neurons, points)``.
    """

    neurons: IntArray
    points: list[NDArray[np.int8]]
    shares: SingleMatrix


@dataclass(eq=False)
class Cut:
    """A form with planes of its own.

    Attributes:
        recipe: of the planes, or None.
        planes: mixed in its proportions.
        batch: the form, with the multipliers and the planes' shares that its ascent ended with.
        bound: what that gave, in float32.
    """

    recipe: Recipe | None
    planes: Planes
    batch: Batch
    bound: float


@dataclass(eq=False)
class _Stack:
    """Planes of all rounds, side by side for each neuron."""

    neurons: IntArray
    matrices: list[SingleMatrix] = field(default_factory=list)
    edges: list[FloatArray] = field(default_factory=list)

    def add(self, chain: Chain, point: NDArray[np.int8]) -> None:
        """One more plane for each neuron."""
        shape = (self.neurons.size, chain.domain.columns)
        matrix, edges = np.zeros(shape), np.zeros(self.neurons.size)
        first, whole = chain.layers[0], np.ones(self.neurons.size)
        args = (first.weight, first.bias, chain.errors, self.neurons, point / STEPS, whole)
        add_hull_planes(*args, matrix, edges, np.zeros(self.neurons.size))
        self.matrices.append(matrix.astype(np.float32))
        self.edges.append(edges)

    def model(self, model: Model) -> Model:
        """The model with these planes."""
        each, inputs = len(self.matrices), model.chain.domain.columns
        matrix = np.stack(self.matrices, axis=1).reshape(self.neurons.size * each, inputs)
        edges = np.stack(self.edges, axis=1).ravel().astype(np.float32)
        return model.with_planes(np.repeat(self.neurons, each), each, edges, matrix)


def without_planes(batch: Batch) -> Batch:
    """A batch without shares of planes."""
    multipliers, _, mixture = batch.free
    return batch.with_free((multipliers, np.zeros((batch.size, 0), dtype=np.float32), mixture))


def cut(model: Model, batch: Batch) -> Cut | None:
    """Planes for the one form of a batch, as its domain has them; None where nothing is gained.

    Args:
        model: without planes.
        batch: one node, with multipliers to begin with; its shares of other planes are dropped.
    """
    return (hull_cut if model.chain.domain.is_box else vertex_cut)(model, batch)


def vertex_cut(model: Model, batch: Batch) -> Cut | None:
    """:func:`cut` over a simplex, None where all neurons are decided; proofs do not keep it."""
    if (batch.phases[0] != 0).all():
        return None
    found, planes = climbed_with_vertices(model, batch, batch.phases[0])
    return Cut(None, planes, batch.with_free(found.free), float(found.bounds[0]))


def climbed_with_vertices(model: Model, batch: Batch, phases: ByteMatrix) -> tuple[Climbed, Planes]:
    """An ascent with planes through corners (:mod:`.vertices`), and the planes.

    Those of the layers behind the first are low where the first layer's leave the forms least.

    Args:
        model: without planes.
        batch: nodes, with multipliers to begin with; their shares of other planes are dropped.
        phases: that all of them have, shape ``(neurons,)``.
    """
    chain = model.chain
    own = np.flatnonzero(phases[: chain.layers[0].bias.size] == 0)
    planes, free = first_planes(chain, own), without_planes(batch).free
    found = _climbed(model, batch, free, planes)
    if len(chain.hidden) > 1:
        assert found.mean is not None
        planes = all_planes(chain, phases, found.mean.mean(axis=0))
        found = _climbed(model, batch, found.free, planes)
    return found, planes


def _climbed(model: Model, batch: Batch, free: Free, planes: Planes) -> Climbed:
    """An ascent with planes, of which those that have no shares yet come last."""
    more = planes.count - free[1].shape[1]
    new = np.full((batch.size, more), FIRST_SHARE, dtype=np.float32)
    batch = batch.with_free((free[0], np.concatenate([free[1], new], axis=1), free[2]))
    matrix = planes.matrix.astype(np.float32)
    model = model.with_planes(planes.neurons, 1, planes.single_edges, matrix)
    return climb(model, batch, ROUND_STEPS, averages=True)


def hull_cut(
    model: Model, batch: Batch, rounds: int = ROUNDS, iterations: int = ROUND_STEPS
) -> Cut | None:
    """:func:`cut` over a box: hulls of first-layer neurons; None where none is undecided.

    Args:
        model: without planes.
        batch: one node, with multipliers to begin with; its shares of other planes are dropped.
        rounds: planes a neuron gets.
        iterations: steps of the ascent before each round, and after the last.
    """
    chain = model.chain
    width = chain.layers[0].bias.size
    neurons = np.flatnonzero(batch.phases[0, :width] == 0)
    if neurons.size == 0:
        return None
    stack, points = _Stack(neurons), []
    batch = without_planes(batch)
    found = climb(model, batch, iterations, averages=True)
    free: Free = found.free
    current = model
    for each in range(1, rounds + 1):
        assert found.mean is not None
        points.append(kept_point(found.mean[0]))
        stack.add(chain, points[-1])
        current = stack.model(model)
        old = free[1].reshape(neurons.size, each - 1) * np.float32(each / (each + 1.0))
        new = np.full((neurons.size, 1), 1.0 / (each + 1.0), dtype=np.float32)
        shares = np.ascontiguousarray(np.concatenate([old, new], axis=1).reshape(1, -1))
        batch = batch.with_free((free[0], shares, free[2]))
        found = climb(current, batch, iterations, averages=True)
        free = found.free
    shares = free[1].reshape(neurons.size, rounds)
    planes = mixed_planes(chain, neurons, points, shares)
    total = np.minimum(shares.sum(axis=1), 1.0)[None]
    ended = batch.with_free((free[0], np.ascontiguousarray(total), free[2]))
    return Cut(Recipe(neurons, points, shares), planes, ended, float(found.bounds[0]))


def bound_last_with_planes(
    chain: Chain,
    neurons: NDArray[np.int64],
    rounds: int = ROUNDS,
    iterations: int = ROUND_STEPS,
    deadline: Deadline = NEVER,
) -> None:
    """Tighten some undecided neurons of a chain's last layer, each end with planes of its own.

    Over a simplex all share planes. Neurons that a share of the time leaves keep their bounds; each
    is bounded on a thread of its own, where there are several.
    """
    model = Model.of(chain)
    if not chain.domain.is_box:
        _bound_last_with_vertices(model, neurons)
        return
    until = deadline.share(LAYER_SHARE)

    def ends(neuron: int) -> list[_End]:
        return [] if until.passed else _ends(model, neuron, rounds, iterations)

    made = list(itertools.chain(*threads.each(ends, neurons.tolist())))
    if made:
        step = Step(
            len(chain.layers) - 1,
            np.array([end.neuron for end in made]),
            np.array([end.sign for end in made], dtype=np.int8),
            np.concatenate([end.multipliers for end in made]),
            np.array([end.recipe.points for end in made]),
            np.array([end.recipe.shares for end in made]),
        )
        chain.bound_last(step, np.array([end.bound for end in made]))


class _End(NamedTuple):
    """A bound of one end of a neuron, and what it is shown by."""

    neuron: int
    sign: int
    recipe: Recipe
    multipliers: SingleMatrix
    bound: float


def _ends(model: Model, neuron: int, rounds: int, iterations: int) -> list[_End]:
    """Both ends of a neuron of a last layer, each with planes of its own; one if that decides it.

    Nothing where no neuron of the first layer is undecided.
    """
    chain, made = model.chain, []
    for sign in (1, -1):
        forms = signed_rows(chain, np.array([neuron]), np.array([sign], dtype=np.int8))
        batch = root_batch(chain, forms.rows.astype(np.float32), forms.constants)
        found = hull_cut(model, batch, rounds, iterations)
        if found is None:
            break
        free = found.batch.free[:2]
        bound = float(lower_bounds(chain, forms, batch.phases, *free, found.planes)[0])
        assert found.recipe is not None
        made.append(_End(neuron, sign, found.recipe, found.batch.multipliers, bound))
        if bound >= 0.0:  # decided: its other end does not matter
            break
    return made


def _bound_last_with_vertices(model: Model, neurons: NDArray[np.int64]) -> None:
    """Tighten some neurons of a last layer over a simplex."""
    chain = model.chain
    for both, signs, forms, batch in both_ends(chain, neurons):
        found, planes = climbed_with_vertices(model, batch, chain.phases)
        bounds = lower_bounds(chain, forms, batch.phases, *found.free[:2], planes)
        chain.tighten_last(both, signs, bounds)
