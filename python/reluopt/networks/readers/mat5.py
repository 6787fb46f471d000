"""The arrays of numbers in a MATLAB file of version 5 to 7.

``scipy.io.loadmat`` crashes on some damaged files; this reads the part of the format that weights
need, with limits: real, full arrays of numbers, little-endian, packed or not.

Source: MAT-File Format (Level 5),
https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.numerics.arrays import FloatArray

FREE_BYTES = 2**24
"""Bytes that any file may unpack to, beyond three times its own."""

MAX_AXES = 8

_HEADER = 128
"""Bytes before the first variable; the last four hold version and order of bytes."""

_MATRIX, _PACKED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4"}
_NUMBERS |= {7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
"""Types of numbers by the codes of data elements."""

_FIRST_CLASS, _LAST_CLASS = 6, 15
"""Classes of arrays of numbers: double to uint64; others are texts, cells, structures, ..."""

_COMPLEX, _LOGICAL = 0x08, 0x02


def read_arrays(data: bytes) -> dict[str, FloatArray]:
    """Every variable of a file, as MATLAB indexes it, in float64.

    Raises:
        InputError: the file is damaged or of another version, or a variable holds no real numbers.
    """
    if len(data) < _HEADER or data[_HEADER - 4 : _HEADER] != b"\0\1IM":
        raise InputError("expected a MATLAB file of version 5 to 7; save('net.mat', '-v7') is one")
    left = 3 * len(data) + FREE_BYTES
    found: dict[str, FloatArray] = {}
    try:
        for kind, content in _elements(data, _HEADER):
            if kind == _PACKED:
                unpacked = zlib.decompressobj().decompress(content, left + 1)
                kind, content = next(_elements(unpacked, 0))
            if kind != _MATRIX:
                raise InputError(f"expected variables in a MATLAB file, found type {kind}")
            name, array = _variable(content, left)
            left -= max(array.nbytes, len(content))
            if name in found or left < 0:
                raise InputError(f"variable '{shown(name)}': expected one of its name and size")
            found[name] = array
    except (struct.error, zlib.error, UnicodeDecodeError, StopIteration) as error:
        raise InputError("expected a MATLAB file, found a damaged one") from error
    return found


def _elements(data: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of the data elements from a place on."""
    view = memoryview(data)
    while place < len(data):
        kind, size = struct.unpack_from("<II", data, place)
        if kind >> 16:  # up to four bytes inside of the tag
            kind, size = kind & 0xFFFF, kind >> 16
            start, behind = place + 4, place + 8
        else:
            start = place + 8
            behind = start + size + (0 if kind == _PACKED else -size % 8)
        if start + size > min(len(data), behind):
            raise struct.error("an element is longer than its file")
        yield kind, bytes(view[start : start + size])
        place = behind


def _variable(content: bytes, most: int) -> tuple[str, FloatArray]:
    """Name and numbers of an array."""
    parts = list(itertools.islice(_elements(content, 0), 4))
    if len(parts) < 4:
        raise struct.error("a variable lacks parts")
    (_, flags), (kind, sides), (_, label), (stored, numbers) = parts
    name = label.decode()
    kind_of_array, marks = struct.unpack_from("<BB", flags)
    if not _FIRST_CLASS <= kind_of_array <= _LAST_CLASS or marks & (_COMPLEX | _LOGICAL):
        raise InputError(f"variable '{shown(name)}': expected an array of real numbers")
    if _NUMBERS.get(kind) != "<i4" or not 8 <= len(sides) <= 4 * MAX_AXES:
        raise InputError(f"variable '{shown(name)}': expected two to {MAX_AXES} axes")
    shape = struct.unpack(f"<{len(sides) // 4}i", sides)
    type_of_numbers: Any = np.dtype(_NUMBERS.get(stored, "V1"))
    if (
        min(shape) < 1
        or 8 * math.prod(shape) > most
        or type_of_numbers.kind == "V"
        or len(numbers) != math.prod(shape) * type_of_numbers.itemsize
    ):
        raise InputError(
            f"variable '{shown(name)}': expected the numbers of shape {shape}, found "
            f"{len(numbers)} bytes"
        )
    array = np.frombuffer(numbers, type_of_numbers).astype(np.float64)
    return name, array.reshape(shape, order="F")
