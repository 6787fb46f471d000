"""The nearest point of {L1 ball ∩ box}."""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import FloatMatrix
from reluopt.numerics.jit import kernel

BISECTION_STEPS = 24
"""Halvings that find the soft threshold of the L1 projection, to 1e-7 of the largest entry; the
end that is kept is inside the ball, so nothing but a little length is lost."""


@kernel
def project_l1(
    changes: FloatMatrix, low: FloatMatrix, high: FloatMatrix, radius: float, result: FloatMatrix
) -> None:
    """Nearest point in {L1 ball ∩ box} of every row."""
    sizes, limits = np.empty(changes.shape[1]), np.empty(changes.shape[1])
    for row in range(changes.shape[0]):
        count, length, largest = 0, 0.0, 0.0
        for i in range(changes.shape[1]):
            change = changes[row, i]
            kept = min(max(change, low[row, i]), high[row, i])
            result[row, i] = kept
            length += abs(kept)
            if change != 0.0:  # by sign, a row is sizes with limits; zeros stay what they are
                sizes[count] = abs(change)
                limits[count] = high[row, i] if change > 0.0 else -low[row, i]
                largest = max(largest, sizes[count])
                count += 1
        if length <= radius:
            continue
        below, above = 0.0, largest  # the soft threshold lowers the sizes
        for _ in range(BISECTION_STEPS):
            middle = 0.5 * (below + above)
            length = 0.0
            for k in range(count):
                length += min(max(sizes[k] - middle, 0.0), limits[k])
            if length <= radius:
                above = middle
            else:
                below = middle
        for i in range(changes.shape[1]):
            change = changes[row, i]
            if change != 0.0:
                limit = high[row, i] if change > 0.0 else -low[row, i]
                result[row, i] = np.sign(change) * min(max(abs(change) - above, 0.0), limit)
