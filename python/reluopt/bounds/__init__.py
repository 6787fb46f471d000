"""Pre-activation bounds: how far every neuron can go over a set of inputs.

One file for each bounding method. All but ``thesis``, one constant for all neurons, are valid in
exact arithmetic and need no trust in a tolerance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reluopt.registry import Registry

if TYPE_CHECKING:
    from reluopt.bounds.base import BoundingMethod, PreActivationBounds
    from reluopt.networks.network import ReLUNetwork
    from reluopt.questions.input_sets import InputSet

BOUNDING_METHODS: Registry[BoundingMethod] = Registry(
    "bounds",
    thesis="bounds.constant:Constant",
    interval="bounds.interval:Interval",
    linear="bounds.linear:Linear",
    lp="bounds.lp:OBBT",
)
"""The loosest first."""


def compute_bounds(name: str, network: ReLUNetwork, inputs: InputSet) -> PreActivationBounds:
    """Bounds by the method of this name; see :meth:`.BoundingMethod.compute`.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0).ravel()
        >>> box = ro.Box(np.maximum(seven - 0.05, 0), np.minimum(seven + 0.05, 1))
        >>> bounds = ro.compute_bounds("linear", ro.load_network("thesis"), ro.InputSet(box))
        >>> bounds.unstable_count  # of 48 hidden neurons
        15
    """
    return BOUNDING_METHODS.get(name).compute(network, inputs)
