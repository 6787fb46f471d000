"""Which smallest change, the same for several images, makes the network answer their targets?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.networks.copies import Copies
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.margins import LogitConditions, Margin, RelativeMargin
from reluopt.questions.norms.base import Norm, parse_norm
from reluopt.questions.overflow import refuse_large_conditions
from reluopt.questions.targets import AnyTarget, Target
from reluopt.questions.tasks import Alternative, Task, check_label, fitting_box, flat_image

MOST_ALTERNATIVES = 500
"""Most combinations of the images' targets; each may take a search of its own."""


@dataclass(frozen=True, eq=False)
class UniversalPerturbation:
    r"""The smallest delta that makes the network answer a target at every :math:`image_i + delta`.

    Its task is one about another network, of which delta is the input (:meth:`posed`): the first
    layers :math:`W^1 delta + (b^1 + W^1 image_i)` on top of each other, all others block-diagonal.
    An alternative is one target for every image, all conditions together. Both networks agree but
    for the rounding of the shifted biases; answers are checked by the network that was given.

    Attributes:
        images: one or more, each of any shape that holds ``n_0`` values.
        labels: the true label of each.
        target: which label shall be answered, image by image.
        norm: how the size of delta is measured.
        margin: by how much every target must lead.
        box: where every image may go; None means the box of the network, [0, 1] for images.

    Example:
        >>> import reluopt as ro
        >>> digits = ro.load_images("test").subset([2, 5])  # two ones
        >>> question = ro.UniversalPerturbation(digits.images, digits.labels, norm="l2")
        >>> found = ro.solve(ro.load_network("thesis"), question)
        >>> found.status, found.image.shape  # one change for both
        (<Status.OPTIMAL: 'OPTIMAL'>, (784,))
    """

    images: Sequence[ArrayLike]
    labels: Sequence[int]
    target: Target = AnyTarget()
    norm: Norm | str = Norm.L1
    margin: Margin = RelativeMargin(0.2)
    box: Box | None = None

    def posed(self, network: ReLUNetwork) -> ReLUNetwork:
        """The network that maps delta to the logits of all images, one image after the other.

        Raises:
            InputError: images or labels do not fit the network, or each other.
        """
        if len(self.images) == 0 or len(self.images) != len(self.labels):
            raise InputError(
                f"labels: expected one for each of at least one image, found {len(self.labels)} "
                f"for {len(self.images)} images"
            )
        for label in self.labels:
            check_label(network, label)
        images = np.stack([flat_image(network, image) for image in self.images])
        told = replace(network.metadata, class_names=(), input_box=None, test_accuracy=None)
        return ReLUNetwork((Copies(network, images),), told)

    def task(self, network: ReLUNetwork) -> Task:
        """The smallest delta, as a task about :meth:`posed`.

        Raises:
            InputError: something does not fit the network, an image lies outside the box, there are
                more than :data:`MOST_ALTERNATIVES` combinations of targets, or network or margin
                may overflow over the box.
        """
        posed = self.posed(network)
        images = np.stack([flat_image(network, image) for image in self.images])
        box = self._box_of_delta(network, posed, images)
        logits = network.forward(images)
        candidates = [
            self.target.candidates(label, each)
            for label, each in zip(self.labels, logits, strict=True)
        ]
        combinations = math.prod(len(each) for each in candidates)
        if combinations > MOST_ALTERNATIVES:
            raise InputError(
                f"target: expected at most {MOST_ALTERNATIVES} combinations over the "
                f"{len(images)} images, found {combinations}"
            )
        alternatives = tuple(
            self._alternative(targets, network.output_size) for targets in product(*candidates)
        )
        for alternative in alternatives:
            refuse_large_conditions(alternative.conditions, posed, box.lower, box.upper)
        norm = parse_norm(self.norm) if isinstance(self.norm, str) else self.norm
        return Task.nearest(np.zeros(network.input_size), box, norm, alternatives)

    def _box_of_delta(self, network: ReLUNetwork, posed: ReLUNetwork, images: FloatArray) -> Box:
        """The changes that keep every image in the box, up to rounding."""
        box = fitting_box(network, self.box)
        outside = max(box.violation(image) for image in images)
        if outside > 0.0:
            raise InputError(
                f"images: expected values inside the box, found one {outside:g} outside"
            )
        ends = (box.lower - images).max(axis=0), (box.upper - images).min(axis=0)
        return fitting_box(posed, Box(*ends))

    def _alternative(self, targets: tuple[int, ...], classes: int) -> Alternative:
        """All images' conditions at once, each on its own logits."""
        parts = [self.margin.conditions(target, classes) for target in targets]
        matrix = np.zeros((sum(part.rhs.size for part in parts), classes * len(parts)))
        row = 0
        for number, part in enumerate(parts):
            rows, columns = slice(row, row + part.rhs.size), number * classes
            matrix[rows, columns : columns + classes] = part.matrix
            row += part.rhs.size
        conditions = LogitConditions(matrix, np.concatenate([part.rhs for part in parts]))
        return Alternative(targets[0], conditions, self.margin.bare, targets[1:])
