"""How a task becomes a mixed-integer program: one file for each formulation, in :mod:`.forms`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reluopt.registry import Registry

if TYPE_CHECKING:
    from reluopt.bounds.base import PreActivationBounds
    from reluopt.formulation.base import EncodedProblem, Formulation
    from reluopt.networks.network import ReLUNetwork
    from reluopt.questions.tasks import Task

FORMULATIONS: Registry[Formulation] = Registry(
    "formulation",
    bigm="formulation.forms.bigm:BigM",
    thesis="formulation.forms.thesis:Thesis",
    indicator="formulation.forms.indicator:Indicator",
    hull="formulation.forms.hull:Hull",
    **{
        "partition-2": "formulation.forms.partition:two_parts",
        "partition-4": "formulation.forms.partition:four_parts",
    },
)


def encode(
    network: ReLUNetwork, task: Task, bounds: PreActivationBounds, formulation: str = "bigm"
) -> EncodedProblem:
    """Write a task with at most one alternative in the formulation of this name.

    Raises:
        InputError: there is no such formulation, or the task has several alternatives.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> network, seven = ro.load_network("thesis"), ro.load_images("test").image(0)
        >>> task = ro.MinimalPerturbation(seven, 7, ro.FixedTarget(2), ro.Norm.L1).task(network)
        >>> bounds = ro.compute_bounds("linear", network, task.inputs)
        >>> ro.encode(network, task, bounds).program.size["binaries"]
        48
    """
    return FORMULATIONS.get(formulation).encode(network, task, bounds)
