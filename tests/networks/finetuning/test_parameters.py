"""Derivatives by weights: against differences, and against each other."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.finetuning.parameters import (
    loss_gradient,
    mean_loss,
    pulled_back,
    pushed_forward,
    weights_of,
    with_weights,
)
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled

RNG = np.random.default_rng(8)


def convolutional():
    """Two convolutions, one of them in groups, and a dense layer."""
    first = Windows((1, 6, 6), (3, 3), (2, 2), (1, 1, 1, 1))
    second = Windows((4, 3, 3), (2, 2))
    return ReLUNetwork(
        (
            Conv2d(RNG.normal(size=(4, 1, 3, 3)), RNG.normal(size=4), first),
            Conv2d(RNG.normal(size=(6, 2, 2, 2)), RNG.normal(size=6), second, 2),
            Dense(RNG.normal(size=(3, 24)), RNG.normal(size=3)),
        )
    )


def dense():
    """Three dense layers."""
    sizes = ((7, 36), (5, 7), (3, 5))
    return ReLUNetwork(tuple(Dense(RNG.normal(size=s), RNG.normal(size=s[0])) for s in sizes))


@pytest.mark.parametrize("make", [convolutional, dense])
def test_derivatives_are_those_of_differences(make):
    network, inputs = make(), RNG.random((4, 36))
    weights, factors = weights_of(network), RNG.normal(size=(4, 3))
    change = 1e-6 * RNG.normal(size=weights.size)
    after, before = (with_weights(network, weights + s * change) for s in (1.0, -1.0))
    difference = (after.forward(inputs) - before.forward(inputs)) / 2.0
    forward = pushed_forward(network, inputs, change)
    assert np.allclose(forward, difference, rtol=1e-5, atol=1e-11)
    backward = pulled_back(network, inputs, factors) @ change
    assert backward == pytest.approx(float((factors * forward).sum()), rel=1e-9)


def test_the_gradient_of_the_loss_is_its_difference():
    network, inputs = convolutional(), RNG.random((6, 36))
    labels, weights = np.arange(6) % 3, weights_of(network)
    change = 1e-6 * RNG.normal(size=weights.size)
    after, before = (
        mean_loss(with_weights(network, weights + s * change), inputs, labels) for s in (1.0, -1.0)
    )
    slope = loss_gradient(network, inputs, labels) @ change
    assert slope == pytest.approx((after - before) / 2.0, rel=1e-5)


def test_batches_are_summed_in_parts(monkeypatch):
    network, inputs, factors = convolutional(), RNG.random((5, 36)), RNG.normal(size=(5, 3))
    whole = pulled_back(network, inputs, factors)
    monkeypatch.setattr("reluopt.networks.finetuning.parameters.TOGETHER", 2)
    assert np.allclose(pulled_back(network, inputs, factors), whole)


def test_weights_come_back():
    network = convolutional()
    assert with_weights(network, weights_of(network)).fingerprint == network.fingerprint


def test_other_layers_are_refused():
    with pytest.raises(InputError, match="expected dense layers and convolutions, found chain"):
        weights_of(load_bundled("adm"))
