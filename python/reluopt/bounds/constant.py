"""Constant bounds: one big-M for every neuron, as in the thesis (Linkola 2023)."""

from __future__ import annotations

import math

import numpy as np

from reluopt.bounds.base import InputSet, PreActivationBounds
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork

THESIS_MAGNITUDE = 1000.0
"""The thesis' ``L = -1000`` and ``U = 1000``, the same for every neuron."""


def thesis_bounds(
    network: ReLUNetwork, region: InputSet, magnitude: float = THESIS_MAGNITUDE
) -> PreActivationBounds:
    """Bounds ``-magnitude <= a <= magnitude`` for every neuron, the logits included.

    They are a convention and no theorem: nothing is computed, so they hold only for networks and
    regions whose pre-activations stay that small. MNIST-sized networks on [0, 1] stay far below.

    Args:
        network: gives the sizes.
        region: ignored.
        magnitude: the big-M constant, > 0.

    Raises:
        InputError: ``magnitude`` is not a positive number.
    """
    del region
    if not (math.isfinite(magnitude) and magnitude > 0.0):
        raise InputError(f"big-M: expected a number > 0, found {magnitude}")
    upper = tuple(np.full(size, magnitude) for size in network.sizes[1:])
    return PreActivationBounds(tuple(-values for values in upper), upper, "thesis")
