"""Tables of numbers: inputs, a row each, from CSV and NPY files.

A CSV file holds numbers between commas, a row for each input. If its first row holds names and no
number, one of them may be ``label``; that column holds the true labels, whole numbers from 0 on.
"""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from reluopt.errors import InputError, shown
from reluopt.file_formats import HEAD_BYTES, recognise
from reluopt.files import open_input

#: Largest file of a table.
MAX_TABLE_BYTES = 1_000_000_000

LABEL = "label"

_NPY_HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


@dataclass(frozen=True, eq=False)
class Table:
    """What a file holds.

    Attributes:
        values: the numbers, finite; of a CSV file shape ``(rows, columns)``.
        labels: one for each row, or None if the file tells none.
    """

    values: NDArray[Any]
    labels: NDArray[np.int64] | None = None


def read_table(path: Path, what: str, largest: int = MAX_TABLE_BYTES) -> Table:
    """Read the numbers of a file.

    Args:
        path: a file ending in ``.csv`` or ``.npy``.
        what: what it should hold, for messages.
        largest: bytes of the file at most.

    Raises:
        InputError: it cannot be read or holds anything but finite numbers; the message names it.
    """
    with open_input(path, f"readable {what}", largest) as (stream, size):
        data = stream.read(size)
    reader: Callable[[bytes, Path, str], Table] = _READERS[path.suffix.lower()]
    table = reader(data, path, what)
    if not np.isfinite(table.values).all():
        raise InputError(f"{path}: expected finite numbers, found NaN or infinity")
    return table


def _read_csv(data: bytes, path: Path, what: str) -> Table:
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"))) if row]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: expected readable {what}, found: {shown(error)}") from error
    names = rows.pop(0) if rows and not any(map(_is_number, rows[0])) else []
    widths = {len(row) for row in rows} | ({len(names)} if names else set())
    if len(widths) != 1 or not rows:
        found = " or ".join(map(str, sorted(widths))) if rows else "no row"
        raise InputError(f"{path}: expected rows of equally many numbers, found {found}")
    first = 2 if names else 1
    values = np.array([_numbers(row, path, line) for line, row in enumerate(rows, first)])
    places = [i for i, name in enumerate(names) if name.strip().lower() == LABEL]
    if not places:
        return Table(values)
    labels = values[:, places[0]]
    fit = (labels == np.trunc(labels)) & (labels >= 0) & (labels < 2**31)
    if len(places) > 1 or not fit.all():
        raise InputError(f"{path}: expected one column of labels, whole numbers from 0 on")
    return Table(np.delete(values, places[0], axis=1), labels.astype(np.int64))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(row: list[str], path: Path, line: int) -> list[float]:
    for place, text in enumerate(row):
        if not _is_number(text):
            raise InputError(
                f"{path}: row {line}, column {place + 1}: expected a number, found "
                f"{shown(repr(text))}"
            )
    return [float(text) for text in row]


def _read_npy(data: bytes, path: Path, what: str) -> Table:
    return Table(npy_array(data, path, what))


def npy_array(data: bytes, path: Path, what: str) -> NDArray[Any]:
    """The array that an NPY file holds: unsigned bytes as they are, all else in float64.

    Raises:
        InputError: it holds something else, or not all of it.
    """
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            read_header = _NPY_HEADERS.get(npy_format.read_magic(stream))
            if read_header is None:
                raise ValueError("a version other than 1 and 2")
            found, by_columns, dtype = read_header(stream)
    except Exception as error:  # whatever numpy raises for a damaged header
        known = None if data.startswith(npy_format.MAGIC_PREFIX) else recognise(data[:HEAD_BYTES])
        words = known.name if known else shown(error)
        raise InputError(f"{path}: expected readable {what}, found: {words}") from error
    if dtype.hasobject:
        raise InputError(f"{path}: expected readable {what}, found: a pickle of Python objects")
    if dtype != np.uint8 and dtype.kind != "f":
        raise InputError(
            f"{path}: expected unsigned bytes or floating-point numbers, found {shown(dtype)}"
        )
    numbers = data[stream.tell() :]
    count = math.prod(found)
    if len(numbers) != count * dtype.itemsize:
        raise InputError(
            f"{path}: expected readable {what}, found: {len(numbers)} bytes for {count} numbers of "
            f"type {dtype}"
        )
    array = np.frombuffer(numbers, dtype=dtype).reshape(found, order="F" if by_columns else "C")
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity are refused afterwards
        return array if dtype == np.uint8 else array.astype(np.float64)


_READERS: Mapping[str, Callable[[bytes, Path, str], Table]] = {
    ".csv": _read_csv,
    ".npy": _read_npy,
}
