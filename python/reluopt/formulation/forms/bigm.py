"""The big-M program with nothing in it that it can do without."""

from __future__ import annotations

from reluopt.bounds.base import PreActivationBounds
from reluopt.bounds.scaling import scaled, scaled_logits
from reluopt.formulation.base import EncodedLayer, InputEncoding
from reluopt.formulation.relu import ReLUProgram, add_change, add_inputs, add_neurons
from reluopt.formulation.stages import Form
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import ProgramBuilder
from reluopt.questions.tasks import Distance, Task


class BigM(ReLUProgram):
    """Stable neurons get no binary, the logits no s and z, and the change as few rows as it can.

    Neurons are scaled to similar reach (:mod:`reluopt.bounds.scaling`).
    """

    name = "bigm"

    def rescaled(
        self, network: ReLUNetwork, bounds: PreActivationBounds, task: Task
    ) -> tuple[ReLUNetwork, PreActivationBounds, float]:
        network, bounds = scaled(network, bounds)
        return scaled_logits(network, bounds) if task.alternatives else (network, bounds, 1.0)

    def add_input(self, builder: ProgramBuilder, task: Task) -> InputEncoding:
        if isinstance(task.objective, Distance):
            return add_change(builder, task.objective, task.box)
        return add_inputs(builder, task.inputs)

    def add_hidden(
        self, builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        return add_neurons(builder, affine, lower, upper, (lower < 0.0) & (upper > 0.0))
