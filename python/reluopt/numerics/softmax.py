"""Probabilities that logits stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.numerics.arrays import FloatArray


def softmax(logits: NDArray[Any]) -> FloatArray:
    """``exp(logits)`` along the last axis, scaled to sum to 1, in the precision of the logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)
