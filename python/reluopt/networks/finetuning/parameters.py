"""Networks as functions of their weights: vectors of all weights, and derivatives by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.softmax import softmax

TOGETHER = 500
"""Inputs whose windows are laid out at once."""

Trained = Dense | Conv2d
"""Layers that can be changed."""


def trained_layers(network: ReLUNetwork) -> tuple[Trained, ...]:
    """The layers, all of which have weights and biases.

    Raises:
        InputError: one is of another kind.
    """
    found: list[Trained] = []
    for layer in network.layers:
        if not isinstance(layer, Trained):
            raise InputError(
                f"network {network.metadata.name}: expected dense layers and convolutions, found "
                f"{layer.kind}"
            )
        found.append(layer)
    return tuple(found)


def weights_of(network: ReLUNetwork) -> FloatArray:
    """All weights and biases, layer by layer, in one vector."""
    layers = trained_layers(network)
    return np.concatenate([a.ravel() for each in layers for a in (each.weight, each.bias)])


def with_weights(network: ReLUNetwork, weights: FloatArray) -> ReLUNetwork:
    """The network with other weights, as :func:`weights_of` orders them."""
    layers, start = [], 0
    for layer in trained_layers(network):
        size, width = layer.weight.size, layer.bias.size
        weight = weights[start : start + size].reshape(layer.weight.shape)
        layers.append(replace(layer, weight=weight, bias=weights[start + size :][:width]))
        start += size + width
    return ReLUNetwork(tuple(layers), network.metadata)


def pulled_back(network: ReLUNetwork, inputs: FloatArray, factors: FloatArray) -> FloatArray:
    """Gradient by all weights of ``sum(factors * logits)``.

    Args:
        network: dense layers and convolutions.
        inputs: a batch, shape ``(n, n_0)``.
        factors: shape ``(n, n_K)``.
    """
    total = np.zeros(sum(each.weight.size + each.bias.size for each in trained_layers(network)))
    for first in range(0, len(inputs), TOGETHER):
        part = slice(first, first + TOGETHER)
        total += _pulled_back(network, inputs[part], factors[part])
    return total


def _pulled_back(network: ReLUNetwork, inputs: FloatArray, factors: FloatArray) -> FloatArray:
    layers, values = trained_layers(network), [inputs]
    for layer in layers[:-1]:
        values.append(np.maximum(layer.forward(values[-1]), 0.0))
    parts: list[FloatArray] = []
    for k in range(len(layers) - 1, -1, -1):
        parts[:0] = [_by_weight(layers[k], values[k], factors), _by_bias(layers[k], factors)]
        if k > 0:
            factors = network.affine_layers[k].backward(factors) * (values[k] > 0.0)
    return np.concatenate([part.ravel() for part in parts])


def _by_weight(layer: Trained, values: FloatArray, factors: FloatArray) -> FloatArray:
    if isinstance(layer, Dense):
        return factors.T @ values
    count, groups = len(values), layer.groups
    taps = layer.windows.take(values.reshape(count, *layer.windows.input_shape), 0.0)
    maps = factors.reshape(count, *layer.output_shape)
    axes = ([0, 2, 3], [0, 2, 3])
    halves = zip(np.split(maps, groups, axis=1), np.split(taps, groups, axis=1), strict=True)
    return np.concatenate([np.tensordot(own, seen, axes) for own, seen in halves])


def _by_bias(layer: Trained, factors: FloatArray) -> FloatArray:
    maps = factors.reshape(len(factors), layer.bias.size, -1)
    return np.asarray(maps.sum(axis=(0, 2)))


def pushed_forward(network: ReLUNetwork, inputs: FloatArray, change: FloatArray) -> FloatArray:
    """By how much the logits change along a change of the weights, to first order: ``(n, n_K)``."""
    moved = trained_layers(with_weights(network, change))
    layers, values = trained_layers(network), inputs
    derivative = np.zeros_like(inputs)
    for k, (layer, change_of) in enumerate(zip(layers, moved, strict=True)):
        derivative = layer.forward(derivative) - _spread(layer) + change_of.forward(values)
        values = layer.forward(values)
        if k < len(layers) - 1:
            derivative, values = derivative * (values > 0.0), np.maximum(values, 0.0)
    return derivative


def _spread(layer: Trained) -> FloatArray:
    """The bias of every output."""
    return np.repeat(layer.bias, layer.output_size // layer.bias.size)


def mean_loss(network: ReLUNetwork, inputs: FloatArray, labels: NDArray[np.intp]) -> float:
    """Mean cross-entropy."""
    logits = network.forward(inputs)
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(labels)), labels]
    return float((np.log(np.exp(shifted).sum(axis=1)) - own).mean())


def loss_gradient(network: ReLUNetwork, inputs: FloatArray, labels: NDArray[np.intp]) -> FloatArray:
    """Gradient of :func:`mean_loss` by all weights."""
    factors = softmax(network.forward(inputs)) - np.eye(network.output_size)[labels]
    return pulled_back(network, inputs, factors / len(labels))
