"""What the pre-activations at the center of a region are wrong by, in rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluopt.images.mnist import Dataset
from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.rounding import gamma
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import Box, Norm


def exact_first_layer(network: ReLUNetwork, point: np.ndarray) -> list[Fraction]:
    """``W point + b`` without any rounding."""
    layer = network.layers[0]
    return [
        sum((Fraction(w) * Fraction(v) for w, v in zip(row, point.tolist(), strict=True)), bias)
        for row, bias in zip(layer.weight.tolist(), map(Fraction, layer.bias.tolist()), strict=True)
    ]


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    inputs=st.integers(1, 40),
    black=st.floats(0.0, 1.0),
    cancels=st.booleans(),
    norm=st.sampled_from(list(Norm)),
)
def test_errors_hold_in_exact_arithmetic(
    seed: int, inputs: int, black: float, cancels: bool, norm: Norm
) -> None:
    """Black pixels or none, and weights over twelve orders of magnitude that may cancel."""
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(5, inputs)) * 10.0 ** generator.integers(-6, 7, (5, inputs))
    point = np.where(generator.random(inputs) < black, 0.0, generator.random(inputs))
    bias = -(weight @ point) if cancels else generator.normal(size=5)
    network = ReLUNetwork((Dense(weight, bias),))
    region = InputSet(Box.unit(inputs), point, norm, 1.0).flat(flatten(network))
    if norm is not Norm.LINF:  # whose center is the middle of the box that is left
        assert (region.center == point).all()
    exact = exact_first_layer(network, region.center)
    wrong = [abs(Fraction(v) - e) for v, e in zip(region.values.tolist(), exact, strict=True)]
    assert all(w <= Fraction(e) for w, e in zip(wrong, region.errors.tolist(), strict=True))


@pytest.mark.parametrize("index", [0, 195])
def test_errors_of_digits_are_far_below_those_of_full_images(
    thesis: ReLUNetwork, test_images: Dataset, index: int
) -> None:
    """Most pixels of a digit are black: neither their number nor their weights count."""
    image = test_images.images[index].ravel()
    region = InputSet(Box.unit(784), image, Norm.L2, 1.0).flat(flatten(thesis))
    exact = exact_first_layer(thesis, image)
    wrong = [abs(Fraction(v) - e) for v, e in zip(region.values.tolist(), exact, strict=True)]
    assert all(w <= Fraction(e) for w, e in zip(wrong, region.errors.tolist(), strict=True))
    assert max(wrong) > 0
    assert (region.errors < 0.1 * gamma(784.0) * region.magnitudes).all()
