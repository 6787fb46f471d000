"""Max poolings led over a box: what is left of a network computes the same there."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.convolutions import KINDS, SIDE, network_of
from reluopt.engines.branch_and_bound.leading import led_over
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box, InputSet

POOLED = [kind for kind in KINDS if "pool" in kind]


def exact_logits(network, point):
    """Logits in rational arithmetic."""
    values = [Fraction(float(value)) for value in point]
    layers = network.affine_layers
    for place, layer in enumerate(layers):
        weight, bias = layer.matrix, layer.bias
        values = [
            sum(
                (Fraction(float(w)) * v for w, v in zip(row, values, strict=True) if w), Fraction(b)
            )
            for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
        ]
        if place < len(layers) - 1:
            values = [max(value, Fraction(0)) for value in values]
    return values


def box_about(image, radius):
    return box(np.maximum(image - radius, 0.0), np.minimum(image + radius, 1.0))


def box(lower, upper):
    return InputSet(Box(lower, upper))


def points_of(ends, random, count):
    """Points within a box, and corners of it."""
    inner = random.uniform(*ends, size=(count, ends[0].size))
    return [*inner, *np.where(random.random((count, ends[0].size)) < 0.5, *ends)]


@given(
    st.integers(0, 10**6),
    st.sampled_from(POOLED),
    st.sampled_from([0.0, 0.01, 0.1, 0.5]),
    st.sampled_from([1.0, 1e-6, 1e6]),
)
@settings(max_examples=60, deadline=None)
def test_a_led_network_computes_the_same_over_its_box(seed, kind, radius, scale):
    random = np.random.default_rng(seed)
    network = network_of(kind, random)
    first, *rest = network.layers
    inputs = box_about(random.random(SIDE * SIDE), radius)
    if scale != 1.0 and kind != "pool before a ReLU":
        network = ReLUNetwork((replace(first, weight=scale * first.weight), *rest))
    led = led_over(network, inputs)
    assert led is not None
    most = max(abs(layer.matrix).sum() + abs(layer.bias).sum() for layer in network.affine_layers)
    assert led.errors.max() < 1e-14 * max(most, 1.0) ** 4
    for point in points_of(inputs.ends, random, 3):
        pairs = zip(exact_logits(network, point), exact_logits(led.network, point), strict=True)
        missed = [float(abs(one - other)) for one, other in pairs]
        assert (np.array(missed) <= led.errors).all()


def constant_pieces(image):
    """A pool of four pieces: one constant, two equal ones, and one that never leads."""
    weight = np.zeros((4, 3))
    weight[1] = weight[2] = (1.0, -1.0, 0.5)
    weight[3] = (0.1, 0.0, 0.0)
    bias = np.array([0.3, 0.2, 0.2, -5.0]) - np.array([0.0, 1.0, 1.0, 0.0]) * (weight[1] @ image)
    pool = MaxPool2d(Windows((1, 2, 2), (2, 2)))
    return ReLUNetwork((Dense(weight, bias), pool, Dense(np.array([[1.0], [-2.0]]), np.zeros(2))))


@pytest.mark.parametrize("radius", [0.01, 0.05, 0.2, 0.45])
def test_constant_and_equal_pieces(radius):
    image = np.array([0.5, 0.4, 0.6])
    network, inputs = constant_pieces(image), box_about(image, radius)
    led = led_over(network, inputs)
    assert led is not None
    for point in itertools.product(*zip(*inputs.ends, strict=True)):
        found, expected = led.network.forward(np.array(point)), network.forward(np.array(point))
        assert found == pytest.approx(expected, abs=1e-12)


def test_pieces_that_cannot_lead_are_left_out():
    """The constant piece leads until 0.04 of each pixel are enough for the two others."""
    image = np.array([0.5, 0.4, 0.6])
    network = constant_pieces(image)
    sizes = [led_over(network, box_about(image, r)).network.hidden_sizes for r in (0.01, 0.05)]
    assert sizes[0] == (1,)
    assert sizes[1] == (3, 3)


def test_a_unit_that_zero_leads_is_what_exceeds_zero():
    """Pieces of -1 and less in the middle, and a ReLU: nothing is carried."""
    pool = MaxPool2d(Windows((1, 2, 2), (2, 2)))
    first = Dense(np.eye(4), np.array([-1.5, -1.6, -9.0, -9.0]))
    network = ReLUNetwork((first, pool, Dense(np.ones((1, 1)), np.zeros(1))))
    middle = np.full(4, 0.5)
    assert led_over(network, box(middle - 0.5, middle + 0.5)).network.hidden_sizes == (1,)
    led = led_over(network, box(middle - 1.0, middle + 1.2))
    assert led.network.hidden_sizes == (2, 2)
    for point in ([1.7, 1.7, 0, 0], [1.5, 1.7, 0, 0], [1.7, 1.6, 0, 0], [0, 0, 0, 0]):
        found = led.network.forward(np.array(point, dtype=float))
        assert found == pytest.approx(network.forward(np.array(point, dtype=float)), abs=1e-12)


def test_networks_without_pools_stay_as_they_are():
    network = network_of("dense", np.random.default_rng(0))
    assert led_over(network, box_about(np.full(SIDE * SIDE, 0.5), 0.1)) is None


def test_weights_beyond_all_numbers_are_left_alone():
    random = np.random.default_rng(0)
    conv, *rest = network_of("pool", random).layers
    wide = Dense(np.full((5, rest[1].weight.shape[1]), 1e300), np.zeros(5))
    last = Dense(np.full((3, 5), 1e300), np.zeros(3))
    network = ReLUNetwork((conv, rest[0], wide, last))
    with np.errstate(over="ignore"):
        assert led_over(network, box_about(np.full(SIDE * SIDE, 0.5), 0.1)) is None


def test_maps_behind_a_pool_that_are_made_one_are_left_alone():
    """Both products are rounded, in different orders, and cancel: logits differ by 8e-4 of 1e10."""
    random = np.random.default_rng(0)
    first = Dense(random.normal(size=(4, 6)), random.normal(size=4))
    wide, narrow = random.normal(size=(2000, 1)), random.normal(size=(1, 2000))
    pool = MaxPool2d(Windows((1, 2, 2), (2, 2)))
    maps = Dense(wide, np.zeros(2000)), Dense(narrow, np.zeros(1))
    last = Dense(np.array([[1.0], [-1.0]]), np.zeros(2))
    inputs = box(np.zeros(6), np.ones(6))
    assert led_over(ReLUNetwork((Chain((first, pool, *maps)), last)), inputs) is None
    assert led_over(ReLUNetwork((Chain((first, pool, maps[0])), maps[1], last)), inputs) is not None
    before = ReLUNetwork((Chain((Dense(np.eye(6), np.zeros(6)), first, pool)), last))
    assert led_over(before, inputs) is not None


def test_pieces_that_overlapping_windows_share_are_taken_once():
    random = np.random.default_rng(0)
    first = Dense(random.normal(size=(9, 4)), random.normal(size=9))
    pools = [MaxPool2d(Windows((1, side, side), (2, 2), (1, 1))) for side in (3, 2)]
    network = ReLUNetwork((first, *pools, Dense(np.ones((1, 1)), np.zeros(1))))
    inputs = box(np.zeros(4), np.ones(4))
    led = led_over(network, inputs)
    assert len(led.network.hidden_sizes) <= 9
    for point in points_of(inputs.ends, random, 10):
        assert led.network.forward(point) == pytest.approx(network.forward(point), abs=1e-12)


def test_a_lead_of_subnormal_weights_keeps_its_error():
    weight = np.zeros((4, 400))
    weight[0] = 1e-320
    first = Dense(weight, np.zeros(4))
    pool = MaxPool2d(Windows((4, 1, 1), (1, 1)))
    second = Dense(np.full((1, 4), 1e308), np.zeros(1))
    network = ReLUNetwork((first, pool, second, Dense(np.array([[1.0], [-1.0]]), np.zeros(2))))
    inputs = box(np.zeros(400), np.full(400, 1e-4))
    led = led_over(network, inputs)
    pairs = zip(
        exact_logits(network, inputs.ends[1]),
        exact_logits(led.network, inputs.ends[1]),
        strict=True,
    )
    missed = [abs(a - b) for a, b in pairs]
    assert all(m <= Fraction(float(e)) for m, e in zip(missed, led.errors, strict=True))
