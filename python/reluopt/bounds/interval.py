r"""Interval arithmetic: the cheapest valid bounds.

.. math:: U^k = W^k_+ \max(0, U^{k-1}) + W^k_- \max(0, L^{k-1}) + b^k

and likewise for :math:`L^k`, with :math:`W_+ = \max(W, 0)` and :math:`W_- = \min(W, 0)` (Moore
1966; Gowal et al. 2018, section 3). The first layer is exact over the region, ball included;
rounding is outward.
"""

from __future__ import annotations

import numpy as np

from reluopt.bounds.base import InputSet, PreActivationBounds
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.flat import split_layers
from reluopt.numerics.propagate import tighten_intervals
from reluopt.questions.input_sets import flat_input_set


def interval_bounds(network: ReLUNetwork, region: InputSet) -> PreActivationBounds:
    """Pre-activation bounds by interval arithmetic.

    Args:
        network: any dense ReLU network.
        region: the inputs over which they must hold.

    Returns:
        Bounds valid in exact arithmetic; ``empty`` when the region provably is.
    """
    flat = flatten(network)
    lower, upper = np.full(flat.biases.size, -np.inf), np.full(flat.biases.size, np.inf)
    limits = flat_input_set(flat, region.box, region.center, region.norm, region.radius)
    tighten_intervals(flat, limits, lower, upper)
    return PreActivationBounds(split_layers(flat, lower), split_layers(flat, upper), "interval")
