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
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.file_formats import HEAD_BYTES, recognise
from reluopt.files import MAX_FILE_BYTES, open_input

#: A header that claims more than this is corrupt: 60,000 images of 28 x 28 are 47 million bytes.
MAX_BYTES = MAX_FILE_BYTES

#: Entries for each byte of a gzipped file. MNIST has 5, blank images would have up to 1,000; what
#: claims more than this, and more than :data:`FREE_BYTES`, is made to fill the memory.
MAX_RATIO = 100
FREE_BYTES = 10_000_000

_UNSIGNED_BYTE = 0x08
_BLOCK = 1 << 20
_EXPECTED = "a readable idx file"


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
    with open_input(path, _EXPECTED) as (plain, size):
        head = plain.read(HEAD_BYTES)
        plain.seek(0)
        if not head.startswith(b"\x1f\x8b"):
            return _read_stream(plain, path, axes, MAX_BYTES)
        try:
            with gzip.GzipFile(fileobj=plain, mode="rb") as stream:
                limit = min(MAX_BYTES, max(MAX_RATIO * size, FREE_BYTES))
                return _read_stream(cast("BinaryIO", stream), path, axes, limit)
        except EOFError as error:
            raise InputError(f"{path}: expected a whole gzip file, found it truncated") from error
        except (OSError, zlib.error) as error:
            raise InputError(f"{path}: expected {_EXPECTED}, found: {error}") from error


def _read_stream(stream: BinaryIO, path: Path, axes: int, limit: int) -> NDArray[np.uint8]:
    """The array in a stream, of at most ``limit`` bytes."""
    magic = bytes((0, 0, _UNSIGNED_BYTE, axes))
    head = stream.read(HEAD_BYTES)
    if head[:4] != magic:
        known = recognise(head)
        found = known.name if known else head[:4].hex() or "nothing"
        raise InputError(
            f"{path}: expected an idx file of unsigned bytes with {axes} axes (magic "
            f"{magic.hex()}), found {found}"
        )
    header, data = head[4 : 4 + 4 * axes], bytearray(head[4 + 4 * axes :])
    if len(header) < 4 * axes:
        raise InputError(
            f"{path}: expected {4 * axes} more bytes of header, found {len(header)}: truncated"
        )
    shape = tuple(int(length) for length in np.frombuffer(header, dtype=">u4"))
    if math.prod(max(length, 1) for length in shape) > limit:
        raise InputError(
            f"{path}: expected at most {limit} bytes of entries, found a claim of shape {shape}"
        )
    size = math.prod(shape)
    while len(data) <= size and (block := stream.read(_BLOCK)):
        data += block
    if len(data) != size:
        what = "more" if len(data) > size else f"{len(data)}: truncated"
        raise InputError(f"{path}: expected {size} entries for shape {shape}, found {what}")
    entries = np.frombuffer(data, dtype=np.uint8).reshape(shape)
    entries.setflags(write=False)
    return entries
