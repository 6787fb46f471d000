"""Outward rounding: the error bounds that make floating-point results theorems."""

from __future__ import annotations

from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.jit import kernel

ROUNDOFF = 2.0**-53
"""Unit roundoff u of float64: ``fl(a op b) = (a op b)(1 + e)`` with ``|e| <= u``."""

TINY = 1e-290
"""Added to every outward-rounded number: more than the sum of all underflow errors (each below
2.3e-308) that any kernel can commit."""


@kernel
def gamma(count: float) -> float:
    r"""Twice :math:`\gamma_n`: the factor covers the rounding of the error terms themselves."""
    return 2.0 * count * ROUNDOFF / (1.0 - count * ROUNDOFF)


@kernel
def chord(low: float, high: float) -> tuple[float, float]:
    """Slope and offset of a line that is not below the ReLU between ``low < 0`` and ``high > 0``.

    Any slope in [0, 1] gives one whose offset covers both ends.
    """
    slope = high / (high - low)
    return slope, max(-slope * low, (1.0 - slope) * high) * (1.0 + 8.0 * ROUNDOFF)


@kernel
def pairwise_sum(buffer: FloatArray, count: int) -> float:
    """Sum of ``buffer[:count]``, destroying it; halves at a time, which vectorises."""
    while count > 8:
        half = count // 2
        odd = count - 2 * half
        for i in range(half):
            buffer[i] += buffer[half + odd + i]
        count = half + odd
    total = 0.0
    for i in range(count):
        total += buffer[i]
    return total
