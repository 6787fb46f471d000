"""Input sets that are boxes, and networks over them as the search takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.folding import fold, is_folded, weaker
from reluopt.engines.branch_and_bound.leading import led_over
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.input_sets import difference
from reluopt.numerics.propagate import condition_maxima, tighten
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Task


def is_box(inputs: InputSet) -> bool:
    """Whether an input set is a box: one alone, or a ball of Linf cut by one."""
    if inputs.limits is not None:
        return False
    ball = inputs.center is not None and math.isfinite(inputs.radius)
    return not ball or inputs.norm is None or inputs.norm is Norm.LINF


def box_ends(inputs: InputSet) -> tuple[FloatArray, FloatArray]:
    """Ends of the smallest box of float64 numbers that holds an input set that is a box."""
    lower, upper = inputs.box.lower, inputs.box.upper
    if inputs.center is None or not math.isfinite(inputs.radius):
        return lower, upper
    radius = np.full_like(lower, inputs.radius)
    least = difference(inputs.center, radius, -np.inf)
    most = difference(inputs.center, -radius, np.inf)
    return np.maximum(lower, least), np.minimum(upper, most)


@dataclass(frozen=True, eq=False)
class Folded:
    """A network over a box as the search takes it: dense, with few neurons.

    Attributes:
        network: given, or folded over the box; not folded where ``slack`` is the answer.
        task: with conditions that are weaker by what folding rounds.
        slack: what no alternative's slack exceeds by linear forms alone, -inf where the box holds
            nothing; infinite where nothing was folded.
        known: bounds of the hidden layers, as a chain takes them, none where nothing was folded.
    """

    network: ReLUNetwork
    task: Task
    slack: float = math.inf
    known: tuple[FloatMatrix, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether linear forms alone show that no input of the box meets an alternative."""
        return self.slack < 0.0


def folded_over(network: ReLUNetwork, task: Task, ends: tuple[FloatArray, FloatArray]) -> Folded:
    """The network folded over a box where it is large or sparse (:mod:`..folding`).

    Raises:
        InputError: too many neurons are undecided.
    """
    if not is_folded(network):
        return Folded(network, task)
    led = led_over(network, ends)
    if led is not None:
        network, task = led.network, weaker(task, led.errors)
    flat = flatten(network)
    place = InputSet(Box(*ends)).flat(flat)
    unknown = np.full(flat.biases.size, np.inf)
    lower, upper = -unknown, unknown
    layers, sizes = flat.weight_offsets.size - 1, np.empty(lower.size)
    if not tighten(flat, place, lower, upper, sizes, 0, layers, False):
        return Folded(network, task, -math.inf)
    slacks = []
    for conditions in (each.conditions for each in task.alternatives):
        found = np.empty(conditions.rhs.size)
        asked = np.array(conditions.matrix), np.array(conditions.rhs)
        condition_maxima(flat, place, lower, upper, sizes, *asked, found)
        slacks.append(found.min(initial=math.inf))
    slack = float(np.max(slacks, initial=-math.inf))
    if slack < 0.0 and not task.maximises_slack:  # which is the answer
        return Folded(network, task, slack)
    made = fold(network, task, place, lower, upper)
    return Folded(made.network, made.task, slack, made.bounds)
