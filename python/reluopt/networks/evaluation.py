"""How well a network classifies labelled images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Outcome of classifying labelled images.

    Attributes:
        accuracy: fraction in [0, 1] of the images whose label is predicted.
        confusion: shape ``(classes, classes)``; entry ``(d, p)`` counts the images with label ``d``
            that are predicted as ``p``.
    """

    accuracy: float
    confusion: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of images classified."""
        return int(self.confusion.sum())


def evaluate(network: ReLUNetwork, images: ArrayLike, labels: ArrayLike) -> Evaluation:
    """Classify images and compare with their labels.

    Args:
        network: the network.
        images: a batch, shape ``(n, *input_shape)`` or ``(n, n_0)``, values in [0, 1].
        labels: shape ``(n,)``, whole numbers in ``0..classes - 1``.

    Raises:
        InputError: shapes do not fit, a label is no class of the network, or a logit is NaN or
            infinite, which is no answer.

    Example:
        >>> import reluopt as ro
        >>> digits = ro.load_images("test").subset(range(100))
        >>> float(ro.evaluate(ro.load_network("thesis"), digits.images, digits.labels).accuracy)
        0.96
    """
    batch, single = network.flat_inputs(images)
    truth = np.asarray(labels)
    classes = network.output_size
    if classes < 2:
        raise InputError(
            f"network {network.metadata.name}: expected at least two classes to tell apart, found "
            "one output"
        )
    if single or truth.shape != (len(batch),) or len(batch) == 0:
        raise InputError(
            f"labels: expected a non-empty batch with one label for each of its images, found "
            f"labels of shape {truth.shape} for {len(batch)} images"
        )
    if truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= classes:
        raise InputError(
            f"labels: expected whole numbers from 0 to {classes - 1}, the classes of the network, "
            f"found {truth.dtype} from {truth.min()} to {truth.max()}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        logits = network.forward(batch)
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        raise InputError(
            f"network {network.metadata.name}: expected finite logits, found NaN or infinity for "
            f"{np.count_nonzero(~finite)} of {len(batch)} images"
        )
    predicted = np.argmax(logits, axis=1)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    return Evaluation(float(np.trace(confusion) / len(batch)), confusion)
