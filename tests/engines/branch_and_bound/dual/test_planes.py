"""Planes above ReLUs, mixed in proportions that may be anything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.boxes import random_network
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.planes import mixed_planes
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork

WIDE = st.sampled_from([0.0, 5e-324, 1e-40, 1.0, 3e38, 1e308, 1.7e308, -1.0, np.inf, np.nan])


def chain_of(network):
    """A network over the box [-1, 1]."""
    return Chain(network, BoxDomain(-np.ones(network.input_size), np.ones(network.input_size)))


@settings(deadline=None, derandomize=True)
@given(
    st.integers(0, 10**6),
    st.lists(WIDE, min_size=1, max_size=3),
    st.sampled_from([np.float32, np.float64]),
)
def test_mixed_planes_lie_above_the_relus(seed, shares, kind):
    generator = np.random.default_rng(seed)
    chain = chain_of(random_network(generator, (3, 4, 2)))
    neurons = chain.layers[0].undecided
    points = [generator.integers(-128, 128, 3).astype(np.int8) for _ in shares]
    with np.errstate(over="ignore"):
        given_shares = np.tile(np.array(shares), (neurons.size, 1)).astype(kind)
    planes = mixed_planes(chain, neurons, points, given_shares)
    inputs = generator.uniform(-1.0, 1.0, (50, 3))
    inputs[:25] = np.sign(inputs[:25])
    values = inputs @ chain.layers[0].weight[neurons].T + chain.layers[0].bias[neurons]
    assert (inputs @ planes.matrix.T + planes.edges >= np.maximum(values, 0.0)).all()


def test_no_plane_is_made_of_no_points():
    network = ReLUNetwork((Dense(np.ones((1, 2)), np.zeros(1)), Dense(np.ones((1, 1)), [0.0])))
    with pytest.raises(ValueError, match="without points"):
        mixed_planes(chain_of(network), np.array([0]), [], np.zeros((1, 0), dtype=np.float32))
