"""Bytes of files to numbers, in bounded time and memory, by the standard library alone."""

from __future__ import annotations

import json
import math
import os
import stat
import struct
from typing import Any, NamedTuple

MOST_BYTES, MOST_HEADER = 1 << 26, 1 << 22
WHOLE = ("splits", "refined", "kinds", "ends", "term_at", "term_form", "signs", "cuts", "points")
KINDS = {"F64": "d", "F32": "f", "I8": "b", "U8": "B", "I32": "i", "I64": "q"}


class InputError(Exception):
    """A file or an option that is not what it should be: exit code 2."""


class ProofError(Exception):
    """A proof that does not hold: exit code 1."""


class Tensor(NamedTuple):
    """Finite numbers in row-major order."""

    shape: tuple[int, ...]
    values: tuple[Any, ...]

    def rows(self) -> list[tuple[Any, ...]]:
        """What stands at each place of the first axis."""
        return pieces(self.values, math.prod(self.shape[1:])) or [()] * self.shape[0]


def pieces(values: Any, size: int) -> list[Any]:
    """Consecutive pieces of a size."""
    return [values[i : i + size] for i in range(0, len(values), size or 1)]


class File(NamedTuple):
    """A safetensors file: its JSON fields, and its tensors by name."""

    fields: dict[str, Any]
    tensors: dict[str, Tensor]

    def take(self, name: str, *shape: int | None) -> Tensor:
        """A tensor of some shape; None is any length."""
        found = self.tensors.get(name, Tensor((), ()))
        pairs = zip(shape, found.shape, strict=False)
        if len(shape) != len(found.shape) or any(a not in (None, b) for a, b in pairs):
            raise InputError(f"tensor '{name}': expected shape {shape}, found {found.shape}")
        if name.endswith(WHOLE) and not all(type(value) is int for value in found.values):
            raise InputError(f"tensor '{name}': expected whole numbers, found others")
        return found

    def field(self, name: str, *kinds: type, among: Any = None) -> Any:
        """A field of the JSON object."""
        found = self.fields.get(name)
        if type(found) not in kinds or (among is not None and found not in among):
            wanted = kinds if among is None else among
            raise InputError(f"field '{name}': expected {wanted}, found {repr(found)[:60]}")
        return found


def read(path: str) -> File:
    """Read a safetensors file with JSON metadata under ``reluopt``."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                raise ValueError(f"no regular file of at most {MOST_BYTES} bytes")
            data = stream.read(MOST_BYTES)
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > min(len(data) - 8, MOST_HEADER):
            raise ValueError("a header that is longer than the file, or than 4 MiB")
        header = json.loads(data[8 : 8 + length], parse_constant=int)  # int refuses NaN
        fields = json.loads(header.pop("__metadata__")["reluopt"], parse_constant=int)
        return File(dict(fields), _tensors(header, data[8 + length :]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: expected a safetensors file of reluopt, found {text}") from None


def _tensors(header: dict[str, Any], data: bytes) -> dict[str, Tensor]:
    tensors, left = {}, len(data)
    for name, about in header.items():
        (start, end), shape, kind = about["data_offsets"], about["shape"], KINDS[about["dtype"]]
        numbers = [start, end, *shape]
        if any(type(n) is not int or not 0 <= n <= MOST_BYTES for n in numbers) or len(shape) > 4:
            raise ValueError(f"tensor '{name[:60]}' of such a shape or place")
        count = math.prod(shape)
        left -= end - start  # tensors that share bytes would take more memory than the file
        if end - start != count * struct.calcsize(kind) or end > len(data) or left < 0:
            raise ValueError(f"tensor '{name[:60]}' outside of the data")
        values = struct.unpack(f"<{count}{kind}", data[start:end])
        if not all(map(math.isfinite, values)):
            raise ValueError(f"NaN or infinity in tensor '{name[:60]}'")
        tensors[name] = Tensor(tuple(shape), values)
    return tensors
