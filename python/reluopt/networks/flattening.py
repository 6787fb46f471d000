"""Networks as flat arrays, the form that kernels take."""

from __future__ import annotations

import numpy as np

from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.flat import FlatNetwork


def flatten(network: ReLUNetwork) -> FlatNetwork:
    """The flat form of ``network``; about 0.1 ms, to be done once and kept."""
    sizes = np.array(network.sizes, dtype=np.int64)
    counts = sizes[1:] * sizes[:-1]
    return FlatNetwork(
        weights=np.concatenate([layer.weight.ravel() for layer in network.affine_layers]),
        columns=np.concatenate([layer.weight.T.ravel() for layer in network.affine_layers]),
        biases=np.concatenate([layer.bias for layer in network.affine_layers]),
        sizes=sizes,
        weight_offsets=np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64),
        neuron_offsets=np.concatenate(([0], np.cumsum(sizes[1:]))).astype(np.int64),
    )
