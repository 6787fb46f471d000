"""Inputs from files: one picture, one array, or a table with a row for each input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, shown
from reluopt.images.image_files import in_pixels, load_image_file
from reluopt.images.tables import Table, read_table
from reluopt.numerics.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a file holds.

    Attributes:
        values: shape ``(n, n_0)``.
        labels: one for each, or None if the file tells none.
        table: whether it is a table, whose rows have numbers, or a single input.
    """

    values: FloatArray
    labels: NDArray[np.int64] | None
    table: bool


def load_inputs(path: Path, shape: tuple[int, ...], pixels: bool) -> Inputs:
    """Read the inputs of a file.

    Args:
        path: ``.png``, one picture (:func:`~reluopt.images.image_files.load_image_file`); ``.npy``,
            an array of the input shape, flattened or not, or a row of it for each input; ``.csv``,
            a row for each input (:mod:`~reluopt.images.tables`).
        shape: of one input of the network.
        pixels: whether inputs are pixels in [0, 1], and bytes their 255ths; otherwise numbers are
            taken as they are.

    Raises:
        InputError: the file is not what it should be; the message names it.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: expected a file ending in {', '.join(READERS)}, found another ending"
        )
    return reader(path, shape, pixels)


def _picture(path: Path, shape: tuple[int, ...], pixels: bool) -> Inputs:
    if not pixels:
        raise InputError(
            f"{path}: expected a .npy or .csv file for a network with a box of its own, found a "
            "PNG, whose pixels are in [0, 1]"
        )
    return Inputs(load_image_file(path, shape).reshape(1, -1), None, False)


def _rows(path: Path, shape: tuple[int, ...], pixels: bool) -> Inputs:
    found = read_table(path, "inputs")
    size = math.prod(shape)
    single = found.values.shape in ((size,), shape) and path.suffix.lower() != ".csv"
    if not single and found.values.shape[1:] not in ((size,), shape):
        raise InputError(
            f"{path}: expected rows of {size} numbers, one for each input of the network, found "
            f"shape {shown(found.values.shape)}"
        )
    return _inputs(found, path, size, pixels, not single)


def _inputs(found: Table, path: Path, size: int, pixels: bool, table: bool) -> Inputs:
    values = found.values.reshape(-1, size)
    if not len(values):
        raise InputError(f"{path}: expected at least one row, found none")
    numbers = in_pixels(values, path) if pixels else values.astype(np.float64)
    return Inputs(numbers, found.labels, table)


READERS: Mapping[str, Callable[[Path, tuple[int, ...], bool], Inputs]] = {
    ".png": _picture,
    ".npy": _rows,
    ".csv": _rows,
}
"""By the endings of the files."""
