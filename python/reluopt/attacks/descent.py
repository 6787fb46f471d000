r"""Fast kernels that walk from an image to a nearby one that meets conditions on the logits.

Both follow the gradient of a soft minimum of the slacks :math:`s = C x^K - d`,

.. math:: \sum_c w_c s_c, \qquad w_c \propto \exp\left(-(s_c - \min s)/T\right), \qquad
          T = \tau |\min s|,

whose temperature falls as the conditions come closer, so that conditions which are nearly as bad
as the worst one are heeded too.
"""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.jit import apart, kernel, part
from reluopt.numerics.passes import forward, pull_back
from reluopt.numerics.vectors import copy_vector

SHRINK_STEPS = 12
"""Halvings when a change is scaled back: a 4000th of its length, below what polishing gains."""

LONGEST_STEP = 0.02
"""Longest step of :func:`walk`, as a share of the box's diagonal: 0.56 for 28 x 28 images in
[0, 1], where the nearest adversarial images are 0.5 to 3 away."""

RADIUS_CHANGE = 0.1
"""First relative change of the radius in a step of :func:`decoupled_steps` (the paper's 0.05 is
meant for 1000 steps)."""

STEP_SHARE = 0.5
"""First step of :func:`decoupled_steps` as a share of the distance."""


@apart
@kernel
def least_slack(
    flat: FlatNetwork,
    point: FloatArray,
    matrix: FloatMatrix,
    rhs: FloatArray,
    values: FloatArray,
    slacks: FloatArray,
) -> float:
    """Forward pass; fills ``values`` and ``slacks`` and returns the smallest slack, or NaN."""
    forward(flat, point, values)
    first = flat.neuron_offsets[flat.weight_offsets.size - 1]
    least = np.inf
    for c in range(rhs.size):
        total = -rhs[c]
        for j in range(matrix.shape[1]):
            total += matrix[c, j] * values[first + j]
        slacks[c] = total
        if total < least or total != total:  # NaN stays
            least = total
    return float(least)


@apart
@kernel
def soft_gradient(
    flat: FlatNetwork,
    values: FloatArray,
    slacks: FloatArray,
    matrix: FloatMatrix,
    heat: float,
    gradient: FloatArray,
) -> None:
    """Gradient of the soft minimum at the point of ``values`` and ``slacks``."""
    least = slacks[0]
    for c in range(slacks.size):
        if slacks[c] < least or slacks[c] != slacks[c]:  # NaN stays NaN
            least = slacks[c]
    temperature = max(heat * abs(least), 1e-12)
    weights = np.zeros(matrix.shape[1])
    for c in range(slacks.size):
        weight = np.exp(-(slacks[c] - least) / temperature)
        for j in range(weights.size):
            weights[j] += weight * matrix[c, j]
    pull_back(flat, values, weights, gradient)


@kernel
def greedy_pixels(
    flat: FlatNetwork,
    image: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    matrix: FloatMatrix,
    rhs: FloatArray,
    heat: float,
    largest_step: float,
    max_steps: int,
    cutoff: float,
    point: FloatArray,
) -> bool:
    """Move one input at a time, the one with the largest effect; the L1 norm likes few of them.

    Leads from ``image`` to ``point``, within the box. A step moves an input by at most a share
    ``largest_step`` of its box, ``heat`` is tau. Gives up after ``max_steps`` steps, and at an L1
    length of ``cutoff``.

    Returns:
        Whether ``point`` meets the conditions ``matrix @ logits >= rhs``.
    """
    size = image.size
    values, slacks = np.empty(flat.biases.size), np.empty(rhs.size)
    gradient = np.empty(size)
    steps, last = np.empty(size), np.zeros(size)
    for i in range(size):
        steps[i] = largest_step * (upper[i] - lower[i])
    copy_vector(image, point)
    length = 0.0
    least = least_slack(flat, point, matrix, rhs, values, slacks)
    for _ in range(max_steps):
        if least >= 0.0:
            break
        soft_gradient(flat, values, slacks, matrix, heat, gradient)
        best = _steepest(gradient, point, lower, upper)
        if best < 0:
            return False
        direction = np.sign(gradient[best])
        if direction == -last[best]:
            steps[best] *= 0.5  # an input that turns back went too far
        last[best] = direction
        length -= abs(point[best] - image[best])
        wish = point[best] + direction * steps[best]
        point[best] = min(max(wish, lower[best]), upper[best])
        length += abs(point[best] - image[best])
        if length > cutoff:
            return False
        least = least_slack(flat, point, matrix, rhs, values, slacks)
    return least >= 0.0


