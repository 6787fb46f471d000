"""The model of Linkola (2023), as it was published."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from reluopt.bounds.constant import Constant
from reluopt.formulation.base import EncodedLayer, InputEncoding
from reluopt.formulation.relu import (
    ReLUProgram,
    add_affine_rows,
    add_big_m_rows,
    add_change,
    add_free_input,
    add_inputs,
    add_neurons,
)
from reluopt.formulation.stages import Form
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import ProgramBuilder
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Distance, Task


class Thesis(ReLUProgram):
    """x, s and z for every neuron of every layer, and one ``delta`` with two rows for each input.

    With bounds of -1000 and 1000 it has exactly 958 variables for the 784-32-16-10 network, and
    1742 with the change. No attack is run first, and nothing is scaled.
    """

    name = "thesis"
    attacks = False
    bounds = Constant()

    def add_input(self, builder: ProgramBuilder, task: Task) -> InputEncoding:
        if not isinstance(task.objective, Distance):
            return add_inputs(builder, task.inputs)
        if any(task.objective.norm.costs):
            return _add_sizes(builder, task.objective, task.box)
        return add_change(builder, task.objective, task.box)

    def add_hidden(
        self, builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        return add_neurons(builder, affine, lower, upper, np.ones(lower.size, dtype=np.bool_))

    def add_output(
        self, builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        """Variables x, free because logits may be negative, s fixed at zero, and z."""
        zeros = np.zeros(lower.size)
        x = builder.add_variables(lower, upper)
        s = builder.add_variables(zeros, zeros)
        z = builder.add_variables(zeros, 1.0 + zeros, binary=True)
        add_big_m_rows(builder, (x, s, z), lower, upper)
        add_affine_rows(builder, affine, x, s)
        return EncodedLayer(x, s, z, np.zeros(lower.size, dtype=np.bool_), output=True)


def _add_sizes(builder: ProgramBuilder, distance: Distance, box: Box) -> InputEncoding:
    """``x0`` and ``delta`` with ``-delta <= x0 - image <= delta``."""
    entry, image = add_free_input(builder, box), distance.image
    reach = np.maximum(box.upper - image, image - box.lower)
    cost, quadratic = distance.norm.costs
    sizes = builder.add_variables(np.zeros(image.size), reach, cost=cost, quadratic=quadratic)
    eye = sp.csr_array(sp.eye_array(image.size))
    for sign in (1.0, -1.0):
        builder.add_rows([(eye, sizes), (-sign * eye, entry.columns)], -sign * image, np.inf)
    return InputEncoding(entry.base, entry.matrix, entry.columns, image, sizes)
