r"""Scaling neurons so that solvers' absolute tolerances mean the same everywhere.

ReLU is positively homogeneous: multiplying a hidden neuron's weights and bias by :math:`2^e` and
the next layer's weights on it by :math:`2^{-e}` changes no logit, and in floating point not even a
bit. Solvers, however, accept rows that are violated by an *absolute* 1e-9 and drop coefficients
below 1e-9, so a network whose neurons live at 1e-9 would be solved wrongly. Every hidden neuron is
therefore scaled to a reach :math:`\max(|L|, |U|)` between 1 and 2 times :data:`REACH`.
"""

from __future__ import annotations

import numpy as np

from reluopt.bounds.base import PreActivationBounds
from reluopt.networks.layers.base import Affine
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray

REACH = 16.0
"""Target reach of a hidden neuron: what trained MNIST networks have, so that they stay as they
are up to a small factor."""

LARGEST_EXPONENT = 500
"""Limit of a scaling exponent; beyond it products with weights could overflow."""


BALANCED_EXPONENT = 10
"""Weights whose size differs from 1 by up to 2^10 are no trouble to any solver here."""


def balanced(network: ReLUNetwork, largest_input: float = 1.0) -> ReLUNetwork:
    r"""An equal network without hidden neurons of extreme scale.

    Only neurons whose size (:func:`_sizes`) lies outside :math:`2^{\pm 10}` are scaled; trained
    networks have none, and come back as they are.

    Args:
        network: the network.
        largest_input: the largest absolute value of an input.
    """
    factors, changed = [np.ones(network.input_size)], False
    reach = np.full(network.input_size, largest_input)
    for k, layer in enumerate(network.affine_layers):
        sizes = _sizes(layer, reach, factors[-1])
        factor = np.ones(sizes.size)
        if k < len(network.affine_layers) - 1:
            exponents = _extreme_exponents(sizes)
            changed = changed or bool(exponents.any())
            factor = np.exp2(-exponents)
        factors.append(factor)
        reach = factor * sizes
    if not changed:
        return network
    layers = [
        layer.scaled(factor, 1.0 / before)
        for layer, before, factor in zip(
            network.affine_layers, factors[:-1], factors[1:], strict=True
        )
    ]
    return ReLUNetwork(tuple(layers), network.metadata)


def balanced_logits(network: ReLUNetwork, largest_input: float = 1.0) -> tuple[ReLUNetwork, float]:
    r"""A network whose logits are not of extreme scale, and the power of two they are scaled by.

    All logits get one factor, so conditions :math:`C x^K \ge d` become :math:`C x^K \ge f d`. It is
    1 for trained networks, which come back as they are.

    Args:
        network: a balanced network.
        largest_input: the largest absolute value of an input.
    """
    reach = np.full(network.input_size, largest_input)
    for layer in network.affine_layers:
        reach = _sizes(layer, reach, np.ones(layer.input_size))
    factor = float(np.exp2(-_extreme_exponents(reach.max(keepdims=True))[0]))
    return _with_logits(network, factor), factor


def _with_logits(network: ReLUNetwork, factor: float) -> ReLUNetwork:
    """The network with all logits multiplied by ``factor``."""
    if factor == 1.0:
        return network
    last = network.affine_layers[-1]
    multiplied = last.scaled(np.full(last.output_size, factor), np.ones(last.input_size))
    return ReLUNetwork((*network.affine_layers[:-1], multiplied), network.metadata)


def _sizes(layer: Affine, reach: FloatArray, before: FloatArray) -> FloatArray:
    """Sizes of neurons: the sum of absolute weights and bias, and less where inputs are small.

    Args:
        layer: their weights and biases.
        reach: how large the inputs may get, shape ``(n_in,)``; no more than 1 is made of it, since
            these sums grow from layer to layer as no value does.
        before: powers of two by which the inputs are scaled.
    """
    with np.errstate(over="ignore"):
        return layer.sums(np.minimum(reach, 1.0) / before) + np.abs(layer.bias)


def _extreme_exponents(sizes: FloatArray) -> FloatArray:
    r"""Binary exponents of sizes outside :math:`2^{\pm 10}`, limited; 0 for all others."""
    usable = np.isfinite(sizes) & (sizes > 0.0)
    exponents = np.zeros(sizes.size)
    exponents[usable] = np.floor(np.log2(sizes[usable]))
    exponents[np.abs(exponents) <= BALANCED_EXPONENT] = 0.0
    return np.clip(exponents, -LARGEST_EXPONENT, LARGEST_EXPONENT)


def scaled(
    network: ReLUNetwork, bounds: PreActivationBounds
) -> tuple[ReLUNetwork, PreActivationBounds]:
    """An equal network whose hidden neurons have similar reach, and its bounds.

    Args:
        network: the network.
        bounds: its pre-activation bounds.

    Returns:
        A network with the same logits for every input (exactly so in exact arithmetic, and in
        floating point unless numbers underflow), and bounds of its pre-activations.
    """
    factors: list[FloatArray] = []
    for lower, upper in zip(bounds.lower[:-1], bounds.upper[:-1], strict=True):
        reach = np.maximum(np.abs(lower), np.abs(upper))
        usable = np.isfinite(reach) & (reach > 0.0)
        exponents = np.zeros(reach.size)
        exponents[usable] = np.floor(np.log2(REACH / reach[usable]))
        factors.append(np.exp2(np.clip(exponents, -LARGEST_EXPONENT, LARGEST_EXPONENT)))
    factors.append(np.ones(network.output_size))
    layers, before = [], np.ones(network.input_size)
    for layer, factor in zip(network.affine_layers, factors, strict=True):
        layers.append(layer.scaled(factor, 1.0 / before))
        before = factor
    rescaled = PreActivationBounds(
        tuple(f * values for f, values in zip(factors, bounds.lower, strict=True)),
        tuple(f * values for f, values in zip(factors, bounds.upper, strict=True)),
        bounds.method,
    )
    return ReLUNetwork(tuple(layers), network.metadata), rescaled


def scaled_logits(
    network: ReLUNetwork, bounds: PreActivationBounds
) -> tuple[ReLUNetwork, PreActivationBounds, float]:
    """Like :func:`balanced_logits`, by what the bounds of the logits say about their size.

    Args:
        network: a scaled network.
        bounds: its pre-activation bounds.

    Returns:
        The network and its bounds with all logits multiplied, and the factor.
    """
    reach = np.maximum(np.abs(bounds.lower[-1]), np.abs(bounds.upper[-1])).max(keepdims=True)
    factor = float(np.exp2(-_extreme_exponents(reach)[0]))
    if factor == 1.0:
        return network, bounds, factor
    lower, upper = ((*each[:-1], factor * each[-1]) for each in (bounds.lower, bounds.upper))
    return _with_logits(network, factor), PreActivationBounds(lower, upper, bounds.method), factor
