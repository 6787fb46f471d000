"""Types of arrays, and arrays that nobody changes.

``FloatArray``, ``IntArray`` and ``BoolArray`` are vectors in kernels, ``FloatMatrix`` and
``IntMatrix`` matrices; ``SingleArray``, ``SingleMatrix`` and ``ByteMatrix`` hold float32 and int8
(:mod:`reluopt.numerics.signatures`).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatMatrix: TypeAlias = NDArray[np.float64]
IntMatrix: TypeAlias = NDArray[np.int64]
SingleArray: TypeAlias = NDArray[np.float32]
SingleMatrix: TypeAlias = NDArray[np.float32]
ByteMatrix: TypeAlias = NDArray[np.int8]
AnyFloat: TypeAlias = NDArray[np.float32] | NDArray[np.float64]


def frozen_array(values: ArrayLike) -> FloatArray:
    """Return a read-only, C-contiguous ``float64`` copy of ``values``."""
    array = np.array(values, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array
