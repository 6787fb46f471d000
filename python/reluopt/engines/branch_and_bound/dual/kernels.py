r"""Loops over the entries of a batch: how multipliers enter bounds, and how they climb.

Every batch has one row a node. Its neurons stand in one matrix, layer after layer; a kernel works
on the columns of one layer from ``start`` on. ``phases`` holds 0 for an undecided neuron, 1 for an
active and -1 for an inactive one. See :mod:`.ascent` for the bound, and :mod:`.certificate` for its
evaluation with outward rounding: nothing here is part of a proof.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reluopt.numerics.arrays import ByteMatrix, IntArray, SingleArray, SingleMatrix
from reluopt.numerics.jit import part, search_kernel

ZERO, HALF, ONE, SMALL = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(1e-8)

KEEP_FIRST, KEEP_SECOND = np.float32(0.9), np.float32(0.99)
"""Shares of Adam's moments that are kept from one step to the next."""


@part
def _slope(c: Any, p: Any, q: Any, above: Any) -> Any:
    """Slope of the line that stands for a ReLU of coefficient c, multiplier p and phase q."""
    if q != ZERO:
        return (ONE + q) * HALF
    return p if c >= ZERO else above


@part
def _ascended(g: Any, first: Any, second: Any, b: int, i: int, scale: Any) -> Any:
    """Adam's direction (Kingma and Ba 2015) for one gradient, whose moments it updates."""
    m = KEEP_FIRST * first[b, i] + (ONE - KEEP_FIRST) * g
    v = KEEP_SECOND * second[b, i] + (ONE - KEEP_SECOND) * g * g
    first[b, i], second[b, i] = m, v
    return m / (np.sqrt(v * scale) + SMALL)


@part
def _unbiased(keep: Any, iteration: int) -> Any:
    """What moments that began at zero are multiplied by."""
    return np.float32(1.0 / (1.0 - keep ** (iteration + 1)))


@search_kernel
def relax(
    coefficients: SingleMatrix,
    start: int,
    slopes: SingleArray,
    offsets: SingleArray,
    phases: ByteMatrix,
    multipliers: SingleMatrix,
    forms: SingleMatrix,
    constants: SingleArray,
) -> None:
    """Coefficients of post-activations become those of pre-activations, and constants."""
    rows, width = coefficients.shape
    for b in range(rows):
        total = ZERO
        for i in range(width):
            c, p = coefficients[b, i], multipliers[b, start + i]
            q = np.float32(phases[b, start + i])
            forms[b, i] = c * _slope(c, p, q, slopes[start + i]) - q * p
            total += min(c, ZERO) * offsets[start + i] if q == ZERO else ZERO
        constants[b] += total


@search_kernel
def add_planes(
    coefficients: SingleMatrix,
    slopes: SingleArray,
    offsets: SingleArray,
    phases: ByteMatrix,
    shares: SingleMatrix,
    planes: IntArray,
    edges: SingleArray,
    forms: SingleMatrix,
    constants: SingleArray,
) -> None:
    """Move shares of first-layer neurons from the line above them to planes, after :func:`relax`.

    Plane ``p`` of ``planes[p]`` has the constant ``edges[p]``; its coefficient goes to column
    ``width + p`` of ``forms``.
    """
    rows, width = coefficients.shape
    for b in range(rows):
        total = ZERO
        for k in range(planes.size):
            i = planes[k]
            c = coefficients[b, i]
            if phases[b, i] == 0 and c < ZERO:
                part = c * shares[b, k]
                forms[b, width + k] = part
                forms[b, i] -= part * slopes[i]
                total += part * (edges[k] - offsets[i])
            else:
                forms[b, width + k] = ZERO
        constants[b] += total


@search_kernel
def box_minimum(forms: SingleMatrix, constants: SingleArray, points: SingleMatrix) -> None:
    """Subtract ``|forms|_1``: the least value over the box [-1, 1]; and where it is taken."""
    rows, size = forms.shape
    for b in range(rows):
        total = ZERO
        for i in range(size):
            value = forms[b, i]
            total += abs(value)
            points[b, i] = -ONE if value > ZERO else ONE
        constants[b] -= total


