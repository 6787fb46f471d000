"""What everything about one task shares: network, task and inputs, at scales that solvers like.

A node of a tree is a pair of vectors ``(lower, upper)``, pre-activation bounds of all neurons,
layer after layer, the hidden ones first. They carry the branching decisions:

* ``lower[h] >= 0``: the neuron is active, ``x_h = a_h``;
* ``upper[h] <= 0``: the neuron is inactive, ``x_h = 0``;
* otherwise it is undecided, also where a bound is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from reluopt.bounds.scaling import balanced, balanced_logits
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import InputError
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet, with_radius
from reluopt.numerics.propagate import condition_maxima, tighten, tighten_intervals
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import Alternative, Blend, Box, LogitConditions, Task


@dataclass(frozen=True, eq=False)
class Frame:
    """What all relaxations of one task share.

    Attributes:
        network: the network, with neurons and logits brought to a usual scale.
        flat: the same for kernels.
        task: what is asked, in units of these logits.
        inputs: image and box for kernels, without a ball.
        judge: network and task by which images are judged; where neurons are folded away
            (:mod:`.folding`) those of before.
        fold_radius: over the ball of which radius they are; infinite where none are.
        room: by how much conditions are at most weaker than those of the judge, in its units.
        bias_errors: how far the first layer's biases may be from those that are meant, None if not.
    """

    network: ReLUNetwork
    flat: FlatNetwork
    task: Task
    inputs: FlatInputSet
    judge: tuple[ReLUNetwork, Task]
    fold_radius: float = math.inf
    room: float = 0.0
    bias_errors: FloatArray | None = None

    @cached_property
    def hidden(self) -> int:
        """Number of hidden neurons."""
        return int(self.flat.neuron_offsets[-2])

    def conditions(self, alternative: int) -> LogitConditions:
        """What one alternative asks of the logits."""
        return self.task.alternatives[alternative].conditions

    def undecided(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        """Hidden neurons whose phase is open, shape ``(H,)``."""
        return np.asarray(~((lower[: self.hidden] >= 0.0) | (upper[: self.hidden] <= 0.0)))

    def widest(self, lower: FloatArray, upper: FloatArray) -> int:
        """The undecided hidden neuron whose shorter side is longest; there must be one."""
        shorter = np.minimum(-lower[: self.hidden], upper[: self.hidden])
        return int(np.argmax(np.where(self.undecided(lower, upper), shorter, -math.inf)))

    def tighten(
        self,
        radius: float,
        lower: FloatArray,
        upper: FloatArray,
        first_layer: int = 1,
        magnitudes: FloatArray | None = None,
        deadline: Deadline = NEVER,
    ) -> bool:
        """Tighten bounds of hidden neurons over a ball around the image, in place.

        Args:
            radius: length of the ball's radius.
            lower: lower bounds of all neurons.
            upper: upper bounds of all neurons.
            first_layer: layers before it keep their bounds (1: only phases have changed).
            magnitudes: filled for hidden layers (:mod:`reluopt.numerics.propagate`), if given.
            deadline: layers that it leaves get interval bounds; of large networks each may take
                seconds.

        Returns:
            False when the bounds prove that nothing is left.
        """
        if radius > self.fold_radius:
            raise ValueError(f"folded over radius {self.fold_radius}, asked about {radius}")
        inputs, layers = with_radius(self.inputs, radius), self.flat.weight_offsets.size - 1
        bounds = self.flat, inputs, lower, upper
        sizes = np.empty(lower.size) if magnitudes is None else magnitudes
        if deadline.at == math.inf:  # one call for all layers, as small trees make by the thousand
            return bool(tighten(*bounds, sizes, first_layer, layers, False))
        for layer in range(first_layer, layers):
            if deadline.passed:
                return bool(tighten_intervals(*bounds))
            if not tighten(*bounds, sizes, layer, layer + 1, False):
                return False
        return True

    def narrowed(
        self,
        radius: float,
        lower: FloatArray,
        upper: FloatArray,
        first_layer: int,
        conditions: LogitConditions,
    ) -> bool:
        """:meth:`tighten`, and whether linear forms leave an input that meets some conditions."""
        magnitudes, room = np.empty(lower.size), np.empty(conditions.rhs.size)
        if not self.tighten(radius, lower, upper, first_layer, magnitudes):
            return False
        given = (self.flat, with_radius(self.inputs, radius), lower, upper, magnitudes)
        asked = np.array(conditions.matrix), np.array(conditions.rhs)
        return bool(condition_maxima(*given, *asked, room))


def sides(
    lower: FloatArray, upper: FloatArray, neuron: int
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Bounds of a node with a neuron inactive, and active: both hold inputs at which it is 0."""
    below, above = upper.copy(), lower.copy()
    below[neuron] = above[neuron] = 0.0
    return (lower, below), (above, upper)


def make_frame(network: ReLUNetwork, task: Task) -> Frame:
    """Network, task and box as kernels take them, centred at the image.

    Raises:
        InputError: the task minimises a blend, which has to be lifted (:mod:`blend`).
    """
    if isinstance(task.norm, Blend):
        raise InputError(f"bnb: expected norm l1 or l2 here, found {task.norm}")
    norm, largest = task.norm, largest_input(task.box)
    network, task, _ = scaled(network, task, largest)
    flat = flatten(network)
    wide = float((task.box.upper - task.box.lower).sum()) + 1.0
    inputs = InputSet(task.box, np.array(task.image), norm, wide).flat(flat)
    return Frame(network, flat, task, inputs, (network, task))


def scaled(network: ReLUNetwork, task: Task, largest: float) -> tuple[ReLUNetwork, Task, float]:
    """Neurons and logits at a usual scale, what is asked of these, and their power of two.

    Args:
        network: the network.
        task: what is asked.
        largest: absolute value that an input can have.
    """
    network, factor = balanced_logits(balanced(network, largest), largest)
    if factor != 1.0:
        task = replace(task, alternatives=tuple(_multiplied(a, factor) for a in task.alternatives))
    return network, task, factor


def largest_input(box: Box) -> float:
    """The largest absolute value that an input of the box can have."""
    return float(np.maximum(np.abs(box.lower), np.abs(box.upper)).max(initial=0.0))


def _multiplied(alternative: Alternative, factor: float) -> Alternative:
    """The alternative for logits that were multiplied by a power of two."""
    conditions = alternative.conditions
    return replace(
        alternative, conditions=LogitConditions(conditions.matrix, factor * conditions.rhs)
    )
