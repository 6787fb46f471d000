"""What counts as success for an attack on a batch of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluopt.errors import InputError
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.numerics.softmax import softmax
from reluopt.questions.margins import Margin


def _label_array(values: ArrayLike, what: str) -> NDArray[np.intp]:
    """Labels as a one-dimensional integer array, or an InputError."""
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{what}: expected a vector of integers, found shape {array.shape}, {array.dtype}"
        )
    return array.astype(np.intp)


@dataclass(frozen=True, eq=False)
class Misclassification:
    """Success when the network answers anything but the true label, with finite logits.

    Some other logit must exceed the true label's; an exact tie is no success unless ``ties`` is
    set. With a margin, the conditions of some other label must hold too.

    Attributes:
        labels: true labels, shape ``(batch,)``.
        margin: by how much the wrong label must lead; None asks for any lead > 0.
        ties: whether a tie with the true label counts, as it does in questions over a ball.
        float32: whether the loss is computed in float32, as published attacks did. Where the true
            label's probability rounds to 1 there, its share of the gradient vanishes.
    """

    labels: ArrayLike
    margin: Margin | None = None
    ties: bool = False
    float32: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _label_array(self.labels, "labels"))

    def of(self, rows: NDArray[np.intp]) -> Misclassification:
        """The criterion of some images of the batch."""
        return replace(self, labels=self.answers[rows])

    @property
    def answers(self) -> NDArray[np.intp]:
        """The labels, as an array."""
        return np.asarray(self.labels, dtype=np.intp)

    def success(self, logits: FloatArray) -> BoolArray:
        """Which rows of ``logits``, shape ``(batch, n_K)``, are a success."""
        labels, rows = self.answers, np.arange(len(logits))
        own = logits[rows, labels][:, None]
        wins = logits >= own if self.ties else logits > own
        if self.margin is not None:
            wins &= _worst_slacks(self.margin, logits) >= 0.0
        wins[rows, labels] = False
        return np.asarray(wins.any(axis=1) & _finite(logits), dtype=np.bool_)

    def ascent(self, logits: FloatArray) -> FloatArray:
        """Gradient of the cross-entropy loss in the logits, which the attack makes large."""
        kind = np.float32 if self.float32 else np.float64
        return softmax(logits.astype(kind)) - np.eye(logits.shape[1])[self.answers]


@dataclass(frozen=True, eq=False)
class TargetedMisclassification:
    """Success when the network answers the target, with finite logits and a margin if one is given.

    The target's logit must exceed every other; an exact tie is no success.

    Attributes:
        targets: wanted labels, shape ``(batch,)``.
        margin: by how much the target must lead; None asks for any lead > 0.
    """

    targets: ArrayLike
    margin: Margin | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", _label_array(self.targets, "targets"))

    def of(self, rows: NDArray[np.intp]) -> TargetedMisclassification:
        """The criterion of some images of the batch."""
        return replace(self, targets=self.answers[rows])

    @property
    def answers(self) -> NDArray[np.intp]:
        """The targets, as an array."""
        return np.asarray(self.targets, dtype=np.intp)

    def success(self, logits: FloatArray) -> BoolArray:
        """Which rows of ``logits``, shape ``(batch, n_K)``, are a success."""
        targets = self.answers
        result = np.zeros(len(targets), dtype=bool)
        for target in np.unique(targets):
            result |= (targets == target) & _leads(logits, int(target), self.margin)
        return result & _finite(logits)

    def ascent(self, logits: FloatArray) -> FloatArray:
        """Minus the gradient of the cross-entropy loss of the target."""
        return np.eye(logits.shape[1])[self.answers] - softmax(logits)


def as_criterion(
    criterion: Misclassification | TargetedMisclassification | ArrayLike,
    batch: int,
    classes: int,
) -> Misclassification | TargetedMisclassification:
    """A criterion as it is; bare labels mean :class:`Misclassification`, as in Foolbox.

    Raises:
        InputError: the labels are too many, too few, or no classes of the network.
    """
    if not isinstance(criterion, Misclassification | TargetedMisclassification):
        criterion = Misclassification(criterion)
    answers = criterion.answers
    if answers.shape != (batch,):
        raise InputError(f"labels: expected one for each of {batch} images, found {answers.size}")
    if answers.size and (answers.min() < 0 or answers.max() >= classes):
        raise InputError(
            f"labels: expected labels from 0 to {classes - 1}, "
            f"found {answers.min()} to {answers.max()}"
        )
    return criterion


def _finite(logits: FloatArray) -> BoolArray:
    """Which rows are answers at all."""
    return np.asarray(np.isfinite(logits).all(axis=1), dtype=np.bool_)


def _leads(logits: FloatArray, target: int, margin: Margin | None) -> BoolArray:
    """Where ``target`` beats every other label and the margin."""
    others = np.delete(logits, target, axis=1)
    wins = logits[:, target] > others.max(axis=1, initial=-np.inf)
    if margin is not None:
        slacks = margin.conditions(target, logits.shape[1]).slack(logits)
        wins &= slacks.min(axis=1, initial=np.inf) >= 0.0
    return np.asarray(wins, dtype=np.bool_)


def _worst_slacks(margin: Margin, logits: FloatArray) -> FloatArray:
    """Smallest slack of every label's conditions, shape ``(batch, n_K)``."""
    matrix, rhs = _all_conditions(margin, logits.shape[1])
    slacks = (logits @ matrix.T - rhs).reshape(*logits.shape, -1)
    return np.asarray(slacks.min(axis=2, initial=np.inf))


@lru_cache(maxsize=16)
def _all_conditions(margin: Margin, classes: int) -> tuple[FloatArray, FloatArray]:
    """The conditions of all labels, one below the other; attacks ask for them in every step."""
    conditions = [margin.conditions(target, classes) for target in range(classes)]
    matrix = np.vstack([each.matrix for each in conditions])
    return matrix, np.concatenate([each.rhs for each in conditions])
