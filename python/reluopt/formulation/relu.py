r"""The (x, s, z) constraints of a ReLU network (Grimstad & Andersson 2019, equation 5).

For a hidden layer with pre-activation bounds :math:`L \le a \le U`

.. math:: W x^{k-1} + b = x - s, \quad 0 \le x \le U z, \quad 0 \le s \le -L (1 - z),
          \quad z \in \{0, 1\},

so that :math:`x = \max(0, a)` and :math:`s = \max(0, -a)`. A *stable* neuron needs no binary: for
:math:`L \ge 0` it is the row :math:`a = x`, for :math:`U \le 0` it is no variable at all.

:class:`ReLUProgram` walks through the layers; the formulations in :mod:`.forms` say how the input
enters and which neurons get which variables.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from reluopt.bounds.base import PreActivationBounds
from reluopt.errors import InputError
from reluopt.formulation.base import (
    ABSENT,
    EncodedLayer,
    EncodedNetwork,
    EncodedProblem,
    Formulation,
    InputEncoding,
)
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.numerics.linear_programs import IndexArray, ProgramBuilder
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Distance, Task

Affine: TypeAlias = tuple[sp.csr_array, IndexArray, FloatArray]
"""``slope @ v[columns] + offset``: the pre-activations of a layer."""


class ReLUProgram(Formulation):
    """A program with x, s and z for the neurons, one layer after the other."""

    def encode(
        self, network: ReLUNetwork, task: Task, bounds: PreActivationBounds
    ) -> EncodedProblem:
        """See :meth:`.Formulation.encode`."""
        if len(task.alternatives) > 1:
            raise InputError(f"task: expected one alternative, found {len(task.alternatives)}")
        network, bounds, factor = self.rescaled(network, bounds, task)
        builder = ProgramBuilder(maximise=not task.minimises_distance)
        entry = self.add_input(builder, task)
        encoded = EncodedNetwork(network, entry, self._layers(builder, network, entry, bounds))
        for alternative in task.alternatives:
            matrix, rhs = alternative.conditions.matrix, alternative.conditions.rhs
            builder.add_rows([(matrix, encoded.logits)], factor * rhs, np.inf)
        if not isinstance(task.objective, Distance):
            for label, weight in task.objective.terms:
                builder.add_cost(encoded.logits[[label]], weight / factor)
        _add_change_limits(builder, entry, task)
        return EncodedProblem(builder.build(), encoded, factor)

    def rescaled(
        self, network: ReLUNetwork, bounds: PreActivationBounds, task: Task
    ) -> tuple[ReLUNetwork, PreActivationBounds, float]:
        """Network and bounds in other units, and the factor of the logits."""
        return network, bounds, 1.0

    @abstractmethod
    def add_input(self, builder: ProgramBuilder, task: Task) -> InputEncoding:
        """The input, and what is minimised if that is the size of its change."""

    @abstractmethod
    def add_hidden(
        self, builder: ProgramBuilder, affine: Affine, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        """One hidden layer with pre-activations ``affine`` between ``lower`` and ``upper``."""

    def add_output(
        self, builder: ProgramBuilder, affine: Affine, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        """The logits: variables without sign."""
        x = builder.add_variables(lower, upper)
        none = np.full(lower.size, ABSENT, dtype=np.intp)
        add_affine_rows(builder, affine, x, none)
        return EncodedLayer(x, none, none, np.zeros(lower.size, dtype=np.bool_))

    def _layers(
        self,
        builder: ProgramBuilder,
        network: ReLUNetwork,
        entry: InputEncoding,
        bounds: PreActivationBounds,
    ) -> tuple[EncodedLayer, ...]:
        encoded: list[EncodedLayer] = []
        for k, layer in enumerate(network.affine_layers):
            if k == 0:
                slope = sp.csr_array(layer.weight @ entry.matrix)
                affine = (slope, entry.columns, layer.weight @ entry.base + layer.bias)
            else:
                present = encoded[-1].x != ABSENT
                slope = sp.csr_array(layer.weight[:, present])
                affine = (slope, encoded[-1].x[present], layer.bias)
            add = self.add_output if k == len(network.affine_layers) - 1 else self.add_hidden
            encoded.append(add(builder, affine, bounds.lower[k], bounds.upper[k]))
        return tuple(encoded)


def add_free_input(builder: ProgramBuilder, box: Box) -> InputEncoding:
    """``x0`` itself, limited by the box."""
    columns = builder.add_variables(box.lower, box.upper)
    size = columns.size
    return InputEncoding(np.zeros(size), sp.csr_array(sp.eye_array(size)), columns)


def add_change(builder: ProgramBuilder, distance: Distance, box: Box) -> InputEncoding:
    """``x0 = image + delta`` with the change as its norm encodes it."""
    image = distance.image
    change = distance.norm.encode_change(builder, box.lower - image, box.upper - image)
    change.add_rows(builder)
    return InputEncoding(image, change.matrix, change.columns, image, change.sizes, change.sizes_of)


def _add_change_limits(builder: ProgramBuilder, entry: InputEncoding, task: Task) -> None:
    """Rows ``-limit <= A (x0 - image) <= limit``, whatever the encoding; none without limits."""
    if task.limits is None:
        return
    already = task.limits.matrix @ (entry.base - task.image)
    rows = sp.csr_array(task.limits.matrix @ entry.matrix)
    limit = task.limits.limit
    builder.add_rows([(rows, entry.columns)], -limit - already, limit - already)


def add_neurons(
    builder: ProgramBuilder,
    affine: Affine,
    lower: FloatArray,
    upper: FloatArray,
    unstable: BoolArray,
) -> EncodedLayer:
    """A hidden layer: x, s and z where ``unstable``, x alone where active, else nothing."""
    active = (lower >= 0.0) & ~unstable
    x, s, z = (np.full(lower.size, ABSENT, dtype=np.intp) for _ in range(3))
    x_lower, zeros = np.where(active, lower, 0.0), np.zeros(lower.size)
    present = unstable | active
    x[present] = builder.add_variables(x_lower[present], np.maximum(upper, 0.0)[present])
    s[unstable] = builder.add_variables(zeros[unstable], np.maximum(-lower, 0.0)[unstable])
    z[unstable] = builder.add_variables(zeros[unstable], 1.0 + zeros[unstable], binary=True)
    add_affine_rows(builder, affine, x, s)
    ends = lower[unstable], upper[unstable]
    add_big_m_rows(builder, (x[unstable], s[unstable], z[unstable]), *ends)
    return EncodedLayer(x, s, z, active)


def add_affine_rows(builder: ProgramBuilder, affine: Affine, x: IndexArray, s: IndexArray) -> None:
    """``slope @ v - x + s = -offset`` for every neuron that has an x."""
    slope, columns, offset = affine
    present, slack = x != ABSENT, s != ABSENT
    if not present.any():
        return
    eye = sp.csr_array(sp.eye_array(x.size))
    terms = [(slope[present], columns), (-eye[present][:, present], x[present])]
    if slack.any():
        terms.append((eye[present][:, slack], s[slack]))
    builder.add_rows(terms, -offset[present], -offset[present])


def add_big_m_rows(
    builder: ProgramBuilder,
    variables: tuple[IndexArray, IndexArray, IndexArray],
    lower: FloatArray,
    upper: FloatArray,
) -> None:
    """``x <= U z`` and ``s <= -L (1 - z)`` for variables ``(x, s, z)``."""
    x, s, z = variables
    if not x.size:
        return
    eye = sp.csr_array(sp.eye_array(x.size))
    big_upper, big_lower = np.maximum(upper, 0.0), np.maximum(-lower, 0.0)
    builder.add_rows([(eye, x), (sp.csr_array(sp.diags_array(-big_upper)), z)], -np.inf, 0.0)
    builder.add_rows([(eye, s), (sp.csr_array(sp.diags_array(big_lower)), z)], -np.inf, big_lower)
