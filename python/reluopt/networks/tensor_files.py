"""Guarded reading of safetensors files: names, types and shapes first, numbers later.

A safetensors file is eight bytes holding the length of the header (little-endian), the header (JSON
with dtype, shape and place in the data of each tensor, and text metadata under ``__metadata__``),
and the data (row-major, little-endian). The header is read and judged here, with limits, before a
single number is read, so that a file of any content ends in numbers or in an
:class:`~reluopt.errors.InputError` that names it, and takes no more memory than its size allows:
the numbers themselves (in ``float64``), one tensor as it is stored, and a header of a megabyte.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, shown
from reluopt.file_formats import HEAD_BYTES, recognise
from reluopt.files import open_input, parse_json

#: A header of a dense network takes a few kilobytes; more than this is not one of ours to read.
#: As Python objects it can take fifty times its length.
MAX_HEADER_BYTES = 1_000_000

#: Bytes per number of the types that can be read, all of them floating point.
FLOAT_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}

_STORED = {
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    "BF16": "<u2",  # the upper half of a float32, which numpy lacks
}
"""The types that numpy can read, by the names of safetensors."""

LENGTH_BYTES = 8
"""How many bytes before the header tell its length."""

_FIELDS = dict.fromkeys(("dtype", "shape", "data_offsets")).keys()
"""What a header says of each tensor, in this order here."""

_MAX_AXES, _MAX_COUNT = 16, 2**48
"""Most axes of a tensor and the largest length or offset; more is no file that anybody has."""

_EXPECTED = "a safetensors file"


@dataclass(frozen=True)
class TensorInfo:
    """Type, shape and place of one tensor, as its file's header states them.

    Attributes:
        dtype: name of the type, such as ``F32``.
        shape: its shape.
        start: byte of the file at which its numbers begin.
        size: bytes that they take.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int = 0
    size: int = 0


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file whose header has been read and found in order.

    Attributes:
        path: where it lies.
        tensors: type, shape and place of every tensor, by name.
        metadata: the text metadata of the file, empty if it has none.
    """

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    def read(self) -> dict[str, NDArray[np.float64]]:
        """Read every tensor into ``float64`` arrays of its shape.

        Raises:
            InputError: a tensor is not floating point, or the data cannot be read.
        """
        for name, info in self.tensors.items():
            if info.dtype not in FLOAT_BYTES:
                raise InputError(
                    f"{self.path}: tensor '{shown(name)}': expected one of the types "
                    f"{', '.join(FLOAT_BYTES)}, found {shown(info.dtype)}"
                )
        return {name: _to_float64(array) for name, array in self._stored()}

    def read_stored(self) -> dict[str, NDArray[Any]]:
        """Read every tensor into an array of its own type and shape.

        Raises:
            InputError: a tensor has a type that numpy lacks, or the data cannot be read.
        """
        for name, info in self.tensors.items():
            if info.dtype not in _STORED or info.dtype == "BF16":
                raise InputError(
                    f"{self.path}: tensor '{shown(name)}': expected a type that numpy knows, found "
                    f"{shown(info.dtype)}"
                )
        return {name: array for name, (_, array) in self._stored()}

    def _stored(self) -> Iterator[tuple[str, tuple[str, NDArray[Any]]]]:
        """Name, type and numbers of every tensor, one at a time."""
        with open_input(self.path, _EXPECTED) as (stream, _):
            for name, info in self.tensors.items():
                stream.seek(info.start)
                data = stream.read(info.size)
                if len(data) != info.size:
                    raise InputError(
                        f"{self.path}: tensor '{shown(name)}': expected {info.size} bytes, found "
                        f"{len(data)}: the file has changed while it was read"
                    )
                array = np.frombuffer(data, dtype=_STORED[info.dtype]).reshape(info.shape)
                yield name, (info.dtype, array)


def open_tensor_file(path: str | os.PathLike[str]) -> TensorFile:
    """Read and check the header of a safetensors file; the numbers stay on disk.

    Raises:
        InputError: the file is missing, no regular file, truncated or not safetensors (the message
            says what it is, if it is of a known format), or its header is larger than
            :data:`MAX_HEADER_BYTES` or contradicts the file's size.
    """
    place = Path(path)
    with open_input(place, _EXPECTED) as (stream, size):
        text = _read_header(stream, size, place)
    try:
        header = parse_json(text)
    except ValueError as error:
        raise InputError(
            f"{place}: expected a safetensors header in JSON, found: {error}"
        ) from error
    if not isinstance(header, dict):
        raise InputError(f"{place}: expected a JSON object as safetensors header")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise InputError(f"{place}: __metadata__: expected an object of texts in the header")
    begin = LENGTH_BYTES + len(text)
    tensors = {name: _tensor_info(place, name, entry, begin) for name, entry in header.items()}
    _check_places(place, tensors, begin, size)
    return TensorFile(place, tensors, metadata)


def _read_header(stream: BinaryIO, size: int, path: Path) -> bytes:
    """The text of the header."""
    head = stream.read(HEAD_BYTES)
    left = size - LENGTH_BYTES
    if left < 0:
        raise InputError(f"{path}: expected {_EXPECTED}, found only {size} bytes in it")
    length = int.from_bytes(head[:LENGTH_BYTES], "little")
    known = recognise(head) if length > min(MAX_HEADER_BYTES, left) else None
    if known is not None:
        raise InputError(f"{path}: expected {_EXPECTED}, found {known.name}; {known.advice}")
    if length > MAX_HEADER_BYTES:
        raise InputError(
            f"{path}: expected a safetensors header of at most {MAX_HEADER_BYTES} bytes, "
            f"found a claim of {length} bytes: it is damaged or not safetensors"
        )
    if length > left:
        raise InputError(
            f"{path}: expected a safetensors header of {length} bytes, found {left} bytes "
            "left in the file: it is truncated or not safetensors"
        )
    stream.seek(LENGTH_BYTES)
    return stream.read(length)


def _tensor_info(path: Path, name: str, entry: Any, begin: int) -> TensorInfo:
    """What the header says of one tensor."""
    fields = entry if isinstance(entry, dict) and entry.keys() == _FIELDS else {}
    dtype, shape, place = (fields.get(key) for key in _FIELDS)
    if (
        not isinstance(dtype, str)
        or not _are_counts(shape)
        or not _are_counts(place)
        or len(place) != 2
        or place[0] > place[1]
    ):
        raise InputError(
            f"{path}: tensor '{shown(name)}': expected dtype, shape and data_offsets in the "
            f"header, found {shown(entry)}"
        )
    size = place[1] - place[0]
    if dtype in _STORED:
        wanted = np.dtype(_STORED[dtype]).itemsize * math.prod(shape)
        if size != wanted:
            raise InputError(
                f"{path}: tensor '{shown(name)}': expected {wanted} bytes for {dtype} of shape "
                f"{tuple(shape)}, found {size}"
            )
    return TensorInfo(dtype, tuple(shape), begin + place[0], size)


def _check_places(path: Path, tensors: Mapping[str, TensorInfo], begin: int, size: int) -> None:
    """Tensors lie one behind the other and fill the file."""
    end = max((info.start + info.size for info in tensors.values()), default=begin)
    if end != size:
        what = "the file is truncated" if end > size else "bytes follow the last tensor"
        raise InputError(
            f"{path}: expected {end - begin} bytes of tensor data, found {size - begin}: {what}"
        )
    reached = begin
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].size)):
        if info.start != reached:
            what = "overlaps another one" if info.start < reached else "leaves a gap before it"
            raise InputError(
                f"{path}: expected {_EXPECTED}, found that tensor '{shown(name)}' {what}"
            )
        reached += info.size


def _are_counts(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_AXES
        and all(type(item) is int and 0 <= item < _MAX_COUNT for item in value)
    )


def _to_float64(stored: tuple[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Numbers of one tensor."""
    dtype, array = stored
    if dtype == "BF16":
        halves = array.astype("<u4")
        array = (halves << np.uint32(16)).view("<f4")
    with np.errstate(invalid="ignore"):  # of NaN; whoever needs finite numbers looks for it
        return array.astype(np.float64)
