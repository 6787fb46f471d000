"""Products of a few rows, at most four, with a matrix in float32.

A loop over columns takes several rows of both at once, so that what it loads it uses repeatedly:
not more of them than fit the 16 registers of AVX2.

Batches here are small and wide: numpy's BLAS takes twice as long, and its calls as long again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reluopt.numerics.arrays import IntArray, SingleArray, SingleMatrix
from reluopt.numerics.jit import apart, search_kernel

ZERO = np.float32(0.0)

MOST_ROWS = 4
"""Rows of a product at most."""


def flattened(
    weights: Sequence[SingleMatrix], biases: Sequence[SingleArray]
) -> tuple[IntArray, SingleArray, SingleArray, SingleArray]:
    """Layers as kernels take them: sizes, weights behind the first, their transposes, biases.

    Weights are row by row, and stand one after the other.
    """
    none, behind = [np.zeros(0, dtype=np.float32)], weights[1:]
    return (
        np.array([bias.size for bias in biases]),
        np.concatenate(none + [weight.ravel() for weight in behind]),
        np.concatenate(none + [weight.T.ravel() for weight in behind]),
        np.concatenate(biases),
    )


@apart
@search_kernel
def times(left: SingleMatrix, matrix: SingleMatrix, out: SingleMatrix, rows: int, at: int) -> None:
    """``left @ matrix`` of the first ``rows`` rows, into the columns of ``out`` from ``at`` on.

    ``left`` may have more columns than ``matrix`` has rows.
    """
    size, width = matrix.shape
    whole = size - size % 4
    fours = rows if rows == MOST_ROWS else 0
    for b in range(rows):
        out[b, at : at + width] = ZERO
    if fours:
        x0, x1 = out[0, at : at + width], out[1, at : at + width]
        x2, x3 = out[2, at : at + width], out[3, at : at + width]
        for i in range(0, whole, 4):
            w0, w1, w2, w3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
            a0, a1, a2, a3 = left[0, i], left[0, i + 1], left[0, i + 2], left[0, i + 3]
            b0, b1, b2, b3 = left[1, i], left[1, i + 1], left[1, i + 2], left[1, i + 3]
            c0, c1, c2, c3 = left[2, i], left[2, i + 1], left[2, i + 2], left[2, i + 3]
            d0, d1, d2, d3 = left[3, i], left[3, i + 1], left[3, i + 2], left[3, i + 3]
            for j in range(width):
                p, q, r, s = w0[j], w1[j], w2[j], w3[j]
                x0[j] += a0 * p + a1 * q + a2 * r + a3 * s
                x1[j] += b0 * p + b1 * q + b2 * r + b3 * s
                x2[j] += c0 * p + c1 * q + c2 * r + c3 * s
                x3[j] += d0 * p + d1 * q + d2 * r + d3 * s
    for b in range(fours, rows):
        x = out[b, at : at + width]
        for i in range(0, whole, 4):
            w0, w1, w2, w3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
            a0, a1, a2, a3 = left[b, i], left[b, i + 1], left[b, i + 2], left[b, i + 3]
            for j in range(width):
                x[j] += a0 * w0[j] + a1 * w1[j] + a2 * w2[j] + a3 * w3[j]
    for b in range(rows):
        x = out[b, at : at + width]
        for i in range(whole, size):
            w, a = matrix[i], left[b, i]
            for j in range(width):
                x[j] += a * w[j]


@apart
@search_kernel
def times_transposed(
    left: SingleMatrix, matrix: SingleMatrix, out: SingleMatrix, rows: int
) -> None:
    """``left @ matrix.T`` of the first ``rows`` rows, for long rows of ``matrix``."""
    size, width = matrix.shape
    fours, pairs, whole = rows if rows == MOST_ROWS else 0, size - size % 2, size - size % 4
    if fours:
        x, y, z, u = left[0], left[1], left[2], left[3]
        for i in range(0, pairs, 2):
            w, v = matrix[i], matrix[i + 1]
            x0 = x1 = y0 = y1 = z0 = z1 = u0 = u1 = ZERO
            for j in range(width):
                p, q = w[j], v[j]
                x0 += x[j] * p
                x1 += x[j] * q
                y0 += y[j] * p
                y1 += y[j] * q
                z0 += z[j] * p
                z1 += z[j] * q
                u0 += u[j] * p
                u1 += u[j] * q
            out[0, i], out[1, i], out[2, i], out[3, i] = x0, y0, z0, u0
            out[0, i + 1], out[1, i + 1], out[2, i + 1], out[3, i + 1] = x1, y1, z1, u1
    for b in range(fours, rows):
        x = left[b]
        for i in range(0, whole, 4):
            w0, w1, w2, w3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
            x0 = x1 = x2 = x3 = ZERO
            for j in range(width):
                p = x[j]
                x0 += p * w0[j]
                x1 += p * w1[j]
                x2 += p * w2[j]
                x3 += p * w3[j]
            out[b, i], out[b, i + 1], out[b, i + 2], out[b, i + 3] = x0, x1, x2, x3
    for b in range(rows):
        x = left[b]
        for i in range(pairs if b < fours else whole, size):
            w, total = matrix[i], ZERO
            for j in range(width):
                total += x[j] * w[j]
            out[b, i] = total
