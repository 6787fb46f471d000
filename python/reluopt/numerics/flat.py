r"""Networks as flat arrays: one compilation serves every depth and width.

Layer ``k = 0..K-1`` maps ``n_k`` values to ``n_{k+1}``; all its neurons have consecutive places in
one vector of all pre-activations, the logits last. Weights are kept twice, by rows
(``weights``, for gradients) and by columns (``columns``, for forward passes), see
:mod:`.products`. A matrix is dense, or sparse (CSR and CSC).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.numerics.arrays import FloatArray, IntArray


class FlatNetwork(NamedTuple):
    """A ReLU network in arrays that compiled kernels take apart.

    Attributes:
        weights: all weight matrices, row-major ``(n_{k+1}, n_k)``, one after the other; of sparse
            ones the numbers that are there.
        columns: the same matrices transposed, row-major ``(n_k, n_{k+1})``, at the same offsets.
        biases: all biases, shape ``(neurons,)``.
        sizes: ``(n_0, ..., n_K)``.
        weight_offsets: where the matrix of layer ``k`` starts, shape ``(K,)``.
        neuron_offsets: where the neurons of layer ``k`` start in vectors over all neurons, shape
            ``(K + 1,)``; ``neuron_offsets[K - 1]`` is the first logit, ``neuron_offsets[K]`` their
            total number.
        signs: 1 where neither a weight nor the bias of a neuron is negative, -1 where none is
            positive, else 0: behind the first layer, what reads post-activations has this sign;
            shape ``(neurons,)``.
        places: where in ``indices`` the parts of a sparse matrix begin: where its rows start, which
            column every number stands in, where its columns start, in which row; -1 for a dense
            matrix. Shape ``(4 K,)``, four entries for each layer.
        indices: those parts, starts counting from the matrix's first number; one entry at least.
    """

    weights: FloatArray
    columns: FloatArray
    biases: FloatArray
    sizes: IntArray
    weight_offsets: IntArray
    neuron_offsets: IntArray
    signs: IntArray
    places: IntArray
    indices: IntArray


def split_layers(flat: FlatNetwork, values: FloatArray) -> tuple[FloatArray, ...]:
    """Cut a vector over all neurons into one array for each layer (copies)."""
    return tuple(part.copy() for part in np.split(values, flat.neuron_offsets[1:-1]))
