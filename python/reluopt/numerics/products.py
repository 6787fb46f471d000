"""Products with the matrices of a flat network, dense or sparse: sums of scaled rows or columns.

Everything is the sum of the rows (columns) of one layer's matrix with given scales, in the order of
the scales, four dense ones at a time; scales of zero cost nothing. So black pixels and silent
neurons are skipped, dense sums vectorise without changing IEEE semantics, and of a sparse row only
what is there is read.
"""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import FloatArray, IntArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.jit import apart, kernel, part


@apart
@kernel
def add_scaled_rows(
    matrix: FloatArray, offset: int, length: int, scales: FloatArray, out: FloatArray
) -> None:
    """``out += scales @ M`` for the row-major ``M`` of ``len(scales)`` rows at ``offset``."""
    count = 0
    pending = np.empty(4, dtype=np.int64)
    for i in range(scales.size):
        if scales[i] == 0.0:
            continue
        pending[count] = i
        count += 1
        if count == 4:
            count = 0
            a, b, c, d = pending[0], pending[1], pending[2], pending[3]
            row_a = matrix[offset + a * length : offset + (a + 1) * length]
            row_b = matrix[offset + b * length : offset + (b + 1) * length]
            row_c = matrix[offset + c * length : offset + (c + 1) * length]
            row_d = matrix[offset + d * length : offset + (d + 1) * length]
            s_a, s_b, s_c, s_d = scales[a], scales[b], scales[c], scales[d]
            for q in range(length):
                out[q] += (s_a * row_a[q] + s_b * row_b[q]) + (s_c * row_c[q] + s_d * row_d[q])
    for p in range(count):
        i = pending[p]
        row = matrix[offset + i * length : offset + (i + 1) * length]
        scale = scales[i]
        for q in range(length):
            out[q] += scale * row[q]


@apart
@kernel
def _add_sparse_rows(
    matrix: FloatArray,
    offset: int,
    index: IntArray,
    starts: int,
    columns: int,
    scales: FloatArray,
    out: FloatArray,
) -> None:
    """``out += scales @ M`` for a CSR matrix at ``offset``, see :class:`.FlatNetwork`."""
    for i in range(scales.size):
        if scales[i] == 0.0:
            continue
        for p in range(index[starts + i], index[starts + i + 1]):
            out[index[columns + p]] += scales[i] * matrix[offset + p]


@part
def add_rows(flat: FlatNetwork, layer: int, scales: FloatArray, out: FloatArray) -> None:
    """``out += scales @ W`` for the weights of a layer: one step of a gradient."""
    offset, starts = flat.weight_offsets[layer], flat.places[4 * layer]
    if starts < 0:
        add_scaled_rows(flat.weights, offset, out.size, scales, out)
    else:
        columns = flat.places[4 * layer + 1]
        _add_sparse_rows(flat.weights, offset, flat.indices, starts, columns, scales, out)


@part
def add_columns(flat: FlatNetwork, layer: int, scales: FloatArray, out: FloatArray) -> None:
    """``out += W @ scales``: one step of a forward pass."""
    offset, starts = flat.weight_offsets[layer], flat.places[4 * layer + 2]
    if starts < 0:
        add_scaled_rows(flat.columns, offset, out.size, scales, out)
    else:
        rows = flat.places[4 * layer + 3]
        _add_sparse_rows(flat.columns, offset, flat.indices, starts, rows, scales, out)


@kernel
def add_sizes(flat: FlatNetwork, layer: int, scales: FloatArray, out: FloatArray) -> None:
    """``out += |W| @ scales`` for the positive ones of the scales."""
    offset, starts = flat.weight_offsets[layer], flat.places[4 * layer + 2]
    rows = flat.places[4 * layer + 3]
    for j in range(scales.size):
        scale = scales[j]
        if not scale > 0.0:
            continue
        if starts < 0:
            start = offset + j * out.size
            column = flat.columns[start : start + out.size]
            for i in range(out.size):
                out[i] += abs(column[i]) * scale
        else:
            for p in range(flat.indices[starts + j], flat.indices[starts + j + 1]):
                out[flat.indices[rows + p]] += abs(flat.columns[offset + p]) * scale


@kernel
def add_ranges(
    flat: FlatNetwork,
    layer: int,
    smallest: FloatArray,
    largest: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> None:
    """Add the smallest and the largest value of ``W @ x`` for ``0 <= smallest <= x <= largest``."""
    offset, starts = flat.weight_offsets[layer], flat.places[4 * layer + 2]
    rows = flat.places[4 * layer + 3]
    for j in range(largest.size):
        if largest[j] == 0.0:
            continue
        if starts < 0:
            start = offset + j * high.size
            column = flat.columns[start : start + high.size]
            for i in range(high.size):
                positive, negative = max(column[i], 0.0), min(column[i], 0.0)
                high[i] += positive * largest[j] + negative * smallest[j]
                low[i] += positive * smallest[j] + negative * largest[j]
        else:
            for p in range(flat.indices[starts + j], flat.indices[starts + j + 1]):
                i, weight = flat.indices[rows + p], flat.columns[offset + p]
                positive, negative = max(weight, 0.0), min(weight, 0.0)
                high[i] += positive * largest[j] + negative * smallest[j]
                low[i] += positive * smallest[j] + negative * largest[j]


@kernel
def reads_zeros(flat: FlatNetwork, layer: int, row: int, largest: FloatArray) -> bool:
    """Whether all that a row of weights reads has 0 as its largest value."""
    offset, starts = flat.weight_offsets[layer], flat.places[4 * layer]
    columns = flat.places[4 * layer + 1]
    if starts < 0:
        start = offset + row * largest.size
        for j in range(largest.size):
            if flat.weights[start + j] != 0.0 and largest[j] > 0.0:
                return False
        return True
    for p in range(flat.indices[starts + row], flat.indices[starts + row + 1]):
        if flat.weights[offset + p] != 0.0 and largest[flat.indices[columns + p]] > 0.0:
            return False
    return True


@kernel
def copy_row(flat: FlatNetwork, layer: int, row: int, out: FloatArray) -> None:
    """Write one row of a layer's weights, shape ``(n_in,)``."""
    offset, starts = flat.weight_offsets[layer], flat.places[4 * layer]
    columns = flat.places[4 * layer + 1]
    if starts < 0:
        start = offset + row * out.size
        for q in range(out.size):
            out[q] = flat.weights[start + q]
        return
    for q in range(out.size):
        out[q] = 0.0
    for p in range(flat.indices[starts + row], flat.indices[starts + row + 1]):
        out[flat.indices[columns + p]] = flat.weights[offset + p]