@search_kernel
def subtract_sums(forms: SingleMatrix, constants: SingleArray) -> None:
    """:func:`box_minimum` without the points."""
    rows, size = forms.shape
    for b in range(rows):
        total = ZERO
        for i in range(size):
            total += abs(forms[b, i])
        constants[b] -= total


@search_kernel
def respond(
    coefficients: SingleMatrix,
    start: int,
    slopes: SingleArray,
    offsets: SingleArray,
    phases: ByteMatrix,
    multipliers: SingleMatrix,
    pre: SingleMatrix,
    post: SingleMatrix,
    gradient: SingleMatrix,
) -> None:
    """Post-activations of the relaxation at its optimum, and the gradient of the multipliers."""
    rows, width = coefficients.shape
    for b in range(rows):
        for i in range(width):
            c, p, a = coefficients[b, i], multipliers[b, start + i], pre[b, i]
            q = np.float32(phases[b, start + i])
            over = offsets[start + i] if (q == ZERO and c < ZERO) else ZERO
            post[b, i] = a * _slope(c, p, q, slopes[start + i]) + over
            gradient[b, start + i] = (c * a if c >= ZERO else ZERO) if q == ZERO else -q * a


@search_kernel
def respond_with_planes(
    coefficients: SingleMatrix,
    phases: ByteMatrix,
    shares: SingleMatrix,
    planes: IntArray,
    edges: SingleArray,
    pre: SingleMatrix,
    post: SingleMatrix,
    gradient: SingleMatrix,
) -> None:
    """What planes add to :func:`respond`, whose ``post`` holds the triangle's values."""
    rows, width = coefficients.shape
    count = planes.size
    for b in range(rows):
        for k in range(count):
            gradient[b, k] = ZERO
        for k in range(count):
            i = planes[k]
            c = coefficients[b, i]
            if phases[b, i] == 0 and c < ZERO:
                gradient[b, k] = c * (pre[b, width + k] + edges[k] - post[b, i])
        for k in range(count):
            i = planes[k]
            if gradient[b, k] != ZERO:
                post[b, i] += shares[b, k] * gradient[b, k] / coefficients[b, i]


@search_kernel
def climb(
    multipliers: SingleMatrix,
    gradient: SingleMatrix,
    first: SingleMatrix,
    second: SingleMatrix,
    phases: ByteMatrix,
    start: int,
    stop: int,
    slope_rate: float,
    split_rate: float,
    iteration: int,
) -> None:
    """One step of Adam upward, then back into the multipliers' limits."""
    scale, scale_second = _unbiased(0.9, iteration), _unbiased(0.99, iteration)
    rate, other = np.float32(slope_rate) * scale, np.float32(split_rate) * scale
    for b in range(multipliers.shape[0]):
        for i in range(start, stop):
            free = phases[b, i] == 0
            step = _ascended(gradient[b, i], first, second, b, i, scale_second)
            x = max(multipliers[b, i] + (rate if free else other) * step, ZERO)
            multipliers[b, i] = min(x, ONE) if free else x


