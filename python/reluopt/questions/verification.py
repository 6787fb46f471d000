"""Is everything within a ball answered the same?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.margins import LogitConditions
from reluopt.questions.norms.base import Norm, parse_norm
from reluopt.questions.tasks import (
    Alternative,
    LargestSlack,
    Task,
    check_label,
    fitting_box,
    flat_image,
)


@dataclass(frozen=True, eq=False)
class Verification:
    """Whether the network answers ``label`` for every input of a ball cut by a box.

    Ties count against robustness: robust means that the logit of ``label`` is strictly larger than
    every other one throughout (VNN-COMP: ``Y_t >= Y_d`` is unsafe).

    Attributes:
        image: any shape that holds ``n_0`` values; kept flat.
        label: the label d that shall be answered.
        eps: radius of the ball, in the norm's own unit (L2: the length, not its square).
        norm: L1, L2 or Linf, or its name.
        box: inputs allowed; None means those of the network, [0, 1] for images.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> ro.solve(ro.load_network("thesis"), ro.Verification(seven, 7, eps=0.02)).status
        <Status.ROBUST: 'ROBUST'>
    """

    image: ArrayLike
    label: int
    eps: float
    norm: Norm | str = Norm.LINF
    box: Box | None = None

    def task(self, network: ReLUNetwork) -> Task:
        """The sign of ``max_t x_t - x_d`` over the ball.

        Raises:
            InputError: image, label, radius or box do not fit the network.
        """
        inputs = ball_of(network, self.image, self.eps, self.norm, self.box)
        alternatives = misclassifications(network, self.label)
        return Task(LargestSlack(decides=True), inputs, alternatives)


def misclassifications(network: ReLUNetwork, label: int) -> tuple[Alternative, ...]:
    """One alternative ``x_t - x_d >= 0`` for every label t but d.

    Raises:
        InputError: there is no such label, or no other.
    """
    check_label(network, label)
    classes = network.output_size
    if classes < 2:
        raise InputError("network: expected at least two classes to choose from, found one")
    leads = np.eye(classes)
    leads[:, label] = -1.0
    return tuple(
        Alternative(target, LogitConditions(leads[target : target + 1], np.zeros(1)))
        for target in range(classes)
        if target != label
    )


def refuse_radius(eps: float) -> None:
    """Raise an InputError unless ``eps`` is a finite number >= 0."""
    if not (np.isfinite(eps) and eps >= 0.0):
        raise InputError(f"eps: expected a finite radius >= 0, found {eps}")


def ball_of(
    network: ReLUNetwork, image: ArrayLike, eps: float, norm: Norm | str, box: Box | None
) -> InputSet:
    """``{x in box : |x - image| <= eps}``.

    Raises:
        InputError: something does not fit the network, the image lies outside the box, the radius
            is no finite number >= 0, or the norm has no ball of its own.
    """
    flat: FloatArray = flat_image(network, image)
    allowed = fitting_box(network, box)
    if allowed.violation(flat) > 0.0:
        raise InputError(
            f"image: expected values inside the box, found one {allowed.violation(flat):g} outside"
        )
    measured = parse_norm(norm) if isinstance(norm, str) else norm
    if measured not in tuple(Norm):
        raise InputError(f"norm: expected {', '.join(map(str, Norm))} for a ball, found {measured}")
    refuse_radius(eps)
    return InputSet(allowed, flat, measured, float(eps))
