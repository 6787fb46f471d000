"""Balls and boxes for batches of changes: lengths, projections, steepest steps, random points."""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.jit import kernel
from reluopt.questions.problems import Norm

BISECTION_STEPS = 24
"""Halvings that find the soft threshold of the L1 projection, to 1e-7 of the largest entry; the
end that is kept is inside the ball, so nothing but a little length is lost."""

SPARSE_SHARE = 0.002
"""Share of the inputs that one L1 step moves, 2 of 784. Tramer and Boneh (2019) use 1 % and more;
here that fools 5 images in 100 fewer at small radii."""


def lengths(changes: FloatArray, norm: Norm) -> FloatArray:
    """Length of every row of ``changes``, shape ``(batch,)``."""
    if norm is Norm.L1:
        return np.asarray(np.abs(changes).sum(axis=1))
    if norm is Norm.L2:
        return np.asarray(np.sqrt((changes * changes).sum(axis=1)))
    return np.asarray(np.abs(changes).max(axis=1, initial=0.0))


def project(
    changes: FloatArray, low: FloatArray, high: FloatArray, radius: float, norm: Norm
) -> FloatArray:
    """Bring rows into {length <= radius} ∩ [low, high], where ``low <= 0 <= high``.

    The nearest point for L1 (soft threshold, then clip; Croce and Hein 2021, Proposition 2.1) and
    Linf; for L2 the clipped row scaled to the radius, which is in both but not always the nearest.
    """
    clipped = np.clip(changes, low, high)
    if norm is Norm.LINF:
        return np.clip(clipped, -radius, radius)
    if norm is Norm.L2:
        size = lengths(clipped, norm)
        scale = np.where(size > radius, radius / np.maximum(size, 1e-300), 1.0)
        return clipped * scale[:, None]
    result = np.empty_like(clipped)
    _project_l1(changes, low, high, float(radius), result)
    return result


@kernel
def _project_l1(
    changes: FloatArray, low: FloatArray, high: FloatArray, radius: float, result: FloatArray
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


def steepest(gradient: FloatArray, norm: Norm) -> FloatArray:
    """A change of length 1 (in ``norm``) that follows each row of ``gradient``.

    Signs for Linf, the normalised gradient for L2, the signs of its largest entries for L1 (a
    share of the inputs instead of one, which alone would meet its limit at once).
    """
    if norm is Norm.LINF:
        return np.asarray(np.sign(gradient), dtype=np.float64)
    if norm is Norm.L2:
        return gradient / np.maximum(lengths(gradient, norm), 1e-300)[:, None]
    count = max(1, round(SPARSE_SHARE * gradient.shape[1]))
    size = np.abs(gradient)
    border = np.partition(size, -count, axis=1)[:, -count]
    chosen = np.sign(gradient) * ((size >= border[:, None]) & (size > 0.0))
    moved = np.maximum(np.abs(chosen).sum(axis=1), 1.0)
    return np.asarray(chosen / moved[:, None], dtype=np.float64)


def spend(gradient: FloatArray, low: FloatArray, high: FloatArray, budget: float) -> FloatArray:
    """Per row the change in {L1 ball ∩ box} that follows the gradient farthest.

    A fractional knapsack: the largest entries first, each to its limit, until the budget is used.
    """
    rooms = np.where(gradient > 0.0, high, -low) * (gradient != 0.0)
    order = np.argsort(-np.abs(gradient), axis=1, kind="stable")
    sorted_rooms = np.take_along_axis(rooms, order, axis=1)
    before = np.cumsum(sorted_rooms, axis=1) - sorted_rooms
    moves = np.clip(budget - before, 0.0, sorted_rooms)
    result = np.zeros_like(gradient)
    np.put_along_axis(result, order, moves, axis=1)
    return np.asarray(np.sign(gradient) * result, dtype=np.float64)


def random_changes(
    generator: np.random.Generator, shape: tuple[int, ...], radius: float, norm: Norm
) -> FloatArray:
    """Points spread uniformly over the ball, one a row.

    L1 and L2: a direction from normalised Laplace (normal) variables, and a length of
    ``radius * u^(1/n)`` (Barthe et al. 2005 for the L1 and L2 case of the lp ball).
    """
    if norm is Norm.LINF:
        return generator.uniform(-radius, radius, shape)
    draws = generator.laplace(size=shape) if norm is Norm.L1 else generator.normal(size=shape)
    share = generator.uniform(size=shape[0]) ** (1.0 / shape[1])
    return np.asarray(draws * (radius * share / lengths(draws, norm))[:, None])
