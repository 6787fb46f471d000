"""Forward and backward passes of flat networks."""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.jit import apart, kernel
from reluopt.numerics.products import add_columns, add_rows
from reluopt.numerics.vectors import copy_vector


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
        add_columns(flat, k, inputs, out)
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
        add_rows(flat, k, current, below)
        if k > 0:
            start = flat.neuron_offsets[k - 1]
            for j in range(size):
                if values[start + j] <= 0.0:
                    below[j] = 0.0
        current = below
    copy_vector(current, gradient)