@search_kernel
def climb_shares(
    shares: SingleMatrix,
    gradient: SingleMatrix,
    first: SingleMatrix,
    second: SingleMatrix,
    each: int,
    step_rate: float,
    iteration: int,
) -> None:
    """:func:`climb` for shares of planes; those of a neuron, ``each`` in a row, add up to <= 1."""
    scale, rate = _unbiased(0.99, iteration), np.float32(step_rate) * _unbiased(0.9, iteration)
    for b in range(shares.shape[0]):
        for k in range(shares.shape[1]):
            step = rate * _ascended(gradient[b, k], first, second, b, k, scale)
            shares[b, k] = max(shares[b, k] + step, ZERO)
        for u in range(shares.shape[1] // each):
            total = ZERO
            for k in range(u * each, (u + 1) * each):
                total += shares[b, k]
            if total > ONE:
                for k in range(u * each, (u + 1) * each):
                    shares[b, k] /= total


@search_kernel
def climb_mixture(
    mixture: SingleMatrix,
    gradient: SingleMatrix,
    first: SingleMatrix,
    second: SingleMatrix,
    step_rate: float,
    iteration: int,
) -> None:
    """:func:`climb` for multipliers of conditions, which add up to 1."""
    scale, rate = _unbiased(0.99, iteration), np.float32(step_rate) * _unbiased(0.9, iteration)
    for b in range(mixture.shape[0]):
        total = ZERO
        for c in range(mixture.shape[1]):
            step = rate * _ascended(gradient[b, c], first, second, b, c, scale)
            mixture[b, c] = max(mixture[b, c] + step, ZERO)
            total += mixture[b, c]
        for c in range(mixture.shape[1]):
            mixture[b, c] = mixture[b, c] / total if total > ZERO else ONE / mixture.shape[1]


@search_kernel
def keep_best(
    values: SingleArray,
    best: SingleArray,
    multipliers: SingleMatrix,
    shares: SingleMatrix,
    mixture: SingleMatrix,
    best_multipliers: SingleMatrix,
    best_shares: SingleMatrix,
    best_mixture: SingleMatrix,
) -> None:
    """Remember the multipliers of rows whose bound has risen."""
    for b in range(values.size):
        if values[b] > best[b]:
            best[b] = values[b]
            for i in range(multipliers.shape[1]):
                best_multipliers[b, i] = multipliers[b, i]
            for k in range(shares.shape[1]):
                best_shares[b, k] = shares[b, k]
            for c in range(mixture.shape[1]):
                best_mixture[b, c] = mixture[b, c]


@search_kernel
def scores(
    coefficients: SingleMatrix,
    start: int,
    lower: SingleArray,
    upper: SingleArray,
    offsets: SingleArray,
    phases: ByteMatrix,
    multipliers: SingleMatrix,
    out: SingleMatrix,
) -> None:
    """What the relaxation of each undecided neuron loses at most; -1 for decided ones.

    ``lower`` and ``upper`` are those of the layer alone.
    """
    rows, width = coefficients.shape
    for b in range(rows):
        for i in range(width):
            j = start + i
            c, p = coefficients[b, i], multipliers[b, j]
            lost = -c * offsets[j] if c < ZERO else c * min(-p * lower[i], (ONE - p) * upper[i])
            out[b, i] = lost if phases[b, j] == 0 else -ONE


@search_kernel
def first_layer_children(
    coefficients: SingleMatrix,
    forms: SingleMatrix,
    total: SingleMatrix,
    values: SingleArray,
    biases: SingleArray,
    weights: SingleMatrix,
    offsets: SingleArray,
    phases: ByteMatrix,
    place: IntArray,
    edges: SingleArray,
    inactive: SingleMatrix,
    active: SingleMatrix,
) -> None:
    """Bounds of the children of every split of the first layer, other multipliers unchanged.

    A split changes the form of one neuron, and its plane's: ``total`` changes by multiples of one
    or two rows of ``weights``.
    """
    rows, width = coefficients.shape
    size = weights.shape[1]
    for b in range(rows):
        norm = ZERO
        for j in range(size):
            norm += abs(total[b, j])
        for i in range(width):
            if phases[b, i] != 0:
                inactive[b, i] = active[b, i] = -np.float32(np.inf)
                continue
            c, form = coefficients[b, i], forms[b, i]
            base = values[b] + norm
            part, row = ZERO, i
            if c < ZERO:
                base -= c * offsets[i]
                if place[i] >= 0:
                    part, row = forms[b, width + place[i]], width + place[i]
                    base -= part * (edges[place[i]] - offsets[i])
            off, on = ZERO, ZERO
            if part == ZERO:
                for j in range(size):
                    rest = total[b, j] - form * weights[i, j]
                    off += abs(rest)
                    on += abs(rest + c * weights[i, j])
            else:
                for j in range(size):
                    rest = total[b, j] - form * weights[i, j] - part * weights[row, j]
                    off += abs(rest)
                    on += abs(rest + c * weights[i, j])
            inactive[b, i] = base - form * biases[i] - off
            active[b, i] = base + (c - form) * biases[i] - on
