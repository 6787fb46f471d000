"""Every layer: what it computes, what it lowers to, and how it is written and read."""

from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.layers import base
from reluopt.networks.layers.base import Dense, Sparse
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU, Permute, Scale
from reluopt.networks.layers.entries import build_layer
from reluopt.networks.layers.pooling import AveragePool2d, MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.loading import load_network
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Classification,
    MinimalPerturbation,
    Norm,
)


@st.composite
def windows(draw, dilated=True):
    """Windows of any kind that fit their image."""
    small = st.integers(1, 3)
    shape = (draw(st.sampled_from([1, 2, 4])), draw(st.integers(3, 6)), draw(st.integers(3, 6)))
    kernel = draw(st.tuples(small, small))
    padding = tuple(draw(st.integers(0, size - 1)) for size in kernel * 2)
    stride = draw(st.tuples(small, small))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2))) if dilated else (1, 1)
    try:
        return Windows(shape, kernel, stride, padding, dilation, draw(st.booleans()))
    except InputError:
        return Windows(shape, kernel, stride)


@st.composite
def convolutions(draw):
    place = draw(windows())
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = place.input_shape[0]
    groups = draw(st.sampled_from([g for g in (1, 2, 4) if channels % g == 0]))
    weight = random.normal(size=(2 * groups, channels // groups, *place.kernel))
    return Conv2d(weight, random.normal(size=2 * groups), place, groups)


@st.composite
def pools(draw):
    place = draw(windows(dilated=False))
    if draw(st.booleans()):
        return AveragePool2d(place, draw(st.booleans()))
    try:
        return MaxPool2d(place)
    except InputError:
        return MaxPool2d(Windows(place.input_shape, place.kernel))


def elementwise(size=12):
    random = np.random.default_rng(size)
    return [
        Scale(random.normal(size=size), random.normal(size=size)),
        LeakyReLU(size, 0.1),
        Permute(random.permutation(size)),
    ]


def run_lowered(layer, values):
    """The affine maps of a layer with ReLUs between them."""
    first, *others = layer.lower()
    values = first.forward(values)
    for affine in others:
        values = affine.forward(np.maximum(values, 0.0))
    return values


@contextmanager
def sparse_maps():
    """Small networks have sparse maps, too."""
    with patch.object(base, "SMALL", 0), patch.object(base, "SPARSE_SHARE", 1.0):
        yield


def agrees(layer):
    values = np.random.default_rng(0).normal(size=(5, layer.input_size))
    expected = layer.forward(values)
    assert expected.shape == (5, layer.output_size)
    for all_sparse in (False, True):
        with sparse_maps() if all_sparse else nullcontext():
            found, maps = run_lowered(layer, values), layer.lower()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        assert layer.widths() == (layer.input_size, *(each.output_size for each in maps))
        assert layer.entries() >= sum(np.count_nonzero(each.matrix) for each in maps)
        assert not all_sparse or all(isinstance(each, Sparse) for each in maps)


@given(convolutions())
def test_convolutions_are_what_they_lower_to(layer):
    agrees(layer)


@given(pools())
@settings(max_examples=200)
def test_pools_are_what_they_lower_to(layer):
    agrees(layer)


@pytest.mark.parametrize("layer", elementwise(), ids=lambda layer: layer.kind)
def test_other_layers_are_what_they_lower_to(layer):
    agrees(layer)


@given(st.integers(0, 1000))
def test_convolutions_are_those_of_scipy(seed):
    random = np.random.default_rng(seed)
    weight, bias = random.normal(size=(3, 2, 2, 3)), random.normal(size=3)
    layer = Conv2d(weight, bias, Windows((2, 6, 7), (2, 3), stride=(2, 1), padding=(1, 1, 0, 2)))
    image = random.normal(size=(2, 6, 7))
    padded = np.pad(image, ((0, 0), (1, 0), (1, 2)))
    expected = [
        bias[o] + sum(correlate2d(padded[c], weight[o, c], mode="valid") for c in range(2))
        for o in range(3)
    ]
    found = layer.forward(image.reshape(1, -1)).reshape(layer.output_shape)
    np.testing.assert_allclose(found, np.array(expected)[:, ::2, :], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "padding", "ceil", "expected"),
    [
        (MaxPool2d, 0, False, [[5.0]]),
        (MaxPool2d, 0, True, [[5.0, 6.0], [8.0, 9.0]]),
        (MaxPool2d, 1, False, [[1.0, 3.0], [7.0, 9.0]]),
        (AveragePool2d, 0, False, [[3.0]]),
        (AveragePool2d, 1, False, [[1.0, 2.5], [5.5, 7.0]]),
    ],
)
def test_pools_of_a_small_image_are_those_by_hand(kind, padding, ceil, expected):
    layer = kind(Windows((1, 3, 3), (2, 2), (2, 2), (padding,) * 4, ceil=ceil))
    found = layer.forward(np.arange(1.0, 10.0).reshape(1, -1))
    np.testing.assert_array_equal(found.reshape(np.shape(expected)), expected)


def small_network():
    """Every layer once, a ReLU between every two lines."""
    random = np.random.default_rng(3)
    conv = Conv2d(
        random.normal(size=(2, 1, 3, 3)),
        random.normal(size=2),
        Windows((1, 5, 5), (3, 3), padding=(1,) * 4),
    )
    scale = Scale(np.repeat(random.random(2) + 0.5, 25), np.repeat(random.normal(size=2), 25))
    pool = MaxPool2d(Windows((2, 5, 5), (2, 2), (2, 2), ceil=True))
    average = AveragePool2d(Windows((2, 3, 3), (2, 2)))
    dense = Dense(random.normal(size=(3, 8)), random.normal(size=3))
    first = (Permute(random.permutation(25)), conv, scale)
    return ReLUNetwork((Chain(first), Chain((pool, average)), Chain((LeakyReLU(8), dense))))


def test_a_network_of_all_layers_is_what_it_lowers_to():
    network = small_network()
    inputs = np.random.default_rng(1).random((50, 25))
    expected = network.pre_activations(inputs)[-1]
    np.testing.assert_allclose(network.forward(inputs), expected, rtol=1e-11, atol=1e-11)


def test_a_network_of_all_layers_is_written_and_read(tmp_path):
    network = small_network()
    save_network(network, tmp_path / "all.safetensors")
    again = load_network(tmp_path / "all.safetensors")
    inputs = np.random.default_rng(1).random((50, 25))
    np.testing.assert_array_equal(again.forward(inputs), network.forward(inputs))
    assert again.fingerprint == network.fingerprint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Windows((1, 3, 3), (4, 1)), "kernel: expected a window that fits"),
        (lambda: Windows((1, 3, 3), (0, 1)), "kernel: expected 2 whole numbers from 1 on"),
        (lambda: Windows((1, 3), (1, 1)), "input_shape: expected 3 whole numbers"),
        (lambda: MaxPool2d(Windows((1, 2, 2), (1, 1), padding=(1,) * 4)), "found one of padding"),
        (
            lambda: Conv2d(np.ones((1, 2, 1, 1)), [0.0], Windows((1, 2, 2), (1, 1))),
            r"weight: expected shape \(channels out, 1, 1, 1\)",
        ),
        (
            lambda: Conv2d(np.ones((3, 1, 1, 1)), np.ones(3), Windows((2, 2, 2), (1, 1)), 2),
            "in 2 groups",
        ),
        (lambda: Conv2d(np.ones((1, 1, 1, 1)), [0.0], Windows((1, 2, 2), (1, 1)), 0), "groups"),
        (lambda: Scale([1.0, np.nan], [0.0, 0.0]), "expected finite numbers"),
        (lambda: Scale([1.0], [0.0, 0.0]), "expected two vectors of one length"),
        (lambda: LeakyReLU(3, 1.5), "slope: expected 0 to 1"),
        (lambda: LeakyReLU(0), "size: expected a number of values"),
        (lambda: Permute([0, 0, 1]), "order: expected every number from 0 on once"),
        (lambda: Permute([]), "order: expected every number from 0 on once"),
        (
            lambda: Permute.build({}, {"order": np.array([0.9, 1.9])}),
            "order: expected every number",
        ),
        (
            lambda: build_layer(Dense, {"activation": "tanh"}, {"weight": [[1.0]], "bias": [0.0]}),
            "layer dense: expected settings none, found 'activation'",
        ),
        (lambda: Chain(()), "chain: expected 1 to"),
        (lambda: Chain((LeakyReLU(2), LeakyReLU(3))), "chain: expected 2 inputs of leaky-relu"),
    ],
)
def test_what_is_no_layer_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_the_program_computes_what_the_layers_compute():
    """The input is fixed; what comes out are the logits of the original layers."""
    network = small_network()
    for seed in range(3):
        image = np.random.default_rng(seed).random(25)
        solution = solve(network, Classification(image), Method("highs"))
        assert solution.certified, solution.message