@part
def _steepest(gradient: FloatArray, point: FloatArray, lower: FloatArray, upper: FloatArray) -> int:
    """The input with the largest slope among those that have room to rise along it, or -1."""
    best, gain = -1, 0.0
    for i in range(gradient.size):
        room = upper[i] - point[i] if gradient[i] > 0.0 else point[i] - lower[i]
        if room > 0.0 and abs(gradient[i]) > gain:
            best, gain = i, abs(gradient[i])
    return best


@apart
@kernel
def undo_pixels(
    flat: FlatNetwork,
    image: FloatArray,
    matrix: FloatMatrix,
    rhs: FloatArray,
    order: IntArray,
    point: FloatArray,
) -> None:
    """Move the inputs ``order`` of a feasible point back as far as the conditions allow."""
    values, slacks = np.empty(flat.biases.size), np.empty(rhs.size)
    for i in order:
        kept = point[i]
        point[i] = image[i]
        if least_slack(flat, point, matrix, rhs, values, slacks) >= 0.0:
            continue
        point[i] = kept
        _back_off(flat, image, np.full(1, i), matrix, rhs, point, values, slacks)


@kernel
def shrink(
    flat: FlatNetwork, image: FloatArray, matrix: FloatMatrix, rhs: FloatArray, point: FloatArray
) -> None:
    """Scale the change of a feasible point back as far as bisection finds it feasible."""
    values, slacks = np.empty(flat.biases.size), np.empty(rhs.size)
    _back_off(flat, image, np.arange(image.size), matrix, rhs, point, values, slacks)


@apart
@kernel
def _back_off(
    flat: FlatNetwork,
    image: FloatArray,
    moved: IntArray,
    matrix: FloatMatrix,
    rhs: FloatArray,
    point: FloatArray,
    values: FloatArray,
    slacks: FloatArray,
) -> None:
    """Scale the change of some inputs of a feasible point back, by bisection.

    The inputs at ``moved`` come from ``image``; ``point`` meets the conditions before and after.
    """
    start, change = np.empty(moved.size), np.empty(moved.size)
    for j, i in enumerate(moved):
        start[j] = point[i]
        change[j] = start[j] - image[i]
    near, far = 1.0, 0.0
    for _ in range(SHRINK_STEPS):
        middle = 0.5 * (near + far)
        for j, i in enumerate(moved):
            point[i] = image[i] + middle * change[j]
        if least_slack(flat, point, matrix, rhs, values, slacks) >= 0.0:
            near = middle
        else:
            far = middle
    for j, i in enumerate(moved):
        # image + (start - image) may be rounded out of the box.
        point[i] = start[j] if near == 1.0 else image[i] + near * change[j]


@kernel
def walk(
    flat: FlatNetwork,
    lower: FloatArray,
    upper: FloatArray,
    matrix: FloatMatrix,
    rhs: FloatArray,
    heat: float,
    maximum_norm: bool,
    max_steps: int,
    point: FloatArray,
) -> bool:
    """Move ``point`` uphill, within the box, until it meets the conditions; whether it does.

    Steps go as far as the linear model asks for, a tenth more, but never further than a share
    of the box: the gradient is worth nothing far from where it was taken.
    """
    values, slacks = np.empty(flat.biases.size), np.empty(rhs.size)
    gradient = np.empty(point.size)
    for i in range(point.size):
        gradient[i] = upper[i] - lower[i]
    longest = LONGEST_STEP * _length(gradient, maximum_norm)
    for _ in range(max_steps):
        least = least_slack(flat, point, matrix, rhs, values, slacks)
        if least >= 0.0:
            return True
        soft_gradient(flat, values, slacks, matrix, heat, gradient)
        slope = _free_direction(gradient, point, lower, upper, maximum_norm)
        if slope == 0.0:
            return False
        step = min(1.1 * abs(least) / slope, longest) / _length(gradient, maximum_norm)
        for i in range(point.size):
            point[i] = min(max(point[i] + step * gradient[i], lower[i]), upper[i])
    return least_slack(flat, point, matrix, rhs, values, slacks) >= 0.0


