"""Which image closest to a given one is classified as a target, with a margin?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.change_limits import ChangeLimits, smoothness_limits
from reluopt.questions.input_sets import Box
from reluopt.questions.margins import Margin, RelativeMargin
from reluopt.questions.norms.base import Norm, parse_norm
from reluopt.questions.overflow import refuse_large_conditions
from reluopt.questions.targets import ShiftTarget, Target
from reluopt.questions.tasks import Alternative, Task, check_label, fitting_box, flat_image


@dataclass(frozen=True, eq=False)
class MinimalPerturbation:
    """The smallest change that makes the network answer a target, with a margin.

    Attributes:
        image: any shape that holds ``n_0`` values; kept flat.
        label: the true label d.
        target: which label shall be answered.
        norm: L1 (``sum|delta|``), L2 (``sum delta^2``), Linf, or a :class:`Blend` of L1 and L2.
        margin: by how much the target must lead.
        box: inputs allowed; None means those of the network, [0, 1] for images.
        smoothness: how much the change of a pixel may differ from that of the pixels beside, above
            and below it, in pixel units; None means without limit. It needs a network whose
            ``input_shape`` has rows and columns.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> question = ro.MinimalPerturbation(seven, 7, ro.FixedTarget(2), ro.Norm.L1)
        >>> round(ro.solve(ro.load_network("thesis"), question).objective, 4)
        5.6144
    """

    image: ArrayLike
    label: int
    target: Target = ShiftTarget(5)
    norm: Norm = Norm.L1
    margin: Margin = RelativeMargin(0.2)
    box: Box | None = None
    smoothness: float | None = None

    def task(self, network: ReLUNetwork) -> Task:
        """Resolve target and margin for ``network``.

        Raises:
            InputError: image, label, target, box or smoothness do not fit the network, the
                image lies outside the box, or network or margin may overflow over it.
        """
        image = flat_image(network, self.image)
        box = fitting_box(network, self.box)
        if box.violation(image) > 0.0:
            raise InputError(
                f"image: expected values inside the box, found one {box.violation(image):g} outside"
            )
        check_label(network, self.label)
        if network.output_size < 2:
            raise InputError("network: expected at least two classes to choose from, found one")
        candidates = self.target.candidates(self.label, network.forward(image))
        classes = network.output_size
        alternatives = tuple(
            Alternative(target, self.margin.conditions(target, classes), self.margin.bare)
            for target in candidates
        )
        for alternative in alternatives:
            refuse_large_conditions(alternative.conditions, network, box.lower, box.upper)
        limits = None
        if self.smoothness is not None:
            limits = smoothness_limits(network.input_shape, self.smoothness)
            box = _box_left(limits, box, image)
        norm = parse_norm(self.norm) if isinstance(self.norm, str) else self.norm
        if limits is not None and not norm.takes_limits:
            raise InputError("smoothness: expected norm l1, l2 or linf, found a blend")
        return Task.nearest(image, box, norm, alternatives, limits)


def _box_left(limits: ChangeLimits, box: Box, image: FloatArray) -> Box:
    """The box that limits on the change leave, rounded outward; ends that they spare stay exact."""
    low, high = box.lower - image, box.upper - image
    size = float(np.maximum(np.abs(box.lower), np.abs(box.upper)).max())
    least, most = limits.reach(low, high, size)
    lower = np.where(least > low, np.maximum(box.lower, image + least), box.lower)
    upper = np.where(most < high, np.minimum(box.upper, image + most), box.upper)
    return Box(lower, upper)
