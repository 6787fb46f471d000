"""Scaling neurons and logits by powers of two changes nothing but their units."""

import numpy as np
import pytest

from reluopt.bounds.scaling import balanced, balanced_logits
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork


def scaled(network: ReLUNetwork, factors: tuple[float, ...]) -> ReLUNetwork:
    """Every layer times its factor."""
    pairs = zip(network.layers, factors, strict=True)
    return ReLUNetwork(tuple(Dense(f * layer.weight, f * layer.bias) for layer, f in pairs))


def test_trained_networks_stay_as_they_are(thesis: ReLUNetwork) -> None:
    assert balanced(thesis) is thesis
    assert balanced_logits(thesis) == (thesis, 1.0)


@pytest.mark.parametrize("factors", [(1e-12, 1.0, 1.0), (1.0, 1e9, 1e-30), (1e-4, 1e-4, 1e-4)])
def test_logits_are_multiplied_by_the_factor_that_is_told(make_network, factors) -> None:
    network = scaled(make_network((5, 4, 3, 3), 0), factors)
    usual, factor = balanced_logits(balanced(network))
    inputs = np.random.default_rng(0).random((20, 5))
    assert np.log2(factor) == round(np.log2(factor))
    assert (usual.forward(inputs) == factor * network.forward(inputs)).all()
    sizes = np.abs(usual.layers[-1].weight).sum(axis=1) + np.abs(usual.layers[-1].bias)
    assert 2.0**-11 < sizes.max() < 2.0**12


def test_small_layers_add_up(make_network) -> None:
    """No layer is extreme by itself, but a value that passes all of them is."""
    network = scaled(make_network((3, 2, 2, 2, 2), 0), (0.02,) * 4)
    assert np.abs(network.forward(np.ones(3))).max() < 0.02
    for layer in balanced(network).layers[:-1]:
        assert (np.abs(layer.weight).sum(axis=1) + np.abs(layer.bias)).max() > 2.0**-10


def test_small_inputs_count() -> None:
    network = ReLUNetwork((Dense(np.full((1, 1), 1.0), np.zeros(1)), Dense(np.eye(1), np.zeros(1))))
    assert balanced(network) is network
    assert balanced(network, largest_input=1e-9).layers[0].weight[0, 0] > 1e8