@pytest.mark.parametrize(
    ("norm", "engines"), [(Norm.L1, ("bnb", "highs")), (Norm.L2, ("bnb", "scip"))]
)
def test_engines_answer_for_a_network_of_all_layers(norm, engines):
    network = small_network()
    image = np.random.default_rng(2).random(25)
    question = MinimalPerturbation(
        image, int(network.predict(image)), AnyTarget(), norm, AbsoluteMargin(0.01)
    )
    options = EngineOptions(gap=1e-4)  # the last digits of a square take SCIP a minute
    found = [solve(network, question, Method(engine, options=options)) for engine in engines]
    assert all(solution.proven for solution in found), [solution.message for solution in found]
    assert found[0].objective == pytest.approx(found[-1].objective, rel=2e-4)


def test_a_network_of_too_many_weights_is_refused_with_their_number():
    windows = Windows((8, 100, 100), (7, 7), padding=(3,) * 4)
    conv = Conv2d(np.zeros((8, 8, 7, 7)), np.zeros(8), windows)
    pool = AveragePool2d(Windows((8, 100, 100), (10, 10)))
    network = ReLUNetwork((conv, Chain((conv, pool))))
    assert network.forward(np.zeros(80_000)).shape == (66248,)
    with pytest.raises(InputError, match="found 69344800: the network can be evaluated"):
        _ = network.affine_layers


