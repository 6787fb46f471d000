"""Small things that numba can do in one line, but takes a tenth of a second to seconds to compile.

``target[:] = source`` for two arrays brings along all of broadcasting and the formatting of its
error messages, ``np.argsort`` a general quicksort. Here they are loops, or kernels of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray
from reluopt.numerics.jit import apart, kernel


@kernel
def copy_vector(source: NDArray[Any], target: NDArray[Any]) -> None:
    """``target[:] = source`` for vectors of the same length and type."""
    for i in range(target.size):
        target[i] = source[i]


@kernel
def copy_matrix(source: FloatMatrix, target: FloatMatrix) -> None:
    """``target[:] = source`` for matrices of the same shape."""
    for i in range(target.shape[0]):
        copy_vector(source[i], target[i])


@apart
@kernel
def ascending(values: FloatArray) -> IntArray:
    """Places of ``values`` from the smallest to the largest; ties in any order."""
    return np.argsort(values)
