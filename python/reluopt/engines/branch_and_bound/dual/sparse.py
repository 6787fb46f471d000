"""Products of a few rows with a matrix of few nonzeros, such as a convolution's.

Entries of the four rows that are worked on stand side by side here, so that one nonzero meets all
of them at once. Coefficients of a single neuron are zero but in the field that it sees, and rows of
a matrix for which all are zero are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.dual.products import MOST_ROWS
from reluopt.numerics.arrays import (
    BoolArray,
    FloatArray,
    FloatMatrix,
    IntArray,
    SingleArray,
    SingleMatrix,
)
from reluopt.numerics.jit import apart, kernel, search_kernel

ZERO = np.float32(0.0)

FEW, LEAST = 0.15, 10_000
"""A matrix is sparse where this share of its entries are not zero, or fewer; and no smaller one is,
of which the dense product is as fast."""


class Nonzeros(NamedTuple):
    """A matrix row by row, without its zeros.

    Attributes:
        ends: where each row begins, and how many nonzeros there are, shape ``(rows + 1,)``.
        columns: of each nonzero.
        values: what they are.
    """

    ends: IntArray
    columns: IntArray
    values: FloatArray


def nonzeros(matrix: FloatMatrix) -> Nonzeros | None:
    """The nonzeros of a sparse matrix, None of others."""
    if matrix.size < LEAST or np.count_nonzero(matrix) > FEW * matrix.size:
        return None
    rows, columns = np.nonzero(matrix)
    ends = np.searchsorted(rows, np.arange(matrix.shape[0] + 1))
    return Nonzeros(ends.astype(np.int64), columns.astype(np.int64), matrix[rows, columns])


class SparseLayers(NamedTuple):
    """The sparse ones of some layers as kernels take them, one behind the other.

    Attributes:
        begins: where the ends of each layer's rows begin, -1 of layers that are dense.
        ends, columns, values: of all of them.
    """

    begins: IntArray
    ends: IntArray
    columns: IntArray
    values: SingleArray


def sparse_layers(parts: Sequence[Nonzeros | None]) -> SparseLayers:
    """Layers as kernels take them."""
    begins, ends, before, size = [], [np.zeros(0, np.int64)], 0, 0
    kept = [part for part in parts if part is not None]
    for part in parts:
        begins.append(-1 if part is None else before)
        if part is not None:
            ends.append(part.ends + size)
            before, size = before + part.ends.size, size + part.values.size
    none: list[Any] = [np.zeros(0, np.int64)]
    return SparseLayers(
        np.array(begins, dtype=np.int64),
        np.concatenate(ends),
        np.concatenate(none + [part.columns for part in kept]),
        np.concatenate([np.zeros(0), *(part.values for part in kept)]).astype(np.float32),
    )


@apart
@search_kernel
def sparse_times(
    left: SingleMatrix,
    t: SparseLayers,
    k: int,
    size: int,
    out: SingleMatrix,
    rows: int,
    at: int,
    width: int,
) -> None:
    """``left @ matrix`` of the first ``rows`` rows, into ``width`` columns of ``out`` from ``at``.

    The matrix is that of layer k, with ``size`` rows; ``left`` has four rows.
    """
    sums, begin = np.zeros((width, MOST_ROWS), np.float32), t.begins[k]
    for i in range(size):
        a, b, c, d = left[0, i], left[1, i], left[2, i], left[3, i]
        if a == ZERO and b == ZERO and c == ZERO and d == ZERO:
            continue
        for e in range(t.ends[begin + i], t.ends[begin + i + 1]):
            value, x = t.values[e], sums[t.columns[e]]
            x[0] += a * value
            x[1] += b * value
            x[2] += c * value
            x[3] += d * value
    for row in range(rows):
        for j in range(width):
            out[row, at + j] = sums[j, row]


@apart
@search_kernel
def sparse_times_transposed(
    left: SingleMatrix,
    t: SparseLayers,
    k: int,
    wanted: BoolArray,
    out: SingleMatrix,
    rows: int,
    width: int,
) -> None:
    """``left @ matrix.T`` of the first ``rows`` rows; ``left`` has four rows and ``width`` columns.

    Columns of the product that are not ``wanted`` get zeros.
    """
    values, begin = np.empty((width, MOST_ROWS), np.float32), t.begins[k]
    for row in range(MOST_ROWS):
        for j in range(width):
            values[j, row] = left[row, j]
    for i in range(wanted.size):
        a = b = c = d = ZERO
        first, last = t.ends[begin + i], t.ends[begin + i + 1]
        for e in range(first, last if wanted[i] else first):
            value, x = t.values[e], values[t.columns[e]]
            a += x[0] * value
            b += x[1] * value
            c += x[2] * value
            d += x[3] * value
        out[0, i] = a
        if rows > 1:
            out[1, i], out[2, i], out[3, i] = b, c, d


@kernel
def product(left: FloatMatrix, matrix: Nonzeros, width: int) -> FloatMatrix:
    """``left @ matrix`` in float64, without reassociation: for bounds that are proven."""
    out = np.zeros((left.shape[0], width))
    for b in range(left.shape[0]):
        row = out[b]
        for i in range(left.shape[1]):
            a = left[b, i]
            if a == 0.0:
                continue
            for e in range(matrix.ends[i], matrix.ends[i + 1]):
                row[matrix.columns[e]] += a * matrix.values[e]
    return out
