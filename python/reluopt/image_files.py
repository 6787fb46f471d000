"""Reading one image from a PNG or NPY file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from reluopt.errors import InputError
from reluopt.network import FloatArray, frozen_array

#: Largest value of a pixel in the PIL modes that hold grey images.
_WHITE = {"1": 1, "L": 255, "I;16": 65535}


def load_image_file(path: str | os.PathLike[str], shape: Sequence[int] = (28, 28)) -> FloatArray:
    """Read one image.

    A PNG must be grey (a colour image whose channels are equal counts as grey) and opaque; black is
    0 and white is 1. A NPY file holds unsigned bytes (0 to 255) or floating-point numbers in
    [0, 1], as an array of the network's input shape or flattened.

    Args:
        path: a file ending in ``.png`` or ``.npy``.
        shape: the network's input shape.

    Returns:
        ``float64`` in [0, 1], of that shape, read-only.

    Raises:
        InputError: the file is missing, unreadable, of another kind or shape, in colour, or holds
            numbers outside [0, 1]; the message names it.
    """
    place, wanted = Path(path), tuple(shape)
    readers = {".png": _read_png, ".npy": _read_npy}
    reader = readers.get(place.suffix.lower())
    if reader is None:
        raise InputError(f"{place}: expected a file ending in .png or .npy, found another ending")
    try:
        values = reader(place, wanted)
    except FileNotFoundError as error:
        raise InputError(f"{place}: expected an image file, found no such file") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{place}: expected a PNG image, found another content") from error
    except InputError:
        raise
    except (OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{place}: expected a readable image, found: {error}") from error
    return frozen_array(values)


def _read_png(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    with Image.open(path, formats=["PNG"]) as image:
        found = (image.height, image.width)
        if found != shape:
            raise InputError(f"{path}: expected an image of shape {shape}, found {found}")
        white = _WHITE.get(image.mode)
        if white is not None:
            return np.asarray(image, dtype=np.float64) / white
        channels = np.asarray(image.convert("RGBA"))
    if (channels[..., 3] != 255).any():
        raise InputError(f"{path}: expected an opaque image, found transparent pixels")
    if (channels[..., :3] != channels[..., :1]).any():
        raise InputError(f"{path}: expected a grey image, found colours")
    return channels[..., 0] / 255.0


def _read_npy(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    flat = (int(np.prod(shape)),)
    if array.shape not in (shape, flat):
        raise InputError(
            f"{path}: expected an array of shape {shape} or {flat}, found {array.shape}"
        )
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"{path}: expected unsigned bytes or floating-point numbers, found {array.dtype}"
        )
    values = np.asarray(array, dtype=np.float64).reshape(shape)
    if array.dtype == np.uint8:
        return values / 255.0
    if not np.isfinite(values).all() or values.min() < 0.0 or values.max() > 1.0:
        raise InputError(
            f"{path}: expected numbers in [0, 1], found {values.min()} to {values.max()}"
        )
    return values
