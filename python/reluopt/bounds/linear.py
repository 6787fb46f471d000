"""Linear bounds: the better of CROWN's backward linear forms and interval arithmetic.

The mathematics, with the proof that rounding keeps the bounds valid, is in
:mod:`reluopt.numerics.propagate`.
"""

from __future__ import annotations

import numpy as np

from reluopt.bounds.base import InputSet, PreActivationBounds
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.flat import split_layers
from reluopt.numerics.propagate import tighten
from reluopt.questions.input_sets import flat_input_set


def linear_bounds(
    network: ReLUNetwork, region: InputSet, start: PreActivationBounds | None = None
) -> PreActivationBounds:
    """Pre-activation bounds by backward linear forms (CROWN, Zhang et al. 2018; DeepPoly).

    The first layer is exact over {ball ∩ box}: a fractional knapsack for L1, a clipped ball for
    L2, a box for Linf. Deeper layers are never worse than :func:`~reluopt.bounds.interval_bounds`
    over the same region. About 1 ms for 784-32-16-10.

    Args:
        network: any dense ReLU network.
        region: the inputs over which they must hold.
        start: bounds known to be valid, to be tightened.

    Returns:
        Bounds valid in exact arithmetic; ``empty`` when the region provably is.
    """
    flat = flatten(network)
    count = flat.biases.size
    lower, upper = np.full(count, -np.inf), np.full(count, np.inf)
    if start is not None:
        lower, upper = np.concatenate(start.lower), np.concatenate(start.upper)
    limits = flat_input_set(flat, region.box, region.center, region.norm, region.radius)
    tighten(flat, limits, lower, upper, np.empty(count), 0, len(network.affine_layers), True)
    return PreActivationBounds(split_layers(flat, lower), split_layers(flat, upper), "linear")
