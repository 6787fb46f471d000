"""Images that a network answers most wrongly within a ball of Linf, as many of every label.

Unlike the attacks of :mod:`.methods`, which end where an image is fooled, all steps are taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.softmax import softmax
from reluopt.questions.input_sets import Box

TOGETHER = 500
"""Images that are attacked at a time."""


@dataclass(frozen=True)
class Steps:
    """Steps of the sign of the loss' gradient, from a random point of the ball.

    As the fine-tuning of Kronqvist (2024) takes them, they aim away from what the network answers
    and may leave the box, unless one is given.

    Attributes:
        eps: radius of the ball.
        count: number of steps.
        size: length of each.
        seed: of the starts.
        box: which inputs are allowed; None means the ball alone.
    """

    eps: float = 0.1
    count: int = 40
    size: float = 0.01
    seed: int = 0
    box: Box | None = None

    def __call__(self, network: ReLUNetwork, images: FloatArray) -> FloatArray:
        """Where the steps end, for a batch of shape ``(n, n_0)``."""
        generator = np.random.default_rng(self.seed)
        starts = images + generator.uniform(-self.eps, self.eps, images.shape)
        parts = range(0, len(images), TOGETHER)
        ends = [self._walked(network, images[i:][:TOGETHER], starts[i:][:TOGETHER]) for i in parts]
        return np.concatenate(ends or [images])

    def _walked(self, network: ReLUNetwork, images: FloatArray, points: FloatArray) -> FloatArray:
        answered = np.eye(network.output_size)[network.predict(images)]
        lower, upper = images - self.eps, images + self.eps
        if self.box is not None:
            lower, upper = np.maximum(lower, self.box.lower), np.minimum(upper, self.box.upper)
        points = np.clip(points, lower, upper)
        for _ in range(self.count):
            ascent = softmax(network.forward(points)) - answered
            moved = points + self.size * np.sign(network.gradient(points, ascent))
            points = np.clip(moved, lower, upper)
        return points


def worst_adversaries(
    network: ReLUNetwork, attacked: FloatArray, labels: NDArray[np.intp], count: int
) -> NDArray[np.intp]:
    """Which attacked images miss their labels by most, as many of every label.

    Args:
        network: the network.
        attacked: shape ``(n, n_0)``.
        labels: shape ``(n,)``.
        count: how many in all, a multiple of the number of classes.

    Returns:
        Their numbers, shape ``(count,)``, by label, the worst of each first.

    Raises:
        InputError: the count is no such multiple, or there are too few images of a label.
    """
    return least_of_each(leads_of(network, attacked, labels), labels, count, network.output_size)


def leads_of(network: ReLUNetwork, inputs: FloatArray, labels: NDArray[np.intp]) -> FloatArray:
    """By how much the logits of the labels lead over the largest other one, shape ``(n,)``."""
    logits, rows = network.forward(inputs), np.arange(len(labels))
    own = logits[rows, labels]
    logits[rows, labels] = -np.inf
    return np.asarray(own - logits.max(axis=1))


def least_of_each(
    values: FloatArray, labels: NDArray[np.intp], count: int, classes: int
) -> NDArray[np.intp]:
    """Which have the least values, ``count`` in all and as many of each of ``classes`` labels.

    Raises:
        InputError: see :func:`worst_adversaries`.
    """
    each, rest = divmod(count, classes)
    if rest or each < 1:
        raise InputError(f"points: expected a multiple of {classes}, found {count}")
    chosen = []
    for label in range(classes):
        found = np.flatnonzero(labels == label)
        if found.size < each:
            raise InputError(f"images: expected {each} of label {label}, found {found.size}")
        chosen.append(found[np.argsort(values[found], kind="stable")[:each]])
    return np.concatenate(chosen)
