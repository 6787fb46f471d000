"""Guarded reading of safetensors files: names, types and shapes first, numbers later.

A safetensors file is eight bytes holding the length of the header (little-endian), the header (JSON
with dtype, shape and place in the data of each tensor, and text metadata under ``__metadata__``),
and the data (row-major, little-endian). The header is read and judged here, with limits, before the
``safetensors`` library gets the file, so that a file of any content ends in numbers or in an
:class:`~reluopt.errors.InputError` that names it.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from reluopt.errors import InputError

#: A header of a dense network takes a few kilobytes; more than this is not one of ours to read.
MAX_HEADER_BYTES = 10_000_000

#: Bytes per number of the types that can be read, all of them floating point.
FLOAT_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class TensorInfo:
    """Type and shape of one tensor, as its file's header states them."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file whose header has been read and found in order.

    Attributes:
        path: where it lies.
        tensors: type and shape of every tensor, by name.
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
                    f"{self.path}: tensor '{name}': expected one of the types "
                    f"{', '.join(FLOAT_BYTES)}, found {info.dtype}"
                )
        try:
            entries: list[tuple[str, dict[str, Any]]] = deserialize(  # type: ignore[no-untyped-call]
                self.path.read_bytes()
            )
        except (SafetensorError, OSError) as error:
            raise InputError(f"{self.path}: expected a safetensors file, found: {error}") from error
        return {name: _to_float64(entry) for name, entry in entries}


def open_tensor_file(path: str | os.PathLike[str]) -> TensorFile:
    """Read and check the header of a safetensors file; the numbers stay on disk.

    Raises:
        InputError: the file is missing, no regular file, truncated or not safetensors, or its
            header is larger than :data:`MAX_HEADER_BYTES` or contradicts the file's size.
    """
    place = Path(path)
    header, data_bytes = _read_header(place)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise InputError(f"{place}: __metadata__: expected an object of texts in the header")
    tensors = {}
    end = 0
    for name, entry in header.items():
        tensors[name], stop = _tensor_info(place, name, entry)
        end = max(end, stop)
    if end != data_bytes:
        what = "the file is truncated" if end > data_bytes else "bytes follow the last tensor"
        raise InputError(
            f"{place}: expected {end} bytes of tensor data, found {data_bytes}: {what}"
        )
    return TensorFile(place, tensors, metadata)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file and the number of bytes that follow it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a directory" if path.is_dir() else "no regular file"
            raise InputError(f"{path}: expected a safetensors file, found {kind}")
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
            left = size - _LENGTH_BYTES
            if left < 0:
                raise InputError(
                    f"{path}: expected a safetensors file, found only {size} bytes in it"
                )
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
            text = stream.read(length)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected a safetensors file, found no such file") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: expected a readable file, found: {error}") from error
    return _parse_header(path, text), left - length


def _parse_header(path: Path, text: bytes) -> dict[str, Any]:
    def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a name occurs twice")
        return result

    try:
        header = json.loads(text.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: expected a safetensors header in JSON, found: {error or 'deep nesting'}"
        ) from error
    if not isinstance(header, dict):
        raise InputError(f"{path}: expected a JSON object as safetensors header")
    return header


def _tensor_info(path: Path, name: str, entry: Any) -> tuple[TensorInfo, int]:
    """What the header says of one tensor, and where its data end."""
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, place = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if (
        not isinstance(dtype, str)
        or not _are_counts(shape)
        or not _are_counts(place)
        or len(place) != 2
    ):
        raise InputError(
            f"{path}: tensor '{name}': expected dtype, shape and data_offsets in the header, "
            f"found {str(entry)[:80]}"
        )
    start, stop = place
    if dtype in FLOAT_BYTES and stop - start != FLOAT_BYTES[dtype] * math.prod(shape):
        raise InputError(
            f"{path}: tensor '{name}': expected {FLOAT_BYTES[dtype] * math.prod(shape)} bytes for "
            f"{dtype} of shape {tuple(shape)}, found {stop - start}"
        )
    return TensorInfo(dtype, tuple(shape)), stop


def _are_counts(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _to_float64(entry: Mapping[str, Any]) -> NDArray[np.float64]:
    """Numbers of one tensor; BF16 is the upper half of a float32, which numpy lacks."""
    dtype, data, shape = entry["dtype"], entry["data"], entry["shape"]
    if dtype == "BF16":
        halves = np.frombuffer(data, dtype="<u2").astype("<u4")
        return (halves << np.uint32(16)).view("<f4").astype(np.float64).reshape(shape)
    kind = f"<f{FLOAT_BYTES[dtype]}"
    return np.frombuffer(data, dtype=kind).astype(np.float64).reshape(shape)
