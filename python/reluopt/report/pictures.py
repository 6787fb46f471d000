"""Images as PNG data URIs, a few hundred bytes each."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reluopt.images.display import full_scale, strongest
from reluopt.numerics.arrays import FloatArray

BRIGHTER, DARKER = (0xD9, 0x4A, 0x2B), (0x2F, 0x7F, 0xC1)
"""Colours of pixels that became brighter and darker: vermillion and blue, which people with the
common colour vision deficiencies can tell apart, both readable on white and on black."""

FAINTEST = 0.1
"""Opacity of the smallest change that is drawn; the largest one has 1."""

VISIBLE = 0.5 / 255.0
"""Changes below half a grey level of an 8-bit image are not drawn."""


def picture_png(picture: FloatArray, span: tuple[float, float] = (0.0, 1.0)) -> str:
    """Pixels from black to white, the ends of ``span``, or in colours."""
    levels = np.clip((picture - span[0]) / (span[1] - span[0]), 0.0, 1.0)
    return _data_uri(Image.fromarray(np.rint(levels * 255.0).astype(np.uint8), mode=None))


def change_png(
    original: FloatArray,
    answer: FloatArray,
    scale: float,
    span: tuple[float, float] = (0.0, 1.0),
) -> str:
    """What changed, on a transparent ground: the more opaque, the larger, ``scale`` being full.

    Of colours, the one that changes most.
    """
    change = strongest(answer - original)
    size = np.abs(change)
    opacity = FAINTEST + (1.0 - FAINTEST) * np.minimum(size / scale, 1.0)
    opacity[size < VISIBLE * (span[1] - span[0])] = 0.0
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
