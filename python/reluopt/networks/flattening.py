"""Networks as flat arrays, the form that kernels take."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from reluopt.networks.layers.base import Affine
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.flat import FlatNetwork

_KEPT: WeakKeyDictionary[ReLUNetwork, FlatNetwork] = WeakKeyDictionary()


def flatten(network: ReLUNetwork) -> FlatNetwork:
    """The flat form of ``network``, made once and kept as long as the network is."""
    found = _KEPT.get(network)
    if found is None:
        found = _KEPT[network] = _flat(network)
    return found


def _flat(network: ReLUNetwork) -> FlatNetwork:
    """The arrays of a network."""
    layers = network.affine_layers
    sizes = np.array(network.sizes, dtype=np.int64)
    index = _Index()
    rows, columns = [], []
    for layer in layers:
        rows.append(index.numbers(layer.weight))
        columns.append(index.numbers(layer.weight.T))
    offsets = np.cumsum([0, *(numbers.size for numbers in rows)])[:-1]
    return FlatNetwork(
        weights=np.concatenate(rows),
        columns=np.concatenate(columns),
        biases=np.concatenate([layer.bias for layer in layers]),
        sizes=sizes,
        weight_offsets=offsets.astype(np.int64),
        neuron_offsets=np.concatenate(([0], np.cumsum(sizes[1:]))).astype(np.int64),
        signs=np.concatenate([_signs(layer) for layer in layers]),
        places=np.array(index.places, dtype=np.int64),
        indices=np.concatenate(index.parts),
    )


class _Index:
    """Where the numbers of sparse matrices stand; see :class:`~reluopt.numerics.flat.FlatNetwork`.

    Attributes:
        places: two for each matrix.
        parts: what they point to, joined.
    """

    def __init__(self) -> None:
        self.places: list[int] = []
        self.parts = [np.zeros(1, dtype=np.int64)]
        self._size = 1

    def numbers(self, matrix: Any) -> FloatArray:
        """Those of a matrix, row after row, whose places are noted."""
        if isinstance(matrix, np.ndarray):
            self.places += [-1, -1]
            return matrix.ravel()
        rows = matrix.tocsr()
        for part in (rows.indptr, rows.indices):
            self.places.append(self._size)
            self.parts.append(part.astype(np.int64))
            self._size += part.size
        return np.asarray(rows.data)


def _signs(layer: Affine) -> IntArray:
    """Of every output for inputs that are not negative; 0 where it may be either."""
    least, most = layer.weight.min(axis=1), layer.weight.max(axis=1)
    if not isinstance(least, np.ndarray):  # of a sparse matrix; zeros count
        least, most = least.toarray().ravel(), most.toarray().ravel()
    falls = np.minimum(least, layer.bias) < 0.0
    rises = np.maximum(most, layer.bias) > 0.0
    return np.where(falls, np.where(rises, 0, -1), 1).astype(np.int64)
