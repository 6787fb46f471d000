"""Input sets that are boxes, and networks over them as the search takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.folding import is_folded
from reluopt.engines.branch_and_bound.simplifying import bounded_over, is_simplified
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.propagate import condition_maxima
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Task


def is_box(inputs: InputSet) -> bool:
    """Whether an input set is a box: one alone, or a ball of Linf cut by one."""
    if inputs.limits is not None:
        return False
    ball = inputs.center is not None and math.isfinite(inputs.radius)
    return not ball or inputs.norm is None or inputs.norm is Norm.LINF


@dataclass(frozen=True, eq=False)
class Folded:
    """A network over a box as the search takes it: dense, with few neurons.

    Attributes:
        network: given, or folded over the box; not folded where ``slack`` is the answer.
        task: with conditions that are weaker by what folding rounds.
        slack: what no alternative's slack exceeds by linear forms alone, -inf where the box holds
            nothing; infinite where nothing was folded.
        known: bounds of the hidden layers, as a chain takes them, none where nothing was folded.
        is_led: whether poolings were led.
    """

    network: ReLUNetwork
    task: Task
    slack: float = math.inf
    known: tuple[FloatMatrix, ...] = ()
    is_led: bool = False

    @property
    def empty(self) -> bool:
        """Whether linear forms alone show that no input of the box meets an alternative."""
        return self.slack < 0.0


def folded_over(
    network: ReLUNetwork,
    task: Task,
    ends: tuple[FloatArray, FloatArray],
    *,
    keeps_proof: bool,
    folds: bool = True,
) -> Folded:
    """The network over a box, led and folded where searches do that (:mod:`..simplifying`).

    Where ``folds`` is false it is asked what linear forms say, and left as it is.

    Raises:
        InputError: too many neurons are undecided.
    """
    if not is_simplified(network, keeps_proof):
        return Folded(network, task)
    made = bounded_over(network, task, InputSet(Box(*ends)))
    if not made.is_led and not is_folded(network):
        return Folded(network, task)
    if made.is_empty:
        return Folded(made.network, made.task, -math.inf)
    slacks = []
    bounds = made.flat, made.inputs, made.lower, made.upper, made.sizes
    for conditions in (each.conditions for each in made.task.alternatives):
        found = np.empty(conditions.rhs.size)
        condition_maxima(*bounds, np.array(conditions.matrix), np.array(conditions.rhs), found)
        slacks.append(found.min(initial=math.inf))
    slack = float(np.max(slacks, initial=-math.inf))
    if slack < 0.0 and not task.maximises_slack:  # which is the answer
        return Folded(made.network, made.task, slack)
    if not folds:
        return Folded(network, task, slack)
    small = made.folded()
    return Folded(small.network, small.task, slack, small.bounds, made.is_led)
