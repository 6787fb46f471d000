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
from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from reluopt.bounds.base import PreActivationBounds
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import InputError
from reluopt.formulation.base import (
    ABSENT,
    EncodedLayer,
    EncodedNetwork,
    EncodedProblem,
    EncodedSlack,
    EncodedStage,
    EncodedValues,
    Formulation,
    InputEncoding,
)
from reluopt.formulation.maxima import add_maximum
from reluopt.formulation.stages import (
    Ends,
    Form,
    Values,
    bounded_stages,
    is_plain,
    rectified,
    variables,
)
from reluopt.networks.layers.base import Affine, Rectifier, Stage
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.numerics.linear_programs import IndexArray, ProgramBuilder
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.tasks import Distance, LinearForm, Task


class ReLUProgram(Formulation):
    """A program with x, s and z for the neurons, one layer after the other."""

    def encode(
        self,
        network: ReLUNetwork,
        task: Task,
        bounds: PreActivationBounds,
        deadline: Deadline = NEVER,
    ) -> EncodedProblem:
        """See :meth:`.Formulation.encode`."""
        if len(task.alternatives) > 1:
            raise InputError(f"task: expected one alternative, found {len(task.alternatives)}")
        factor = 1.0
        if is_plain(network):
            network, bounds, factor = self.rescaled(network, bounds, task)
        builder = ProgramBuilder(maximise=not task.minimises_distance)
        entry = self.add_input(builder, task)
        box = task.surroundings or task.box
        steps = tuple(self._steps(builder, network, entry, bounds, box))
        encoded, slack = EncodedNetwork(network, entry, steps), None
        for alternative in task.alternatives:
            matrix, rhs = alternative.conditions.matrix, factor * alternative.conditions.rhs
            if task.maximises_slack:
                ends = bounds.lower[-1], bounds.upper[-1]
                slack = add_slack(builder, encoded.logits, ends, (matrix, rhs), 1.0 / factor)
            else:
                builder.add_rows([(matrix, encoded.logits)], rhs, np.inf)
        if isinstance(task.objective, LinearForm):
            for label, weight in task.objective.terms:
                builder.add_cost(encoded.logits[[label]], weight / factor)
        _add_change_limits(builder, entry, task)
        return EncodedProblem(builder.build(), encoded, factor, slack)

    def encode_network(
        self, network: ReLUNetwork, bounds: PreActivationBounds, box: Box
    ) -> EncodedProblem:
        """See :meth:`.Formulation.encode_network`."""
        builder = ProgramBuilder()
        entry = add_free_input(builder, box)
        steps = tuple(self._steps(builder, network, entry, bounds, box))
        return EncodedProblem(builder.build(), EncodedNetwork(network, entry, steps))

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
        self, builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        """One hidden layer with pre-activations ``affine`` between ``lower`` and ``upper``."""

    def add_output(
        self, builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        """The logits: variables without sign."""
        x = builder.add_variables(lower, upper)
        none = np.full(lower.size, ABSENT, dtype=np.intp)
        add_affine_rows(builder, affine, x, none)
        return EncodedLayer(x, none, none, np.zeros(lower.size, dtype=np.bool_), output=True)

    def _steps(
        self,
        builder: ProgramBuilder,
        network: ReLUNetwork,
        entry: InputEncoding,
        bounds: PreActivationBounds,
        box: Box,
    ) -> Iterator[tuple[Stage, EncodedStage | None]]:
        """Write one stage after the other."""
        values = Values(entry.matrix, entry.columns, entry.base)
        stages = list(bounded_stages(network, bounds, (box.lower, box.upper)))
        before = box.lower, box.upper
        for number, (stage, ends) in enumerate(stages):
            encoded: EncodedStage | None = None
            if isinstance(stage, Affine):
                form = values.through(stage)
                values = Values(*form)
                if number == len(stages) - 1:
                    encoded = self.add_output(builder, form, *ends)
            elif isinstance(stage, Rectifier):
                hidden = self._rectify(builder, values, before, stage.slope)
                encoded, values = hidden, rectified(hidden, stage.slope)
            else:
                if values.slope is not None:
                    columns = add_values(builder, values, before)
                    yield Rectifier(1.0), EncodedValues(columns)
                    values = variables(columns)
                encoded = add_maximum(builder, stage, values.columns, *before)
                values = variables(encoded.y)
            before = ends
            yield stage, encoded
        if not isinstance(stages[-1][0], Affine):
            yield Rectifier(1.0), self.add_output(builder, _form(values, before[0].size), *before)

    def _rectify(
        self, builder: ProgramBuilder, values: Values, ends: Ends, slope: float
    ) -> EncodedLayer:
        """Neurons for some values; leaky ones have an s wherever they may be negative."""
        form = _form(values, ends[0].size)
        if slope == 0.0:
            return self.add_hidden(builder, form, *ends)
        return add_leaky_neurons(builder, form, *ends)


def _form(values: Values, size: int) -> Form:
    """Values as forms, whatever they are."""
    if values.slope is not None:
        return values.slope, values.columns, values.offset
    present = np.flatnonzero(values.present)
    shape = size, present.size
    slope = sp.csr_array((np.ones(present.size), (present, np.arange(present.size))), shape=shape)
    return slope, values.columns[present], np.zeros(size)


def add_slack(
    builder: ProgramBuilder,
    logits: IndexArray,
    ends: Ends,
    conditions: tuple[FloatArray, FloatArray],
    cost: float,
) -> EncodedSlack:
    """A variable t with ``t <= matrix @ logits - rhs`` in every row, between its own bounds."""
    (lower, upper), (matrix, rhs) = ends, conditions
    above, below = np.maximum(matrix, 0.0), np.minimum(matrix, 0.0)
    least = (above @ lower + below @ upper - rhs).min()
    most = (above @ upper + below @ lower - rhs).min()
    column = builder.add_variables([least], [most], cost=cost)
    builder.add_rows([(matrix, logits), (-np.ones((rhs.size, 1)), column)], rhs, np.inf)
    return EncodedSlack(int(column[0]), matrix, rhs)


def add_inputs(builder: ProgramBuilder, inputs: InputSet) -> InputEncoding:
    """An input of a set: ``x0`` in a box, or the center and a change that stays in the ball."""
    norm, center = inputs.ball_norm, inputs.center
    if norm is None or center is None:
        return add_free_input(builder, inputs.box)
    low, high = inputs.box.lower - center, inputs.box.upper - center
    change = norm.encode_ball(builder, low, high, inputs.radius)
    return InputEncoding(center, change.matrix, change.columns)


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
    affine: Form,
    lower: FloatArray,
    upper: FloatArray,
    unstable: BoolArray,
) -> EncodedLayer:
    """A hidden layer: x, s and z where ``unstable``, x alone where active, else nothing."""
    layer = add_variables_of_neurons(builder, affine, lower, upper, unstable)
    ends = lower[unstable], upper[unstable]
    add_big_m_rows(builder, (layer.x[unstable], layer.s[unstable], layer.z[unstable]), *ends)
    return layer


