"""Images as PNG data URIs, a few hundred bytes each."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reluopt.images.display import folded_shape, full_scale
from reluopt.numerics.arrays import FloatArray

BRIGHTER, DARKER = (0xD9, 0x4A, 0x2B), (0x2F, 0x7F, 0xC1)
"""Colours of pixels that became brighter and darker: vermillion and blue, which people with the
common colour vision deficiencies can tell apart, both readable on white and on black."""

FAINTEST = 0.1
"""Opacity of the smallest change that is drawn; the largest one has 1."""

VISIBLE = 0.5 / 255.0
"""Changes below half a grey level of an 8-bit image are not drawn."""


def folded(image: FloatArray) -> FloatArray:
    """An image of two axes: a flat one becomes a square if it can, else one row."""
    return image if image.ndim == 2 else image.reshape(folded_shape(image.size))


def grey_png(image: FloatArray) -> str:
    """Pixels from black (0) to white (1)."""
    levels = np.rint(np.clip(folded(image), 0.0, 1.0) * 255.0).astype(np.uint8)
    return _data_uri(Image.fromarray(levels, mode=None))


def change_png(original: FloatArray, answer: FloatArray, scale: float) -> str:
    """What changed, on a transparent ground: the more opaque, the larger, ``scale`` being full."""
    change = folded(answer) - folded(original)
    size = np.abs(change)
    opacity = FAINTEST + (1.0 - FAINTEST) * np.minimum(size / scale, 1.0)
    opacity[size < VISIBLE] = 0.0
    colours = np.where(change[..., None] > 0.0, np.array(BRIGHTER), np.array(DARKER))
    pixels: NDArray[np.uint8] = np.concatenate(
        [colours, np.rint(opacity * 255.0)[..., None]], axis=-1
    ).astype(np.uint8)
    pixels[pixels[..., 3] == 0] = 0
    return _data_uri(Image.fromarray(pixels, mode=None))


def change_scale(changes: list[FloatArray]) -> float:
    """The largest change, rounded up to one digit; 1 without any."""
    sizes = (float(np.abs(change).max(initial=0.0)) for change in changes)
    return full_scale(max(sizes, default=0.0))


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
