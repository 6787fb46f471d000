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
from reluopt.network import Dense, FloatArray, ReLUNetwork

REACH = 16.0
"""Target reach of a hidden neuron: what trained MNIST networks have, so that they stay as they
are up to a small factor."""

LARGEST_EXPONENT = 500
"""Limit of a scaling exponent; beyond it products with weights could overflow."""


BALANCED_EXPONENT = 10
"""Weights whose size differs from 1 by up to 2^10 are no trouble to any solver here."""


def balanced(network: ReLUNetwork) -> ReLUNetwork:
    r"""An equal network without hidden neurons of extreme scale.

    Only neurons whose weights (the sum of their sizes, and of the bias) lie outside
    :math:`2^{\pm 10}` are scaled; trained networks have none, and come back as they are.
    """
    layers, before, changed = [], np.ones(network.input_size), False
    for k, layer in enumerate(network.layers):
        weight = layer.weight / before[None, :]
        size = np.abs(weight).sum(axis=1) + np.abs(layer.bias)
        exponents = np.zeros(size.size)
        usable = np.isfinite(size) & (size > 0.0)
        exponents[usable] = np.floor(np.log2(size[usable]))
        extreme = np.abs(exponents) > BALANCED_EXPONENT
        if k == len(network.layers) - 1:
            extreme[:] = False
        factor = np.where(
            extreme, np.exp2(-np.clip(exponents, -LARGEST_EXPONENT, LARGEST_EXPONENT)), 1.0
        )
        changed = changed or bool(extreme.any())
        layers.append(Dense(factor[:, None] * weight, factor * layer.bias))
        before = factor
    return ReLUNetwork(tuple(layers), network.metadata) if changed else network


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
    for layer, factor in zip(network.layers, factors, strict=True):
        weight = factor[:, None] * layer.weight / before[None, :]
        layers.append(Dense(weight, factor * layer.bias))
        before = factor
    rescaled = PreActivationBounds(
        tuple(f * values for f, values in zip(factors, bounds.lower, strict=True)),
        tuple(f * values for f, values in zip(factors, bounds.upper, strict=True)),
        bounds.method,
    )
    return ReLUNetwork(tuple(layers), network.metadata), rescaled
