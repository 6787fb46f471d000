"""Programs with fixed inputs: equal to the forward pass, or infeasible where a bound forbids it."""

import numpy as np
import pytest

from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.runs.activations import (
    BOUNDS,
    DEVIATION,
    MEAN,
    PIXELS,
    VARIANTS,
    InferenceJob,
    InferenceUnit,
)
from reluopt.runs.instances import Instance

IMAGE = Instance("test:0", np.random.default_rng(1).random(36), 0)


def small(offset):
    """One convolution, one pool and three logits, all of them moved by ``offset``."""
    random = np.random.default_rng(0)
    convolution = Conv2d(
        random.normal(size=(2, 1, 3, 3)), random.normal(size=2), Windows((1, 6, 6), (3, 3))
    )
    pool = MaxPool2d(Windows((2, 4, 4), (2, 2), (2, 2)))
    linear = Dense(random.normal(size=(3, 8)), offset + random.normal(size=3))
    return ReLUNetwork((convolution, Chain((pool, linear))))


def solve(network, pixels, variant, bounds):
    job = InferenceJob(network, EngineOptions(20.0))
    return job.run(InferenceUnit(IMAGE, pixels, variant, "highs", bounds))


def by_hand(network, pixels, variant):
    """Hidden values and the sum of all activations."""
    image = (IMAGE.image - MEAN) / DEVIATION if pixels == "normalised" else IMAGE.image
    hidden = np.maximum(network.layers[0].forward(image[None]), 0.0)
    pooled, linear = network.layers[1].parts
    maxima = pooled.forward(hidden)
    logits = linear.forward(maxima)
    ends = {"without": 0.0, "relu": np.maximum(logits, 0.0).sum()}
    return hidden[0], hidden.sum() + maxima.sum() + ends.get(variant, logits.sum())


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pixels", PIXELS)
def test_a_fixed_input_leaves_only_the_forward_pass(pixels, variant, bounds):
    network = small(100.0)  # no logit is negative
    found = solve(network, pixels, variant, bounds)
    hidden, total = by_hand(network, pixels, variant)
    assert found.row.status == "OPTIMAL"
    assert found.row.negative == 0
    assert found.row.expected == pytest.approx(total, abs=1e-9)
    assert found.row.objective == pytest.approx(total, abs=1e-6)
    assert found.row.difference < 1e-6
    assert np.ravel(found.image) == pytest.approx(hidden, abs=1e-6)


@pytest.mark.parametrize("bounds", BOUNDS)
def test_negative_logits_are_infeasible_with_a_lower_bound_of_0_and_only_then(bounds):
    network = small(-100.0)
    refused = solve(network, "plain", "nonnegative", bounds)
    assert (refused.row.status, refused.row.negative) == ("INFEASIBLE", 3)
    assert refused.image is None
    for variant in ("without", "relu", "free"):
        assert solve(network, "plain", variant, bounds).row.status == "OPTIMAL"


def test_other_networks_are_refused_in_one_line():
    network = ReLUNetwork((Dense(np.eye(4, 36), np.zeros(4)), Dense(np.eye(2, 4), np.zeros(2))))
    with pytest.raises(InputError, match="expected a pool and a linear layer last, found dense"):
        solve(network, "plain", "without", "interval")
    job = InferenceJob(small(0.0))
    with pytest.raises(InputError, match="expected one that solves programs, found bnb"):
        job.run(InferenceUnit(IMAGE, "plain", "free", "bnb", "interval"))
