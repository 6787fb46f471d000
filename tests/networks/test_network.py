import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled


@st.composite
def networks_with_inputs(draw):
    """A random network of depth 1 to 4, and a batch of inputs to it."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=2, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = tuple(
        Dense(rng.normal(size=(outputs, inputs)), rng.normal(size=outputs))
        for inputs, outputs in pairwise(sizes)
    )
    batch = rng.uniform(-1.0, 1.0, size=(draw(st.integers(1, 4)), sizes[0]))
    return ReLUNetwork(layers), batch


@pytest.fixture
def lecture_network():
    """z = max(-2 y + 50, 0) of y = max(5 x1 - 4 x2 + 3, 0), without the last ReLU."""
    return ReLUNetwork((Dense([[5.0, -4.0]], [3.0]), Dense([[-2.0]], [50.0])))


def test_values_of_a_network_computed_by_hand(lecture_network):
    first, logits = lecture_network.pre_activations([1.0, 5.0])
    assert first.tolist() == [-12.0]
    assert logits.tolist() == [50.0]
    assert lecture_network.forward([[1.0, 0.0], [10.0, -5.0]]).tolist() == [[34.0], [-96.0]]


def test_last_layer_has_no_relu():
    assert ReLUNetwork((Dense([[1.0]], [0.0]),)).forward([-3.0]).tolist() == [-3.0]


def test_what_a_notebook_shows_is_a_line():
    assert repr(load_bundled("thesis")) == "<ReLUNetwork thesis: 784-32-16-10>"
    expected = "<ReLUNetwork cnn-small: 784-3136-1568-100-10 (conv2d, conv2d, dense, dense)>"
    assert repr(load_bundled("cnn-small")) == expected


def test_sizes_and_defaults(lecture_network):
    assert lecture_network.sizes == (2, 1, 1)
    assert lecture_network.hidden_sizes == (1,)
    assert (lecture_network.input_size, lecture_network.output_size) == (2, 1)
    assert lecture_network.input_shape == (2,)
    assert lecture_network.class_names == ("0",)


@given(networks_with_inputs())
def test_a_batch_gives_what_single_inputs_give(case):
    network, batch = case
    weights = np.linspace(-1.0, 1.0, network.output_size)
    for k, values in enumerate(network.pre_activations(batch)):
        alone = [network.pre_activations(row)[k] for row in batch]
        np.testing.assert_allclose(values, alone, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        network.gradient(batch, weights),
        [network.gradient(row, weights) for row in batch],
        rtol=1e-12,
        atol=1e-12,
    )
    assert network.predict(batch).tolist() == [network.predict(row) for row in batch]


@given(networks_with_inputs(), st.integers(0, 2**32 - 1))
def test_gradient_is_the_slope_inside_a_linear_region(case, seed):
    network, batch = case
    point = batch[0]
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=network.output_size)
    step = 1e-5 * rng.normal(size=network.input_size)
    before, after = (network.activation_pattern(point + s * step) for s in (-1, 1))
    assume(all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)))
    rise = weights @ (network.forward(point + step) - network.forward(point - step))
    slope = network.gradient(point, weights) @ (2.0 * step)
    # Rounding of logits of size <= ~1e3 in float64, far below the slope's own size of ~1e-5.
    np.testing.assert_allclose(rise, slope, rtol=1e-6, atol=1e-10)


@given(networks_with_inputs())
def test_gradient_takes_a_row_of_weights_for_each_input(case):
    network, batch = case
    rows = np.arange(batch.shape[0] * network.output_size, dtype=float).reshape(len(batch), -1)
    expected = [network.gradient(x, w) for x, w in zip(batch, rows, strict=True)]
    np.testing.assert_allclose(network.gradient(batch, rows), expected, rtol=1e-12, atol=1e-12)


@given(networks_with_inputs())
def test_region_map_is_the_network_on_the_region_of_the_input(case):
    network, batch = case
    point = batch[0]
    maps = network.region_map(network.activation_pattern(point))
    for (slope, offset), values in zip(maps, network.pre_activations(point), strict=True):
        np.testing.assert_allclose(slope @ point + offset, values, rtol=1e-9, atol=1e-9)


def test_a_neuron_at_zero_counts_as_inactive(lecture_network):
    assert lecture_network.activation_pattern([0.0, 0.75])[0].tolist() == [False]
    assert lecture_network.gradient([0.0, 0.75], [1.0]).tolist() == [0.0, 0.0]


def test_predict_takes_the_lowest_index_among_ties():
    network = ReLUNetwork((Dense(np.ones((3, 1)), [0.0, 1.0, 1.0]),))
    assert network.predict([0.5]) == 1


def test_inputs_may_come_in_the_shape_of_an_image():
    rng = np.random.default_rng(0)
    layer = Dense(rng.normal(size=(2, 6)), np.zeros(2))
    network = ReLUNetwork((layer,), NetworkMetadata(input_shape=(2, 3)))
    image = rng.uniform(size=(2, 3))
    # Row-major: pixel (row, column) is entry 3 * row + column.
    expected = layer.weight @ [image[i // 3, i % 3] for i in range(6)]
    np.testing.assert_allclose(network.forward(image), expected, rtol=1e-14)
    np.testing.assert_allclose(network.forward(image[None])[0], expected, rtol=1e-14)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (1, 2, 2), ()])
def test_inputs_of_another_shape_are_refused(lecture_network, shape):
    with pytest.raises(InputError, match=r"input: expected shape \(2,\).*found"):
        lecture_network.forward(np.zeros(shape) if shape != (3, 2) else np.zeros((2, 3)))


def test_network_and_weights_cannot_be_changed(lecture_network):
    with pytest.raises(ValueError, match="read-only"):
        lecture_network.layers[0].weight[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        lecture_network.layers = ()


def test_changing_the_given_array_does_not_change_the_layer():
    weight = np.ones((1, 1))
    layer = Dense(weight, [0.0])
    weight[0, 0] = 5.0
    assert layer.weight[0, 0] == 1.0


def test_fingerprint_tells_networks_apart_by_their_numbers(lecture_network):
    same = ReLUNetwork(lecture_network.layers, NetworkMetadata(name="another"))
    other = ReLUNetwork((Dense([[5.0, -4.0]], [3.0]), Dense([[-2.0]], [50.000001])))
    assert same.fingerprint == lecture_network.fingerprint
    assert other.fingerprint != lecture_network.fingerprint


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        ([1.0, 2.0], [0.0], "weight: expected a non-empty matrix"),
        (np.zeros((0, 3)), [], "weight: expected a non-empty matrix"),
        ([[1.0, 2.0]], [0.0, 0.0], r"bias: expected shape \(1,\), found \(2,\)"),
        ([[1.0, np.nan]], [0.0], "weight: expected finite numbers, found 1"),
        ([[1.0, 2.0]], [np.inf], "bias: expected finite numbers, found 1"),
    ],
)
def test_layers_that_cannot_be_are_refused(weight, bias, message):
    with pytest.raises(InputError, match=message):
        Dense(weight, bias)


@pytest.mark.parametrize(
    ("layers", "metadata", "message"),
    [
        ((), NetworkMetadata(), "at least one layer"),
        (
            (Dense([[1.0]], [0.0]), Dense([[1.0, 2.0]], [0.0])),
            NetworkMetadata(),
            "layer 1: expected 1 inputs",
        ),
        ((Dense([[1.0]], [0.0]),), NetworkMetadata(input_shape=(2, 2)), "input_shape"),
        ((Dense([[1.0]], [0.0]),), NetworkMetadata(class_names=("a", "b")), "class_names"),
    ],
)
def test_networks_that_do_not_fit_together_are_refused(layers, metadata, message):
    with pytest.raises(InputError, match=message):
        ReLUNetwork(layers, metadata)
