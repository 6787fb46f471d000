"""Indicator constraints in place of big-M rows: for engine ``julia``, and in others' models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reluopt.bounds.base import PreActivationBounds
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import UnsupportedProblemError
from reluopt.formulation.base import ABSENT, EncodedLayer, EncodedProblem, Implications
from reluopt.formulation.forms.bigm import BigM
from reluopt.formulation.relu import add_variables_of_neurons
from reluopt.formulation.stages import Form
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import ProgramBuilder
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Task


class Indicator(BigM):
    """``z = 1`` implies ``s <= 0``, and ``z = 0`` implies ``x <= 0``.

    Leaky neurons and maxima keep their big-M rows.
    """

    name = "indicator"
    in_python = False
    indicators = True

    def encode(
        self,
        network: ReLUNetwork,
        task: Task,
        bounds: PreActivationBounds,
        deadline: Deadline = NEVER,
    ) -> EncodedProblem:
        raise UnsupportedProblemError("formulation indicator: expected engine julia")

    def encode_network(
        self, network: ReLUNetwork, bounds: PreActivationBounds, box: Box
    ) -> EncodedProblem:
        encoded = super().encode_network(network, bounds, box)
        z, x, s = (
            np.concatenate([getattr(layer, part) for layer in encoded.network.layers])
            for part in "zxs"
        )
        has = z != ABSENT
        active = np.repeat([True, False], np.count_nonzero(has))
        implications = Implications(np.tile(z[has], 2), active, np.append(s[has], x[has]))
        return replace(encoded, implications=implications)

    def add_hidden(
        self, builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        unstable = (lower < 0.0) & (upper > 0.0)
        return add_variables_of_neurons(builder, affine, lower, upper, unstable)
