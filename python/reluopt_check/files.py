"""Bytes of files to numbers, in bounded time and memory, by the standard library alone."""

import json
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from reluopt_check.exact import INFINITY, Vector

MOST_BYTES, MOST_HEADER, MOST_EMPTY = 1 << 26, 1 << 22, 1 << 20
KINDS = {float: {"F64": "d", "F32": "f"}, int: {"I8": "b", "U8": "B", "I32": "i", "I64": "q"}}


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
    """Name the place where something is refused; whatever else goes wrong is an error of files."""
    try:
        yield
    except (InputError, ProofError) as error:
        raise type(error)(f"{place}: {error}") from None
    except Exception as error:  # Inexact says that more digits are needed than EXACT has
        raise InputError(f"{place}: expected as docs/proof.md says, found {error!r:.200}") from None


class File(NamedTuple):
    """A safetensors file: its JSON fields, what its header says of tensors, and their bytes."""

    fields: dict[str, Any]
    tensors: dict[str, Any]
    data: bytes

    def take(self, name: str, *shape: int | None, kind: type = float) -> Any:
        """A tensor of some shape as nested lists of decimals, or of int; None is any length."""
        with within(f"tensor '{name}'"):
            about = self.tensors[name]
            (start, end), found, dtype = about["data_offsets"], about["shape"], about["dtype"]
            fits = all(n >= 0 and m in (None, n) for n, m in zip(found, shape, strict=True))
            fits = fits and dtype in KINDS[kind]
            need(fits, f"expected {kind.__name__} {shape}, not {[dtype, found]!s:.60}", InputError)
            values = struct.unpack(f"<{math.prod(found)}{KINDS[kind][dtype]}", self.data[start:end])
            need(all(map(math.isfinite, values)), "expected finite numbers", InputError)
            return nested([*map(Decimal, values)] if kind is float else values, *found)

    def pieces(self, name: str, count: int) -> Iterator[Vector]:
        """A long vector cut into so many, which end where another tensor says."""
        values, ends = self.take(name, None), self.take(f"{name}.ends", count, kind=int)
        return (values[a:b] for a, b in pairwise(accumulate([0, *ends], max)))

    def field(self, name: str, *kinds: type, among: Any = None) -> Any:
        """A field of the JSON object."""
        found = self.fields.get(name)
        fits = type(found) in kinds and (among is None or found in among)
        need(fits, f"field '{name}': expected {among or kinds}, found {found!r:.60}", InputError)
        return found

    def length(self, name: str, *kinds: type) -> Decimal:
        """A field that is a number >= 0 or, where that is a kind, null for one beyond all."""
        found = self.field(name, float, *kinds)
        need(0 <= (found or 0) < math.inf, f"field '{name}': expected a length", InputError)
        return INFINITY if found is None else Decimal(found)


def nested(values: Any, size: int, *sizes: int) -> Any:
    """Values in row-major order as rows of rows."""
    step = math.prod(sizes)
    rows = (values[i * step : i * step + step] for i in range(size))
    return [nested(row, *sizes) for row in rows] if sizes else values


def read(path: str) -> File:
    """Read a safetensors file with JSON metadata under ``reluopt``."""
    size = Path(path).stat().st_size  # 0 of pipes and devices, which need not end
    need(0 < size <= MOST_BYTES, f"expected up to {MOST_BYTES} bytes, found {size}", InputError)
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    need(start <= min(len(data), MOST_HEADER), f"no safetensors: a header of {start}", InputError)
    header = json.loads(data[8:start], parse_constant=int)  # int refuses NaN
    fields = dict(json.loads(header.pop("__metadata__")["reluopt"], parse_constant=int))
    begins, ends = zip(*sorted(about["data_offsets"] for about in header.values()), strict=True)
    cells = sum(math.prod(max(n, 1) for n in about["shape"][:4]) for about in header.values())
    fits = [*begins, len(data) - start] == [0, *ends] and cells <= len(data) + MOST_EMPTY
    need(fits, "expected each byte in one tensor, and few empty rows", InputError)
    return File(fields, header, data[start:])