@kernel
def _free_direction(
    gradient: FloatArray,
    point: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    maximum_norm: bool,
) -> float:
    """Turn a gradient into the steepest direction that stays in the box; the slope along it.

    For Linf the direction is the gradient's sign. The slope is per unit of length.
    """
    slope = 0.0
    for i in range(gradient.size):
        g = gradient[i]
        if (g > 0.0 and point[i] >= upper[i]) or (g < 0.0 and point[i] <= lower[i]):
            gradient[i] = 0.0
        elif maximum_norm:
            gradient[i] = np.sign(g)
            slope += abs(g)
        else:
            slope += g * g
    return float(slope if maximum_norm else np.sqrt(slope))


@kernel
def decoupled_steps(
    flat: FlatNetwork,
    image: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    matrix: FloatMatrix,
    rhs: FloatArray,
    heat: float,
    maximum_norm: bool,
    max_steps: int,
    point: FloatArray,
) -> None:
    """Bring a feasible ``point`` nearer to ``image`` along the border of the conditions.

    Gradient steps on a ball that shrinks when feasible and grows when not: the decoupled
    direction and norm attack (Rony et al. 2019, Algorithm 1) for L2, and with signs in place of
    directions for Linf (``maximum_norm``); ``heat`` is tau. ``point`` becomes the nearest point
    found that meets the conditions.
    """
    shrink(flat, image, matrix, rhs, point)
    size = image.size
    values, slacks = np.empty(flat.biases.size), np.empty(rhs.size)
    gradient, trial = np.empty(size), point.copy()
    delta = np.empty(size)
    for i in range(size):
        delta[i] = point[i] - image[i]
    best = _length(delta, maximum_norm)
    radius = best
    for step in range(max_steps):
        # Steps and changes of the radius fall to a 100th along a cosine, as in the paper.
        fall = 0.01 + 0.495 * (1.0 + np.cos(np.pi * step / max_steps))  # 1 to 0.01
        least = least_slack(flat, trial, matrix, rhs, values, slacks)
        length = _length(delta, maximum_norm)
        if least >= 0.0 and length < best:
            best = length
            copy_vector(trial, point)
        radius = length * (
            1.0 - RADIUS_CHANGE * fall if least >= 0.0 else 1.0 + RADIUS_CHANGE * fall
        )
        soft_gradient(flat, values, slacks, matrix, heat, gradient)
        if _free_direction(gradient, trial, lower, upper, maximum_norm) == 0.0:
            break
        step_length = STEP_SHARE * fall * best / _length(gradient, maximum_norm)
        for i in range(size):
            delta[i] += step_length * gradient[i]
        _pull_in(delta, radius, maximum_norm)
        for i in range(size):
            trial[i] = min(max(image[i] + delta[i], lower[i]), upper[i])
            delta[i] = trial[i] - image[i]
    shrink(flat, image, matrix, rhs, point)


@part
def _pull_in(delta: FloatArray, radius: float, maximum_norm: bool) -> None:
    """Bring a change that is too long onto the ball."""
    length = _length(delta, maximum_norm)
    if length > radius:
        for i in range(delta.size):
            if maximum_norm:
                delta[i] = min(max(delta[i], -radius), radius)
            else:
                delta[i] *= radius / length


@kernel
def _length(vector: FloatArray, maximum_norm: bool) -> float:
    """Linf or L2 length."""
    total = 0.0
    for i in range(vector.size):
        total = max(total, abs(vector[i])) if maximum_norm else total + vector[i] * vector[i]
    return float(total if maximum_norm else np.sqrt(total))
