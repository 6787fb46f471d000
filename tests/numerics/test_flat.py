"""Flat networks give the numbers of the network they were made of."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.flat import split_layers
from reluopt.numerics.passes import forward, pull_back
from reluopt.numerics.products import add_scaled_rows


def any_network(seed: int, depth: int) -> ReLUNetwork:
    """Random sizes and weights, with zero rows, duplicated rows and whole numbers now and then."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 9, depth + 1)
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        weight, bias = generator.normal(size=(outputs, inputs)), generator.normal(size=outputs)
        if generator.random() < 0.3:
            weight, bias = np.round(2 * weight), np.round(bias)
        if generator.random() < 0.3:
            weight[generator.integers(outputs)] = 0.0
        if generator.random() < 0.3:
            weight[-1] = weight[0]
        layers.append(Dense(weight, bias))
    return ReLUNetwork(tuple(layers))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 4))
def test_forward_and_gradient_agree_with_the_network(seed: int, depth: int) -> None:
    network = any_network(seed, depth)
    flat = flatten(network)
    generator = np.random.default_rng(seed)
    point = generator.normal(size=network.input_size) * (generator.random(network.input_size) < 0.7)
    values = np.empty(flat.biases.size)
    forward(flat, point, values)
    for found, expected in zip(
        split_layers(flat, values), network.pre_activations(point), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    weights = generator.normal(size=network.output_size)
    gradient = np.empty(network.input_size)
    pull_back(flat, values, weights, gradient)
    # The network's own pattern may differ where a pre-activation is zero up to rounding.
    if all(np.abs(part).min() > 1e-9 for part in network.pre_activations(point)[:-1]):
        np.testing.assert_allclose(gradient, network.gradient(point, weights), atol=1e-10)


def test_the_gradient_is_a_derivative(thesis: ReLUNetwork) -> None:
    generator = np.random.default_rng(0)
    flat = flatten(thesis)
    point, weights = generator.random(784), generator.normal(size=10)
    values, gradient = np.empty(58), np.empty(784)
    forward(flat, point, values)
    pull_back(flat, values, weights, gradient)
    value = float(weights @ thesis.forward(point))
    assert float(weights @ values[-10:]) == pytest.approx(value, rel=1e-12)
    direction = generator.normal(size=784)
    ahead = float(weights @ thesis.forward(point + 1e-7 * direction))
    assert (ahead - value) / 1e-7 == pytest.approx(float(gradient @ direction), rel=1e-4)


def test_layout(thesis: ReLUNetwork) -> None:
    flat = flatten(thesis)
    assert flat.sizes.tolist() == [784, 32, 16, 10]
    assert flat.neuron_offsets.tolist() == [0, 32, 48, 58]
    for k, layer in enumerate(thesis.layers):
        start, size = flat.weight_offsets[k], layer.weight.size
        stored = flat.weights[start : start + size].reshape(layer.weight.shape)
        np.testing.assert_array_equal(stored, layer.weight)
        transposed = flat.columns[start : start + size].reshape(layer.weight.T.shape)
        np.testing.assert_array_equal(transposed, layer.weight.T)


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 9])
def test_add_scaled_rows_skips_zeros(rows: int) -> None:
    generator = np.random.default_rng(rows)
    matrix = generator.normal(size=(rows, 7))
    scales = generator.normal(size=rows) * (np.arange(rows) % 3 != 1)
    out = generator.normal(size=7)
    expected = out + scales @ matrix
    add_scaled_rows(matrix.ravel(), 0, 7, scales, out)
    np.testing.assert_allclose(out, expected, atol=1e-13)
