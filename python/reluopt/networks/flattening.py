"""Networks as flat arrays, the form that kernels take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from reluopt.networks.layers.base import Affine
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.flat import FlatNetwork


def flatten(network: ReLUNetwork) -> FlatNetwork:
    """The flat form of ``network``; about 0.1 ms, to be done once and kept."""
    layers = network.affine_layers
    sizes = np.array(network.sizes, dtype=np.int64)
    rows = _stacked([layer.weight for layer in layers])
    columns = _stacked([layer.weight.T for layer in layers])
    return FlatNetwork(
        weights=rows.numbers,
        columns=columns.numbers,
        biases=np.concatenate([layer.bias for layer in layers]),
        sizes=sizes,
        weight_offsets=rows.offsets,
        neuron_offsets=np.concatenate(([0], np.cumsum(sizes[1:]))).astype(np.int64),
        signs=np.concatenate([_signs(layer) for layer in layers]),
        row_places=rows.places,
        row_starts=rows.starts,
        row_indices=rows.indices,
        column_places=columns.places,
        column_starts=columns.starts,
        column_indices=columns.indices,
    )


def _signs(layer: Affine) -> IntArray:
    """Of every output for inputs that are not negative; 0 where it may be either."""
    least, most = layer.weight.min(axis=1), layer.weight.max(axis=1)
    if not isinstance(least, np.ndarray):  # of a sparse matrix; zeros count
        least, most = least.toarray().ravel(), most.toarray().ravel()
    falls = np.minimum(least, layer.bias) < 0.0
    rises = np.maximum(most, layer.bias) > 0.0
    return np.where(falls, np.where(rises, 0, -1), 1).astype(np.int64)


class _Stack(NamedTuple):
    """Matrices one after the other; see :class:`~reluopt.numerics.flat.FlatNetwork`."""

    numbers: FloatArray
    offsets: IntArray
    places: IntArray
    starts: IntArray
    indices: IntArray


def _stacked(matrices: Sequence[Any]) -> _Stack:
    """Dense matrices by rows, sparse ones in CSR."""
    numbers, indices, starts = [], [], [np.zeros(0, dtype=np.int64)]
    offsets, places, offset, place = [], [], 0, 0
    any_sparse = not all(isinstance(matrix, np.ndarray) for matrix in matrices)
    for matrix in matrices:
        offsets.append(offset)
        if isinstance(matrix, np.ndarray):
            places.append(-1)
            numbers.append(matrix.ravel())
            indices.append(np.zeros(matrix.size if any_sparse else 0, dtype=np.int64))
        else:
            rows = matrix.tocsr()
            places.append(place)
            numbers.append(rows.data)
            indices.append(rows.indices.astype(np.int64))
            starts.append(rows.indptr.astype(np.int64) + offset)
            place += rows.indptr.size
        offset += numbers[-1].size
    return _Stack(
        np.concatenate(numbers),
        np.array(offsets, dtype=np.int64),
        np.array(places, dtype=np.int64),
        np.concatenate(starts),
        np.concatenate(indices),
    )
