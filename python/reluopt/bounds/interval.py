r"""Interval arithmetic: the cheapest valid bounds.

.. math:: U^k = W^k_+ \max(0, U^{k-1}) + W^k_- \max(0, L^{k-1}) + b^k

and likewise for :math:`L^k`, with :math:`W_+ = \max(W, 0)` and :math:`W_- = \min(W, 0)` (Moore
1966; Gowal et al. 2018, section 3). The first layer is exact over the input set, ball included;
rounding is outward.
"""

from __future__ import annotations

import numpy as np

from reluopt.bounds.base import BoundingMethod, PreActivationBounds
from reluopt.deadline import Deadline
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.flat import split_layers
from reluopt.numerics.propagate import tighten_intervals
from reluopt.questions.input_sets import InputSet


class Interval(BoundingMethod):
    """Pre-activation bounds by interval arithmetic, valid in exact arithmetic."""

    name = "interval"

    def _bounds(
        self, network: ReLUNetwork, inputs: InputSet, deadline: Deadline
    ) -> PreActivationBounds:
        flat = flatten(network)
        lower, upper = np.full(flat.biases.size, -np.inf), np.full(flat.biases.size, np.inf)
        tighten_intervals(flat, inputs.flat(flat), lower, upper)
        return PreActivationBounds(split_layers(flat, lower), split_layers(flat, upper), self.name)
