"""Reading idx files, the format that MNIST and its relatives are published in.

An idx file is two zero bytes, a type byte (8: unsigned bytes), the number of axes, the length of
every axis as four bytes (big-endian), and the entries in row-major order; often all of it is
gzipped.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError

#: A header that claims more than this is corrupt: 60,000 images of 28 x 28 are 47 million bytes.
MAX_BYTES = 2_000_000_000

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, plain or (by its first bytes, not its name) gzipped.

    Args:
        path: the file.
        axes: how many axes it must have: 3 for images, 1 for labels.

    Returns:
        A read-only array of the shape that the file states.

    Raises:
        InputError: the file is missing, not idx of unsigned bytes with so many axes, truncated,
            longer than it says, or corrupt; the message names it.
    """
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if not zipped:
                return _read_stream(plain, path, axes)
            with gzip.GzipFile(fileobj=plain, mode="rb") as stream:
                return _read_stream(cast("IO[bytes]", stream), path, axes)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected an idx file, found no such file") from error
    except EOFError as error:
        raise InputError(f"{path}: expected a whole gzip file, found it truncated") from error
    except (OSError, zlib.error) as error:
        raise InputError(f"{path}: expected a readable idx file, found: {error}") from error


def _read_stream(stream: IO[bytes], path: Path, axes: int) -> NDArray[np.uint8]:
    magic = bytes((0, 0, _UNSIGNED_BYTE, axes))
    found = stream.read(4)
    if found != magic:
        raise InputError(
            f"{path}: expected an idx file of unsigned bytes with {axes} axes (magic "
            f"{magic.hex()}), found {found.hex() or 'nothing'}"
        )
    header = stream.read(4 * axes)
    if len(header) < 4 * axes:
        raise InputError(
            f"{path}: expected {4 * axes} more bytes of header, found {len(header)}: truncated"
        )
    shape = tuple(int(length) for length in np.frombuffer(header, dtype=">u4"))
    size = math.prod(shape)
    if size > MAX_BYTES:
        raise InputError(
            f"{path}: expected at most {MAX_BYTES} bytes of entries, found a claim of shape {shape}"
        )
    data = stream.read(size + 1)
    if len(data) != size:
        what = "more" if len(data) > size else f"{len(data)}: truncated"
        raise InputError(f"{path}: expected {size} entries for shape {shape}, found {what}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
