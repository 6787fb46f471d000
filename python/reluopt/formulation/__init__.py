"""The (x, s, z) program of Grimstad & Andersson (2019) as sparse matrices.

* ``bigm``: stable neurons get no binary, the logits no s and z, the change no rows where it can
  do without, and neurons are scaled to similar reach (:mod:`reluopt.bounds.scaling`).
* ``thesis``: the model of Linkola (2023): x, s and z for every neuron of every layer, and one
  ``delta`` with two rows for each input. With bounds of -1000 and 1000 it has exactly 958
  variables for the 784-32-16-10 network, and 1742 with the change.

:func:`encode` builds the program of one task; :class:`EncodedProblem` says where everything is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reluopt.bounds.base import PreActivationBounds
from reluopt.bounds.scaling import scaled, scaled_logits
from reluopt.choices import FORMULATIONS as FORMULATIONS
from reluopt.errors import InputError
from reluopt.formulation.inputs import (
    InputEncoding,
    add_change,
    add_change_limits,
    add_free_input,
    add_split_change,
    add_thesis_change,
)
from reluopt.formulation.program import Program, ProgramBuilder
from reluopt.formulation.relu import EncodedNetwork, add_network
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Alternative, Blend, LogitTask, Norm, PerturbationTask


@dataclass(frozen=True, eq=False)
class EncodedProblem:
    """A program and the meaning of its variables.

    Attributes:
        program: the matrices.
        network: where the network's variables stand.
        image: the unchanged image, shape ``(n_0,)``; None for logit tasks.
        logit_factor: logits of the program are those of the network times this power of two.
    """

    program: Program
    network: EncodedNetwork
    image: FloatArray | None = None
    logit_factor: float = 1.0

    def start(self, point: FloatArray) -> FloatArray:
        """Values of all variables for the input ``point``: a warm start."""
        values = self.network.assign(self.program.cost.size, point)
        encoding = self.network.input
        if encoding.change is not None and self.image is not None:
            delta = np.abs(point - self.image)
            values[encoding.change] = delta if encoding.change.size == delta.size else delta.max()
        return values


def encode(
    network: ReLUNetwork,
    task: PerturbationTask | LogitTask,
    bounds: PreActivationBounds,
    formulation: str = "bigm",
) -> EncodedProblem:
    """Write ``task`` as a program.

    Args:
        network: the network.
        task: what to optimise; a perturbation task must have one alternative.
        bounds: valid pre-activation bounds of every layer.
        formulation: ``bigm`` or ``thesis``.

    Raises:
        InputError: an unknown formulation, or a task with several alternatives.
    """
    if formulation not in FORMULATIONS:
        raise InputError(
            f"formulation: expected one of {', '.join(FORMULATIONS)}, found {formulation!r}"
        )
    thesis = formulation == "thesis"
    if not thesis:
        network, bounds = scaled(network, bounds)
    if isinstance(task, LogitTask):
        builder = ProgramBuilder(maximise=True)
        encoded = add_network(
            builder, network, add_free_input(builder, task.box), bounds, keep_all=thesis
        )
        builder.add_cost(encoded.logits[[task.label]], 1.0)
        return EncodedProblem(builder.build(), encoded)
    if len(task.alternatives) != 1:
        raise InputError(f"task: expected one alternative, found {len(task.alternatives)}")
    builder, factor = ProgramBuilder(), 1.0
    if not thesis:
        network, bounds, factor = scaled_logits(network, bounds)
    encoding = _change_encoding(builder, task, thesis)
    encoded = add_network(builder, network, encoding, bounds, keep_all=thesis)
    _add_conditions(builder, encoded, task.alternatives[0], factor)
    add_change_limits(builder, encoding, task)
    return EncodedProblem(builder.build(), encoded, task.image, factor)


def _change_encoding(
    builder: ProgramBuilder, task: PerturbationTask, thesis: bool
) -> InputEncoding:
    """The encoding of the change that fits formulation and norm."""
    if thesis and task.norm is not Norm.LINF:
        return add_thesis_change(builder, task)
    if task.norm is Norm.L1 or isinstance(task.norm, Blend):
        return add_split_change(builder, task)
    return add_change(builder, task)


def _add_conditions(
    builder: ProgramBuilder, encoded: EncodedNetwork, alternative: Alternative, factor: float
) -> None:
    """Rows ``C x^K >= d`` for logits multiplied by ``factor``."""
    conditions = alternative.conditions
    builder.add_rows([(conditions.matrix, encoded.logits)], factor * conditions.rhs, np.inf)
