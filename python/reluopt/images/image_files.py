"""Reading one image from a PNG or NPY file, in the shape that a network reads."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from reluopt.errors import InputError, shown
from reluopt.file_formats import HEAD_BYTES, recognise
from reluopt.files import open_input
from reluopt.images.display import COLOURS, picture_axes
from reluopt.images.tables import npy_array
from reluopt.numerics.arrays import FloatArray, frozen_array

#: Bytes of a file beyond those of its pixels: colour profiles and texts of a PNG, headers.
MAX_EXTRA_BYTES = 10_000_000

#: Bytes of one pixel at most: four channels of 16 bits, or one long double.
_PIXEL_BYTES = 16

#: Largest value of a pixel in the PIL modes that hold grey images.
_WHITE = {"1": 1, "L": 255, "I;16": 65535, "I": 65535}

_DEEP = ("I;16", "I")
"""The modes that keep 16 bits; all others cut them to 8."""

_PNG_MAGIC, _FIRST_CHUNK_AT = b"\x89PNG\r\n\x1a\n", 12


def load_image_file(path: str | os.PathLike[str], shape: Sequence[int] = (28, 28)) -> FloatArray:
    """Read one image.

    A PNG must be opaque, with at most 8 bits a channel, or grey with 16 bits; black is 0 and white
    is 1. It must be grey (a colour image whose channels are equal counts as grey) unless the shape
    is that of colours, 3 x rows x columns: red, green and blue, which are equal for a grey file. A
    NPY file holds unsigned bytes (0 to 255) or floating-point numbers in [0, 1], as an array of
    the network's input shape or flattened.

    Args:
        path: a file ending in ``.png`` or ``.npy``.
        shape: the network's input shape.

    Returns:
        ``float64`` in [0, 1], of that shape, read-only.

    Raises:
        InputError: the file is missing, no regular file, unreadable, of another kind or shape, in
            colour or transparent, or holds numbers outside [0, 1]; the message names it.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import reluopt as ro
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/seven.npy", ro.load_images("test").image(0))
        ...     ro.load_image_file(f"{folder}/seven.npy").shape
        (28, 28)
    """
    place, wanted = Path(path), tuple(shape)
    readers = {".png": _read_png, ".npy": _read_npy}
    reader = readers.get(place.suffix.lower())
    if reader is None:
        raise InputError(f"{place}: expected a file ending in .png or .npy, found another ending")
    largest = MAX_EXTRA_BYTES + _PIXEL_BYTES * math.prod(wanted)
    with open_input(place, "a readable image", largest) as (stream, size):
        data = stream.read(size)
    return frozen_array(reader(data, place, wanted))


def _read_png(data: bytes, path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """The pixels of a PNG file, all of their bits."""
    if not data.startswith(_PNG_MAGIC):
        known = recognise(data[:HEAD_BYTES])
        found = known.name if known else "another content"
        raise InputError(f"{path}: expected a PNG image, found {found}")
    if data[_FIRST_CHUNK_AT : _FIRST_CHUNK_AT + 4] != b"IHDR":  # pillow would look further
        raise InputError(
            f"{path}: expected a readable image, found: its header does not come first"
        )
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            warnings.simplefilter("ignore")  # what matters is refused below
            return _pixels(image, path, shape)
    except InputError:
        raise
    except Exception as error:  # whatever pillow raises for a damaged file
        raise InputError(f"{path}: expected a readable image, found: {shown(error)}") from error


def _pixels(image: ImageFile.ImageFile, path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """Pixels in [0, 1] of an opaque image, grey or in the colours of three channels."""
    found, wanted = (image.height, image.width), picture_axes(shape)
    if wanted is None or found != wanted[:2]:
        raise InputError(f"{path}: expected an image of shape {shape}, found {found}")
    stored = str(image.tile[0][3])  # how the file holds its pixels: "L;2", "I;16B", "RGB;16B"
    if "16" in stored and image.mode not in _DEEP:
        raise InputError(
            f"{path}: expected 16 bits in a grey PNG without transparency, found them in one with "
            f"more channels ({image.mode}), of which only 8 could be read"
        )
    image.load()
    if image.mode != "P" and "transparency" in image.info:
        raise InputError(f"{path}: expected an opaque image, found a transparent colour")
    white = _WHITE.get(image.mode)
    colours = len(wanted) == COLOURS
    if white is not None:
        grey = np.asarray(image, dtype=np.float64) / white
        return np.broadcast_to(grey, shape) if colours else grey.reshape(shape)
    channels = np.asarray(image.convert("RGBA"))
    if (channels[..., 3] != 255).any():
        raise InputError(f"{path}: expected an opaque image, found transparent pixels")
    if colours:
        return np.moveaxis(channels[..., :3], -1, 0) / 255.0
    if (channels[..., :3] != channels[..., :1]).any():
        raise InputError(f"{path}: expected a grey image, found colours")
    return channels[..., 0].reshape(shape) / 255.0


def _read_npy(data: bytes, path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """The numbers of an NPY file."""
    array = npy_array(data, path, "image")
    flat = (math.prod(shape),)
    if array.shape not in (shape, flat):
        raise InputError(
            f"{path}: expected an array of shape {shape} or {flat}, found {shown(array.shape)}"
        )
    return in_pixels(array.reshape(shape), path)


def in_pixels(array: NDArray[Any], path: Path) -> FloatArray:
    """Numbers as pixels: bytes from 0 to 255, others in [0, 1] as they are.

    Raises:
        InputError: a number is out of its range.
    """
    if array.dtype == np.uint8:
        return array / 255.0
    if not np.isfinite(array).all() or array.min() < 0.0 or array.max() > 1.0:
        raise InputError(
            f"{path}: expected numbers in [0, 1], found {array.min()} to {array.max()}"
        )
    return array
