"""How images are laid out and their changes scaled, wherever they are shown."""

from __future__ import annotations

import math


def folded_shape(size: int) -> tuple[int, int]:
    """Height and width of a flat image of ``size`` pixels: those of a square, or else one row."""
    side = math.isqrt(size)
    return (side, side) if side * side == size else (1, size)


def full_scale(largest: float) -> float:
    """The change that is shown strongest: the largest, rounded up to one digit; 1 without any."""
    if not (math.isfinite(largest) and largest > 0.0):
        return 1.0
    step = 10.0 ** math.floor(math.log10(largest))
    # A change of 0.30000000000000004 is one of 0.3.
    return float(f"{math.ceil(largest / step - 1e-9) * step:.1g}")
