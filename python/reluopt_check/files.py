"""Bytes of files to numbers, in bounded time and memory, by the standard library alone."""

from __future__ import annotations

import json
import math
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

MOST_BYTES, MOST_HEADER, MOST_EMPTY = 1 << 26, 1 << 22, 1 << 24
KINDS = {"F64": "d", "F32": "f", "I8": "b", "U8": "B", "I32": "i", "I64": "q"}


class InputError(Exception):
    """A file or an option that is not what it should be: exit code 2."""

    word, code = "error", 2


class ProofError(Exception):
    """A proof that does not hold: exit code 1."""

    word, code = "refused", 1


def need(fine: object, what: str, kind: type[Exception] = ProofError) -> None:
    """Refuse what is not fine."""
    if not fine:
        raise kind(what)


@contextmanager
def within(place: str) -> Iterator[None]:
    """Name the place where something is refused."""
    try:
        yield
    except (InputError, ProofError) as error:
        raise type(error)(f"{place}: {error}") from None


class File(NamedTuple):
    """A safetensors file: its JSON fields, and shape and values of its tensors by name."""

    fields: dict[str, Any]
    tensors: dict[str, tuple[tuple[int, ...], tuple[Any, ...]]]

    def take(self, name: str, *shape: int | None, whole: bool = False) -> Any:
        """A tensor of some shape as nested sequences of numbers; None is any length."""
        found, values = self.tensors.get(name, ((), ()))
        fits = len(shape) == len(found) and all(n in (None, found[i]) for i, n in enumerate(shape))
        need(fits, f"tensor '{name}': expected shape {shape}, found {found}", InputError)
        fits = not whole or all(type(value) is int for value in values)
        need(fits, f"tensor '{name}': expected whole numbers, found others", InputError)
        return nested(values, *found)

    def field(self, name: str, *kinds: type, among: Any = None) -> Any:
        """A field of the JSON object."""
        found = self.fields.get(name)
        fits = type(found) in kinds and (among is None or found in among)
        wanted = f"expected {kinds if among is None else among}, found {repr(found)[:60]}"
        need(fits, f"field '{name}': {wanted}", InputError)
        return found


def nested(values: Any, size: int, *sizes: int) -> Any:
    """Values in row-major order as rows of rows."""
    step = math.prod(sizes)
    rows = (values[i * step : i * step + step] for i in range(size))
    return [nested(row, *sizes) for row in rows] if sizes else values


def read(path: str) -> File:
    """Read a safetensors file with JSON metadata under ``reluopt``."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            fits = stat.S_ISREG(status.st_mode) and status.st_size <= MOST_BYTES
            need(fits, f"no regular file of at most {MOST_BYTES} bytes", ValueError)
            data = stream.read(MOST_BYTES)
        length = int.from_bytes(data[:8], "little")
        fits = length <= min(len(data) - 8, MOST_HEADER)
        need(fits, "a header that is longer than the file, or than 4 MiB", ValueError)
        header = json.loads(data[8 : 8 + length], parse_constant=int)  # int refuses NaN
        fields = json.loads(header.pop("__metadata__")["reluopt"], parse_constant=int)
        return File(dict(fields), _tensors(header, data[8 + length :]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: expected a safetensors file of reluopt, found {text}") from None


def _tensors(header: dict[str, Any], data: bytes) -> dict[str, Any]:
    tensors, left = {}, len(data) + MOST_EMPTY
    for name, about in header.items():
        (start, end), shape, kind = about["data_offsets"], about["shape"], KINDS[about["dtype"]]
        fits = all(type(n) is int and 0 <= n <= MOST_BYTES for n in (start, end, *shape))
        need(fits and 0 < len(shape) < 5, f"tensor '{name[:60]}' of such a shape", ValueError)
        left -= max(end - start, math.prod(max(n, 1) for n in shape))  # bytes may not be shared
        count = math.prod(shape)
        fits = end - start == count * struct.calcsize(kind) and end <= len(data) and left >= 0
        need(fits, f"tensor '{name[:60]}' outside of the data", ValueError)
        values = struct.unpack(f"<{count}{kind}", data[start:end])
        fits = all(map(math.isfinite, values))
        need(fits, f"NaN or infinity in tensor '{name[:60]}'", ValueError)
        tensors[name] = tuple(shape), values
    return tensors