def test_a_wide_convolution_has_no_matrix_of_zeros():
    conv = Conv2d(
        np.ones((16, 3, 4, 4)), np.zeros(16), Windows((3, 32, 32), (4, 4), (2, 2), (1,) * 4)
    )
    (found,) = ReLUNetwork((conv,)).affine_layers
    assert found.weight.shape == (4096, 3072)
    assert found.weight.nnz < 4096 * 48


def test_what_a_chain_holds_inside_counts():
    """Between its ends a chain may be as large as it likes."""
    conv = Conv2d(
        np.zeros((64, 3, 21, 21)), np.zeros(64), Windows((3, 32, 32), (21, 21), padding=(10,) * 4)
    )
    chain = Chain((conv, AveragePool2d(Windows((64, 32, 32), (32, 32)))))
    assert chain.input_size * chain.output_size < 200_000
    with pytest.raises(InputError, match="expected affine maps of at most"):
        _ = ReLUNetwork((chain,)).affine_layers


def test_what_two_sparse_maps_make_is_counted_before_it_is_made():
    random = np.random.default_rng(0)
    wide = Permute(random.permutation(6000))
    (spread,) = wide.lower()
    full = base.affine(random.random((6000, 6000)) < 0.5, np.zeros(6000))
    with pytest.raises(InputError, match="found 36000000"):
        full.behind(spread)


def test_a_large_network_has_sizes_and_a_fingerprint_without_being_lowered():
    pool = MaxPool2d(Windows((1, 20, 20), (10, 10)))
    network = ReLUNetwork((pool,))
    assert network.sizes[0] == 400
    assert network.sizes[-1] == 121
    assert len(network.fingerprint) == 64
    assert "affine_layers" not in vars(network)


def test_scales_and_orders_in_a_chain_multiply_nothing_by_zeros():
    random = np.random.default_rng(0)
    dense = Dense(random.normal(size=(4, 3)), random.normal(size=4))
    scale, order = Scale(random.normal(size=4), random.normal(size=4)), Permute([2, 0, 3, 1])
    (found,) = Chain((dense, scale, order)).lower()
    kept = scale.scale[:, None] * dense.weight
    np.testing.assert_array_equal(found.weight, kept[[2, 0, 3, 1]])


def test_a_chain_in_a_chain_is_one_chain(tmp_path):
    inner = Chain((LeakyReLU(3), Scale(np.ones(3), np.zeros(3))))
    outer = Chain((inner, Dense(np.eye(2, 3), np.zeros(2))))
    assert [part.kind for part in outer.parts] == ["leaky-relu", "scale", "dense"]
    save_network(ReLUNetwork((outer,)), tmp_path / "chain.safetensors")
    assert load_network(tmp_path / "chain.safetensors").output_size == 2
