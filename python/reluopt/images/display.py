"""How images are laid out and their changes scaled, wherever they are shown."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from reluopt.numerics.arrays import FloatArray

COLOURS = 3
"""Red, green and blue: channels of a colour image, and axes of its picture."""

MIN_SIDE = 8
"""Plain values make a square picture from this side on; fewer of them are features."""


def picture_axes(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Rows and columns, and 3 for colours, of the picture of an input; None where there is none.

    Args:
        shape: rows x columns, or those behind 1 or 3 channels.
    """
    if len(shape) == COLOURS and shape[0] in (1, COLOURS):
        return shape[1:] if shape[0] == 1 else (*shape[1:], COLOURS)
    return shape if len(shape) == 2 else None


def as_picture(image: FloatArray) -> FloatArray | None:
    """An input as it is drawn: rows x columns, or those x 3 for colours; None for features.

    A square number of plain values, 64 or more, is a square image.
    """
    side = math.isqrt(image.size)
    if image.ndim == 1 and side * side == image.size and side >= MIN_SIDE:
        return image.reshape(side, side)
    axes = picture_axes(image.shape)
    if axes is None or len(axes) == 2:
        return None if axes is None else image.reshape(axes)
    return np.moveaxis(image, 0, -1)


CHANGED = 1e-6
"""Changes up to here, as shares of what an input may be, count as none: far below a grey level, far
above rounding."""


TINY_SPAN = 1e-12
"""Pixels that may not change at all are drawn black."""


def pixel_span(lower: ArrayLike, upper: ArrayLike) -> tuple[float, float]:
    """The values of black and white pixels, for lower and upper bounds of inputs."""
    black = float(np.min(lower))
    return black, max(float(np.max(upper)), black + TINY_SPAN)


def changed_inputs(
    before: FloatArray | None, after: FloatArray, ends: tuple[FloatArray, FloatArray]
) -> list[int]:
    """Numbers of the inputs that changed, the largest change first; all where nothing was before.

    Changes are measured in shares of what their inputs may be, ``ends`` telling the bounds.
    """
    if before is None:
        return list(range(after.size))
    shares = np.abs(after - before) / np.maximum(ends[1] - ends[0], np.finfo(float).tiny)
    return [int(place) for place in np.argsort(-shares, kind="stable") if shares[place] > CHANGED]


def feature_name(number: int) -> str:
    """What an input without a name is called; numbers count from 0."""
    return f"input {number}"


def feature_words(before: float | None, after: float) -> str:
    """The values of an input before and after."""
    first = "" if before is None else f"{before:.4g} \N{RIGHTWARDS ARROW} "
    return f"{first}{after:.4g}".replace("-", "\N{MINUS SIGN}")


def strongest(change: FloatArray) -> FloatArray:
    """The change of a picture, rows x columns: of its colours the one that changes most."""
    if change.ndim < COLOURS:
        return change
    places = np.abs(change).argmax(axis=-1)[..., None]
    return np.take_along_axis(change, places, axis=-1)[..., 0]


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
