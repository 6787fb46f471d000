"""Small dense linear algebra for the interior point method; sizes of zero are fine everywhere."""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.jit import apart, search_kernel
from reluopt.numerics.vectors import copy_matrix

LARGE = 40
"""Order from which LAPACK beats plain loops."""

BAND = 64
"""Rows of symmetric products at a time: blocks above the diagonal are left out."""


@search_kernel
def times(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """``matrix @ vector``."""
    rows, columns = matrix.shape
    if rows >= LARGE and columns > 0:
        large: FloatArray = np.dot(matrix, vector)
        return large
    out = np.empty(rows)
    for i in range(rows):
        total = 0.0
        for j in range(columns):
            total += matrix[i, j] * vector[j]
        out[i] = total
    return out


@search_kernel
def times_transposed(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """``matrix.T @ vector``."""
    rows, columns = matrix.shape
    out = np.zeros(columns)
    for i in range(rows):
        factor = vector[i]
        if factor != 0.0:
            for j in range(columns):
                out[j] += factor * matrix[i, j]
    return out


@search_kernel
def product(left: FloatArray, right: FloatArray) -> FloatArray:
    """``left @ right``."""
    if left.shape[0] == 0 or left.shape[1] == 0 or right.shape[1] == 0:
        return np.zeros((left.shape[0], right.shape[1]))
    result: FloatArray = np.dot(left, right)
    return result


@search_kernel
def gram(matrix: FloatArray, weights: FloatArray) -> FloatArray:
    """``matrix @ diag(weights) @ matrix.T``; only the lower triangle is to be read."""
    rows, columns = matrix.shape
    if rows >= LARGE:
        return lower_product(matrix * weights, matrix)
    scaled = np.empty(columns)
    out = np.empty((rows, rows))
    for i in range(rows):
        for j in range(columns):
            scaled[j] = matrix[i, j] * weights[j]
        for k in range(i + 1):
            total = 0.0
            for j in range(columns):
                total += scaled[j] * matrix[k, j]
            out[i, k] = total
    return out


@search_kernel
def lower_product(left: FloatMatrix, right: FloatMatrix) -> FloatMatrix:
    """``left @ right.T`` where that is symmetric; only the lower triangle is to be read."""
    size = left.shape[0]
    if left.shape[1] == 0:
        return np.zeros((size, size))
    out = np.empty((size, size))
    for start in range(0, size, BAND):
        stop = min(start + BAND, size)
        out[start:stop, :stop] = np.dot(left[start:stop], right[:stop].T)
    return out


@apart
@search_kernel
def cholesky(matrix: FloatMatrix) -> bool:
    """Overwrite the lower triangle, which alone is read, by its Cholesky factor.

    Returns False if the matrix is not positive definite.
    """
    size = matrix.shape[0]
    if size >= LARGE:
        try:
            copy_matrix(np.linalg.cholesky(matrix), matrix)  # type: ignore[arg-type]
        except Exception:
            return False
        return True
    for j in range(size):
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= matrix[j, k] * matrix[j, k]
        if not pivot > 0.0:
            return False
        root = np.sqrt(pivot)
        matrix[j, j] = root
        for i in range(j + 1, size):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total / root
    return True


@search_kernel
def is_positive_definite(matrix: FloatMatrix) -> bool:
    """Whether a Cholesky factor exists; ``matrix`` is left alone."""
    return cholesky(matrix.copy())


@search_kernel
def forward_solve(factor: FloatArray, vector: FloatArray) -> None:
    """``vector = inverse(factor) @ vector`` for a lower triangular factor."""
    for i in range(vector.size):
        total = vector[i]
        for k in range(i):
            total -= factor[i, k] * vector[k]
        vector[i] = total / factor[i, i]


@search_kernel
def backward_solve(factor: FloatArray, vector: FloatArray) -> None:
    """``vector = inverse(factor.T) @ vector`` for a lower triangular factor."""
    for i in range(vector.size - 1, -1, -1):
        value = vector[i] / factor[i, i]
        vector[i] = value
        for k in range(i):
            vector[k] -= factor[i, k] * value


BLOCK = 32
"""Rows that :func:`forward_solve_columns` eliminates between two updates by BLAS."""


@apart
@search_kernel
def forward_solve_columns(factor: FloatMatrix, columns: FloatMatrix) -> None:
    """``columns = inverse(factor) @ columns`` for a lower triangular factor."""
    rows, count = columns.shape
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        if start > 0:
            left = factor[start:stop, :start].copy()
            above = product(left, columns[:start])
            for i in range(start, stop):
                for j in range(count):
                    columns[i, j] -= above[i - start, j]
        for i in range(start, stop):
            for k in range(start, i):
                scale = factor[i, k]
                for j in range(count):
                    columns[i, j] -= scale * columns[k, j]
            scale = 1.0 / factor[i, i]
            for j in range(count):
                columns[i, j] *= scale


@apart
@search_kernel
def inverse_from_factor(factor: FloatMatrix) -> FloatMatrix:
    """Inverse of ``factor @ factor.T``."""
    half = np.eye(factor.shape[0])
    forward_solve_columns(factor, half)
    return product(half.T.copy(), half)
