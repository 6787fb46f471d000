"""Least slacks of conditions on the logits, and their gradients by the input, in float32."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from reluopt.engines.branch_and_bound.dual.products import (
    MOST_ROWS,
    flattened,
    times,
    times_transposed,
)
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import (
    FloatArray,
    FloatMatrix,
    IntArray,
    SingleArray,
    SingleMatrix,
)
from reluopt.numerics.jit import search_kernel

ZERO = np.float32(0.0)


class Asked(NamedTuple):
    """Conditions ``matrix @ logits >= rhs`` of alternatives, those of one in a row.

    Attributes:
        first: where those of each alternative begin, and their number.
        matrix: shape ``(conditions, n_K)``.
        rhs: shape ``(conditions,)``.
    """

    first: IntArray
    matrix: FloatMatrix
    rhs: FloatArray


class Gradients(Protocol):
    """A network in float32."""

    def slacks(
        self, points: SingleMatrix, which: IntArray, asked: Asked
    ) -> tuple[FloatArray, SingleMatrix]:
        """Least slacks of points, and their gradients by the points.

        Args:
            points: shape ``(points, n_0)``.
            which: the alternative of each.
            asked: conditions.
        """


class _AnyLayers:
    """Affine maps of any kind."""

    def __init__(self, network: ReLUNetwork) -> None:
        self._weights: list[Any] = [m.weight.astype(np.float32) for m in network.affine_layers]
        self._biases = [m.bias.astype(np.float32) for m in network.affine_layers]

    def slacks(
        self, points: SingleMatrix, which: IntArray, asked: Asked
    ) -> tuple[FloatArray, SingleMatrix]:
        """See :class:`Gradients`."""
        values: list[SingleMatrix] = []
        current: Any = points
        for weight, bias in zip(self._weights, self._biases, strict=True):
            values.append(current @ weight.T + bias)
            current = np.maximum(values[-1], ZERO)
        slacks, rows = np.empty(which.size), np.empty_like(values[-1])
        worst_conditions(values[-1], which, *asked, slacks, rows)
        gradient: Any = rows
        for k in range(len(values) - 1, 0, -1):
            gradient = (gradient @ self._weights[k]) * (values[k - 1] > 0.0)
        return slacks, gradient @ self._weights[0]


class Layers(NamedTuple):
    """Dense layers as kernels take them; see :func:`.products.flattened`."""

    sizes: IntArray
    weights: SingleArray
    transposed: SingleArray
    biases: SingleArray
    first: SingleMatrix


class _DenseLayers:
    """Dense layers: a few points at a time pass through all of them."""

    def __init__(self, network: ReLUNetwork) -> None:
        weights = [layer.weight.astype(np.float32) for layer in network.affine_layers]
        biases = [layer.bias.astype(np.float32) for layer in network.affine_layers]
        self._layers = Layers(*flattened(weights, biases), np.ascontiguousarray(weights[0]))

    def slacks(
        self, points: SingleMatrix, which: IntArray, asked: Asked
    ) -> tuple[FloatArray, SingleMatrix]:
        """See :class:`Gradients`."""
        slacks, gradient = np.empty(which.size), np.empty_like(points)
        dense_slacks(self._layers, points, which, asked, slacks, gradient)
        return slacks, gradient


_KEPT: WeakKeyDictionary[ReLUNetwork, Gradients] = WeakKeyDictionary()


def gradients_of(network: ReLUNetwork) -> Gradients:
    """A network in float32, which is kept as long as the network."""
    found = _KEPT.get(network)
    if found is None:
        dense = all(isinstance(layer, Dense) for layer in network.affine_layers)
        found = _DenseLayers(network) if dense else _AnyLayers(network)
        _KEPT[network] = found
    return found


@search_kernel
def rectified(
    pre: SingleArray, biases: SingleArray, values: SingleArray, post: SingleArray
) -> None:
    """Add biases, and keep what is positive."""
    for i in range(biases.size):
        value = pre[i] + biases[i]
        values[i], post[i] = value, max(value, ZERO)


@search_kernel
def pulled_back(row: SingleArray, values: SingleArray) -> None:
    """Gradients by post-activations become those by pre-activations."""
    for i in range(values.size):
        row[i] = row[i] if values[i] > ZERO else ZERO


@search_kernel
def dense_slacks(
    t: Layers,
    points: SingleMatrix,
    which: IntArray,
    asked: Asked,
    slacks: FloatArray,
    gradient: SingleMatrix,
) -> None:
    """Least slacks of all points, and their gradients."""
    shape, classes = (MOST_ROWS, t.sizes.max()), t.sizes[-1]
    values = np.empty((MOST_ROWS, t.biases.size), np.float32)
    one, other = np.empty(shape, np.float32), np.empty(shape, np.float32)
    rows = np.empty((MOST_ROWS, classes), np.float32)
    logits = np.empty((MOST_ROWS, classes), np.float32)
    for begin in range(0, which.size, MOST_ROWS):
        end = min(begin + MOST_ROWS, which.size)
        count, place, start = end - begin, 0, 0
        times_transposed(points[begin:end], t.first, one, count)
        for k in range(t.sizes.size - 1):
            size, behind = t.sizes[k], t.sizes[k + 1]
            for b in range(count):
                rectified(one[b], t.biases[start : start + size], values[b, start:], other[b])
            stop = place + size * behind
            times(other, t.transposed[place:stop].reshape(size, behind), one, count, 0)
            place, start = stop, start + size
        for b in range(count):
            rectified(one[b], t.biases[start:], logits[b], other[b])
        own, found = which[begin:end], slacks[begin:end]
        worst_conditions(logits[:count], own, asked.first, asked.matrix, asked.rhs, found, rows)
        one[:count, :classes] = rows[:count]
        for k in range(t.sizes.size - 1, 0, -1):
            size, behind = t.sizes[k], t.sizes[k - 1]
            stop, place, start = place, place - size * behind, start - behind
            times(one, t.weights[place:stop].reshape(size, behind), other, count, 0)
            for b in range(count):
                pulled_back(other[b], values[b, start : start + behind])
            one, other = other, one
        times(one, t.first, gradient[begin:end], count, 0)


@search_kernel
def move(
    points: SingleMatrix,
    gradient: SingleMatrix,
    steps: SingleArray,
    low: SingleArray,
    high: SingleArray,
) -> None:
    """Move every coordinate by its step along the gradient's sign, as far as the ends."""
    for b in range(points.shape[0]):
        point, g = points[b], gradient[b]
        for j in range(point.size):
            reach = steps[j]
            moved = point[j] + (reach if g[j] > ZERO else (-reach if g[j] < ZERO else ZERO))
            point[j] = min(max(moved, low[j]), high[j])


@search_kernel
def worst_conditions(
    logits: SingleMatrix,
    which: IntArray,
    first: IntArray,
    matrix: FloatMatrix,
    rhs: FloatArray,
    slacks: FloatArray,
    rows: SingleMatrix,
) -> None:
    """The least slack of each point's alternative, and the row that has it.

    ``first`` says where the conditions of each alternative begin in ``matrix`` and ``rhs``.
    """
    for b in range(which.size):
        slacks[b] = np.inf
        worst = first[which[b]]
        for c in range(worst, first[which[b] + 1]):
            total = -rhs[c]
            for j in range(matrix.shape[1]):
                total += matrix[c, j] * logits[b, j]
            if not total >= slacks[b]:  # NaN is the worst
                slacks[b], worst = total, c
        for j in range(matrix.shape[1]):
            rows[b, j] = matrix[worst, j]
