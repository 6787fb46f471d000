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


@part
def _add_sparse_rows(
    matrix: FloatArray,
    starts: IntArray,
    indices: IntArray,
    first: int,
    scales: FloatArray,
    out: FloatArray,
) -> None:
    """``out += scales @ M`` for the CSR matrix whose row starts begin at ``first``."""
    for i in range(scales.size):
        if scales[i] == 0.0:
            continue
        for p in range(starts[first + i], starts[first + i + 1]):
            out[indices[p]] += scales[i] * matrix[p]


@apart
@kernel
def add_rows(flat: FlatNetwork, layer: int, scales: FloatArray, out: FloatArray) -> None:
    """``out += scales @ W`` for the weights of a layer: one step of a gradient."""
    first = flat.row_places[layer]
    if first < 0:
        add_scaled_rows(flat.weights, flat.weight_offsets[layer], out.size, scales, out)
    else:
        _add_sparse_rows(flat.weights, flat.row_starts, flat.row_indices, first, scales, out)


@apart
@kernel
def add_columns(flat: FlatNetwork, layer: int, scales: FloatArray, out: FloatArray) -> None:
    """``out += W @ scales``: one step of a forward pass."""
    first = flat.column_places[layer]
    if first < 0:
        add_scaled_rows(flat.columns, flat.weight_offsets[layer], out.size, scales, out)
    else:
        _add_sparse_rows(flat.columns, flat.column_starts, flat.column_indices, first, scales, out)


@kernel
def add_sizes(flat: FlatNetwork, layer: int, scales: FloatArray, out: FloatArray) -> None:
    """``out += |W| @ scales`` for the positive ones of the scales."""
    first = flat.column_places[layer]
    for j in range(scales.size):
        scale = scales[j]
        if not scale > 0.0:
            continue
        if first < 0:
            start = flat.weight_offsets[layer] + j * out.size
            column = flat.columns[start : start + out.size]
            for i in range(out.size):
                out[i] += abs(column[i]) * scale
        else:
            for p in range(flat.column_starts[first + j], flat.column_starts[first + j + 1]):
                out[flat.column_indices[p]] += abs(flat.columns[p]) * scale


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
    first = flat.column_places[layer]
    for j in range(largest.size):
        if largest[j] == 0.0:
            continue
        if first < 0:
            start = flat.weight_offsets[layer] + j * high.size
            column = flat.columns[start : start + high.size]
            for i in range(high.size):
                positive, negative = max(column[i], 0.0), min(column[i], 0.0)
                high[i] += positive * largest[j] + negative * smallest[j]
                low[i] += positive * smallest[j] + negative * largest[j]
        else:
            for p in range(flat.column_starts[first + j], flat.column_starts[first + j + 1]):
                i, weight = flat.column_indices[p], flat.columns[p]
                positive, negative = max(weight, 0.0), min(weight, 0.0)
                high[i] += positive * largest[j] + negative * smallest[j]
                low[i] += positive * smallest[j] + negative * largest[j]


@kernel
def reads_zeros(flat: FlatNetwork, layer: int, row: int, largest: FloatArray) -> bool:
    """Whether all that a row of weights reads has 0 as its largest value."""
    first = flat.row_places[layer]
    if first < 0:
        start = flat.weight_offsets[layer] + row * largest.size
        for j in range(largest.size):
            if flat.weights[start + j] != 0.0 and largest[j] > 0.0:
                return False
        return True
    for p in range(flat.row_starts[first + row], flat.row_starts[first + row + 1]):
        if flat.weights[p] != 0.0 and largest[flat.row_indices[p]] > 0.0:
            return False
    return True


@kernel
def copy_row(flat: FlatNetwork, layer: int, row: int, out: FloatArray) -> None:
    """Write one row of a layer's weights, shape ``(n_in,)``."""
    first = flat.row_places[layer]
    if first < 0:
        start = flat.weight_offsets[layer] + row * out.size
        for q in range(out.size):
            out[q] = flat.weights[start + q]
        return
    for q in range(out.size):
        out[q] = 0.0
    for p in range(flat.row_starts[first + row], flat.row_starts[first + row + 1]):
        out[flat.row_indices[p]] = flat.weights[p]
