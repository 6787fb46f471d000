r"""Networks as flat arrays: one compilation serves every depth and width.

Layer ``k = 0..K-1`` maps ``n_k`` values to ``n_{k+1}``; all its neurons have consecutive places in
one vector of all pre-activations, the logits last. Weights are kept twice, by rows
(``weights``, for gradients) and by columns (``columns``, for forward passes): both products then
run as sums of scaled contiguous vectors, which vectorise without changing IEEE semantics and skip
black pixels and silent neurons.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.jit import apart, kernel
from reluopt.numerics.vectors import copy_vector


class FlatNetwork(NamedTuple):
    """A dense ReLU network in arrays that compiled kernels take apart.

    Attributes:
        weights: all weight matrices, row-major ``(n_{k+1}, n_k)``, one after the other.
        columns: the same matrices transposed, row-major ``(n_k, n_{k+1})``, at the same offsets.
        biases: all biases, shape ``(neurons,)``.
        sizes: ``(n_0, ..., n_K)``.
        weight_offsets: where the matrix of layer ``k`` starts, shape ``(K,)``.
        neuron_offsets: where the neurons of layer ``k`` start in vectors over all neurons, shape
            ``(K + 1,)``; ``neuron_offsets[K - 1]`` is the first logit, ``neuron_offsets[K]`` their
            total number.
    """

    weights: FloatArray
    columns: FloatArray
    biases: FloatArray
    sizes: IntArray
    weight_offsets: IntArray
    neuron_offsets: IntArray


def split_layers(flat: FlatNetwork, values: FloatArray) -> tuple[FloatArray, ...]:
    """Cut a vector over all neurons into one array for each layer (copies)."""
    return tuple(part.copy() for part in np.split(values, flat.neuron_offsets[1:-1]))


@apart
@kernel
def add_scaled_rows(
    matrix: FloatArray, offset: int, length: int, scales: FloatArray, out: FloatArray
) -> None:
    """``out += scales @ M`` for the row-major ``M`` of ``len(scales)`` rows at ``offset``.

    Four rows at a time; rows with scale zero cost nothing.
    """
    count = 0
    pending = np.empty(4, dtype=np.int64)
    for i in range(scales.size):
        if scales[i] == 0.0:
            continue
        pending[count] = i
        count += 1
        if count == 4:
            count = 0
            a, b, c, d = pending[0], pending[1], pending[2], pending[3]
            row_a = matrix[offset + a * length : offset + (a + 1) * length]
            row_b = matrix[offset + b * length : offset + (b + 1) * length]
            row_c = matrix[offset + c * length : offset + (c + 1) * length]
            row_d = matrix[offset + d * length : offset + (d + 1) * length]
            s_a, s_b, s_c, s_d = scales[a], scales[b], scales[c], scales[d]
            for q in range(length):
                out[q] += (s_a * row_a[q] + s_b * row_b[q]) + (s_c * row_c[q] + s_d * row_d[q])
    for p in range(count):
        i = pending[p]
        row = matrix[offset + i * length : offset + (i + 1) * length]
        scale = scales[i]
        for q in range(length):
            out[q] += scale * row[q]


@apart
@kernel
def forward(flat: FlatNetwork, point: FloatArray, values: FloatArray) -> None:
    """Write the pre-activations of every layer at ``point`` into ``values`` (logits last)."""
    depth = flat.weight_offsets.size
    inputs = point.copy()
    for k in range(depth):
        start, stop = flat.neuron_offsets[k], flat.neuron_offsets[k + 1]
        out = values[start:stop]
        copy_vector(flat.biases[start:stop], out)
        add_scaled_rows(flat.columns, flat.weight_offsets[k], out.size, inputs, out)
        inputs = np.empty(out.size)
        for i in range(out.size):
            inputs[i] = 0.0 if out[i] <= 0.0 else out[i]  # NaN stays NaN


@apart
@kernel
def pull_back(
    flat: FlatNetwork, values: FloatArray, weights: FloatArray, gradient: FloatArray
) -> None:
    """Write the gradient of ``weights @ logits`` at the point with pre-activations ``values``.

    A neuron whose pre-activation is exactly zero counts as inactive.
    """
    current = weights.copy()
    for k in range(flat.weight_offsets.size - 1, -1, -1):
        size = flat.sizes[k]
        below = np.zeros(size)
        add_scaled_rows(flat.weights, flat.weight_offsets[k], size, current, below)
        if k > 0:
            start = flat.neuron_offsets[k - 1]
            for j in range(size):
                if values[start + j] <= 0.0:
                    below[j] = 0.0
        current = below
    copy_vector(current, gradient)


@kernel
def value_and_gradient(
    flat: FlatNetwork,
    point: FloatArray,
    weights: FloatArray,
    values: FloatArray,
    gradient: FloatArray,
) -> float:
    """Forward pass and gradient of ``weights @ logits``; returns that value."""
    forward(flat, point, values)
    pull_back(flat, values, weights, gradient)
    return float(np.sum(weights * values[values.size - weights.size :]))
