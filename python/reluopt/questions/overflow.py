r"""Networks whose forward pass can overflow are refused before anybody computes with them.

Over inputs of at most :math:`X^0` in absolute value, interval arithmetic bounds all pre-activations
of layer k, and every partial sum of the matrix product behind them, by

.. math:: m^k = |W^k| X^{k-1} + |b^k|, \qquad X^k = m^k .

Numbers above :data:`LARGEST_SIZE` are refused: what does not overflow itself would do so once it is
squared, and comparisons with NaN and infinity prove nothing.
"""

from __future__ import annotations

import numpy as np

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.margins import LogitConditions

LARGEST_SIZE = 1e100
"""Largest pre-activation (and condition on logits) to compute with: the products of three such
numbers that quadratic programs and their proofs form stay below the largest float64, 1.8e308."""


def refuse_overflow(network: ReLUNetwork, lower: FloatArray, upper: FloatArray) -> float:
    """Refuse a network whose pre-activations may exceed :data:`LARGEST_SIZE` over a box.

    A bound by the norms of the layers, which the network keeps, is tried first: it takes
    microseconds, and only networks of extreme scale need the bounds of single neurons.

    Args:
        network: the network.
        lower: shape ``(n_0,)``.
        upper: shape ``(n_0,)``.

    Returns:
        A number that no logit over the box exceeds in absolute value, up to rounding.

    Raises:
        InputError: they may, or inputs do; it names the network, the layer and a neuron.
    """
    inputs = np.maximum(np.abs(lower), np.abs(upper))
    reach = float(inputs.max(initial=0.0))
    if not reach <= LARGEST_SIZE:
        raise InputError(f"box: expected inputs within ±{LARGEST_SIZE:g}, found {reach:g}")
    for weight, bias in network.norms:
        reach = weight * reach + bias
        if not reach <= LARGEST_SIZE:
            return _largest_logit(network, inputs)
    return reach


def refuse_large_conditions(
    conditions: LogitConditions, network: ReLUNetwork, lower: FloatArray, upper: FloatArray
) -> None:
    """Refuse conditions on logits that may exceed :data:`LARGEST_SIZE` over a box.

    Raises:
        InputError: they may, or the network itself may.
    """
    largest = refuse_overflow(network, lower, upper)
    with np.errstate(over="ignore"):
        sizes = np.abs(conditions.matrix).sum(axis=1) * largest + np.abs(conditions.rhs)
    reach = float(sizes.max(initial=0.0))
    if not reach <= LARGEST_SIZE:
        raise InputError(
            f"margin: expected conditions on logits within ±{LARGEST_SIZE:g} (beyond, float64 "
            f"overflows), found one that may reach {reach:.3g}"
        )


def _largest_logit(network: ReLUNetwork, inputs: FloatArray) -> float:
    """Interval arithmetic for every neuron; an InputError for the first layer that is too large."""
    reach = inputs
    for k, layer in enumerate(network.affine_layers, start=1):
        with np.errstate(over="ignore"):
            reach = abs(layer.weight) @ reach + np.abs(layer.bias)
        worst = int(np.argmax(reach))
        if not reach[worst] <= LARGEST_SIZE:
            raise InputError(
                f"network {network.metadata.name}: layer {k}: expected pre-activations within "
                f"±{LARGEST_SIZE:g} (beyond, float64 overflows), found that neuron {worst} may "
                f"reach {reach[worst]:.3g}"
            )
    return float(reach.max())
