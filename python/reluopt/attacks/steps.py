"""What attacks by gradient steps share: which condition to climb, and which inputs can move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.questions.margins import LogitConditions


def worst_conditions(
    conditions: Sequence[LogitConditions], logits: FloatArray, which: IntArray
) -> tuple[FloatArray, FloatArray]:
    """The least slack of each point's alternative, and the row of the logits that has it.

    Args:
        conditions: of each alternative.
        logits: shape ``(points, n_K)``.
        which: the alternative of each point, shape ``(points,)``.

    Returns:
        Slacks ``min(C logits - d)`` of shape ``(points,)``, NaN where a logit is, and rows of C,
        shape ``(points, n_K)``.
    """
    slacks, rows = np.empty(which.size), np.empty((which.size, logits.shape[1]))
    for index in np.unique(which):
        chosen = np.flatnonzero(which == index)
        found = conditions[index].slack(logits[chosen])
        worst = found.argmin(axis=1)  # the first NaN, if there is one
        slacks[chosen] = found[np.arange(chosen.size), worst]
        rows[chosen] = conditions[index].matrix[worst]
    return slacks, rows


def without_stuck(
    gradient: FloatArray, points: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """The gradient, zero where an input stands at the end of its range that it points at.

    Args:
        gradient: shape ``(points, n_0)``.
        points: inputs, or changes, of the same shape.
        lower: least values of these, shape ``(n_0,)``.
        upper: largest ones.
    """
    stuck = ((gradient > 0.0) & (points >= upper)) | ((gradient < 0.0) & (points <= lower))
    return np.where(stuck, 0.0, gradient)