def add_variables_of_neurons(
    builder: ProgramBuilder,
    affine: Form,
    lower: FloatArray,
    upper: FloatArray,
    unstable: BoolArray,
) -> EncodedLayer:
    """The same with ``a = x - s`` alone, without what ties x and s to z."""
    active = (lower >= 0.0) & ~unstable
    x, s, z = (np.full(lower.size, ABSENT, dtype=np.intp) for _ in range(3))
    x_lower, zeros = np.where(active, lower, 0.0), np.zeros(lower.size)
    present = unstable | active
    x[present] = builder.add_variables(x_lower[present], np.maximum(upper, 0.0)[present])
    s[unstable] = builder.add_variables(zeros[unstable], np.maximum(-lower, 0.0)[unstable])
    z[unstable] = builder.add_variables(zeros[unstable], 1.0 + zeros[unstable], binary=True)
    add_affine_rows(builder, affine, x, s)
    return EncodedLayer(x, s, z, active)


def add_leaky_neurons(
    builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
) -> EncodedLayer:
    """Leaky neurons: x where they may be positive, s where they may be negative, z for both."""
    unstable, active = (lower < 0.0) & (upper > 0.0), lower >= 0.0
    x, s, z = (np.full(lower.size, ABSENT, dtype=np.intp) for _ in range(3))
    has_x, has_s = unstable | active, ~active
    x_lower = np.where(active, lower, 0.0)
    s_lower = np.where(unstable, 0.0, np.maximum(-upper, 0.0))
    x[has_x] = builder.add_variables(x_lower[has_x], np.maximum(upper, 0.0)[has_x])
    s[has_s] = builder.add_variables(s_lower[has_s], np.maximum(-lower, 0.0)[has_s])
    zeros = np.zeros(int(np.count_nonzero(unstable)))
    z[unstable] = builder.add_variables(zeros, 1.0 + zeros, binary=True)
    add_affine_rows(builder, affine, x, s)
    ends = lower[unstable], upper[unstable]
    add_big_m_rows(builder, (x[unstable], s[unstable], z[unstable]), *ends)
    return EncodedLayer(x, s, z, active)


def add_values(builder: ProgramBuilder, values: Values, ends: Ends) -> IndexArray:
    """Variables that are equal to some forms."""
    columns = builder.add_variables(*ends)
    form = _form(values, columns.size)
    add_affine_rows(builder, form, columns, np.full(columns.size, ABSENT, dtype=np.intp))
    return columns


def add_affine_rows(builder: ProgramBuilder, affine: Form, x: IndexArray, s: IndexArray) -> None:
    """``slope @ v - x + s = -offset`` for every neuron that has an x or an s."""
    slope, columns, offset = affine
    has_x, slack = x != ABSENT, s != ABSENT
    present = has_x | slack
    if not present.any():
        return
    eye = sp.csr_array(sp.eye_array(x.size))
    terms = [(slope[present], columns), (-eye[present][:, has_x], x[has_x])]
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
