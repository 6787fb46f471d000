r"""Blends of L1 and L2 as L2 problems of a network with twice the inputs.

Split the change by its sign, :math:`\delta = p - n` with :math:`p, n \ge 0`. A blend with weight w
is then, for :math:`u = (p, n)`,

.. math:: w \|\delta\|_1 + (1 - w) \|\delta\|_2^2 \le (1 - w)
          \Bigl( \|u\|_2^2 + 2 k \sum_i u_i \Bigr), \qquad k = \frac{w}{2 (1 - w)},

with equality where no pixel has both parts, as every change can be written, and as every minimiser
is: taking the smaller part off both leaves :math:`\delta` as it is and lowers the right side. The
first layer of the *lifted* network is :math:`[W, -W]` with the bias :math:`W image + b`, its inputs
are the parts, from 0 to the room that the box leaves (a part without room is no input). So the
blend is minimised by the lifted task: squares and a *tilt* k, from the reference point 0.

Rounding. Rooms are rounded up, so that no change is lost; k and a bound that is carried back are
rounded down, in exact rational arithmetic. The bias is a rounded sum, off by at most
:math:`\gamma_{n+1} (|W| |image| + |b|)`; proofs have to allow for it (:attr:`Lift.bias_sizes`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.errors import InputError
from reluopt.networks.layers.base import affine
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.input_sets import difference
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.norms.base import Norm
from reluopt.questions.norms.blend import Blend
from reluopt.questions.norms.parts import Parts, parts_with_room
from reluopt.questions.tasks import Distance, Task


@dataclass(frozen=True, eq=False)
class Lift:
    """A blend's task beside its lifted form.

    Attributes:
        original: the blend's task.
        network: the lifted network.
        task: the lifted task; its alternatives are those of ``original``.
        signs: +1 for parts that raise their pixel, -1 for the others, shape ``(parts,)``.
        pixels: pixel of each part, shape ``(parts,)``.
        weight: w.
        bias_sizes: ``|W| |image| + |b|``, the sums of absolute terms behind the lifted biases.
    """

    original: Task
    network: ReLUNetwork
    task: Task
    signs: FloatArray
    pixels: np.ndarray[tuple[int], np.dtype[np.intp]]
    weight: float
    bias_sizes: FloatArray

    def image(self, parts: FloatArray) -> FloatArray:
        """The image whose change has these parts, inside the box."""
        point = np.array(self.original.image)
        np.add.at(point, self.pixels, self.signs * parts)
        return self.original.box.clip(point)

    def parts(self, image: FloatArray) -> FloatArray:
        """The parts of an image's change, one of each pixel zero."""
        change = (image - self.original.image)[self.pixels]
        return self.task.box.clip(np.maximum(self.signs * change, 0.0))

    def lifted(self, incumbent: Incumbent | None) -> Incumbent | None:
        """An incumbent of the original task as one of the lifted task."""
        if incumbent is None:
            return None
        parts = self.parts(incumbent.image)
        return replace(incumbent, image=parts, objective=self.task.distance(parts))

    def lowered(self, incumbent: Incumbent | None) -> Incumbent | None:
        """An incumbent of the lifted task as one of the original task."""
        if incumbent is None:
            return None
        image = self.image(incumbent.image)
        return replace(incumbent, image=image, objective=self.original.distance(image))

    def objective(self, lifted: float) -> float:
        """The blend that a lifted objective stands for, up to rounding."""
        return (1.0 - self.weight) * lifted

    def bound(self, lifted: float) -> float:
        """A lower bound on the blend from one on the lifted objective, rounded down."""
        if not math.isfinite(lifted):
            return lifted
        return _rounded_down(Fraction(lifted) * (1 - Fraction(self.weight)))


class BlendBridge:
    """From blends of L1 and L2 to L2 with a tilt."""

    def carries(self, task: Task) -> bool:
        """Blends, which have no limits."""
        return task.minimises_distance and isinstance(task.norm, Blend)

    def lift(self, network: ReLUNetwork, task: Task) -> Lift:
        """See :func:`lift`."""
        return lift(network, task)


def lift(network: ReLUNetwork, task: Task) -> Lift:
    """The lifted form of a blend's task.

    Raises:
        InputError: the task minimises something else, or limits its change beside the box.
    """
    if not isinstance(task.norm, Blend) or task.limits is not None:
        raise InputError(f"lifting: expected a blend without limits, found {task.norm}")
    weight = task.norm.weight
    image, first = task.image, network.affine_layers[0]
    up, down = difference(task.box.upper, image, np.inf), difference(image, task.box.lower, np.inf)
    parts = parts_with_room(-down, up)
    if not parts.inputs.size:  # a layer needs an input, if only one without room
        parts = Parts(np.zeros(1, dtype=np.intp), np.ones(1), np.zeros(1))
    tilt = _rounded_down(Fraction(weight) / (2 * (1 - Fraction(weight))))
    origin = np.zeros(parts.rooms.size)
    parted = first.of_columns(parts.inputs).scaled(np.ones(first.output_size), parts.signs)
    layer = affine(parted.weight, first.weight @ image + first.bias)
    return Lift(
        original=task,
        network=ReLUNetwork((layer, *network.affine_layers[1:])),
        task=Task(
            Distance(origin, Norm.L2, tilt),
            InputSet(Box(origin, parts.rooms), origin),
            task.alternatives,
        ),
        signs=parts.signs,
        pixels=parts.inputs,
        weight=weight,
        bias_sizes=abs(first.weight) @ np.abs(image) + np.abs(first.bias),
    )


def _rounded_down(value: Fraction) -> float:
    """The largest float64 not above ``value``, or the one below it."""
    nearest = float(value)
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, -math.inf)
