"""Opening files that may hold anything, and writing files so that no crash leaves half of one."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import secrets
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from reluopt.errors import InputError, shown

#: Largest file that is read. The largest in sight is MNIST's training set: 47 million bytes.
MAX_FILE_BYTES = 2_000_000_000

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe, no regular file"),
    (stat.S_ISCHR, "a device, no regular file"),
    (stat.S_ISBLK, "a device, no regular file"),
)


@contextmanager
def open_input(
    path: str | os.PathLike[str], expected: str, largest: int = MAX_FILE_BYTES
) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file to read, and refuse everything else that a path can lead to.

    A named pipe or a device would hang or never end, and a file beyond ``largest`` would fill the
    memory. Errors of the system inside the block become errors of ours as well.

    Args:
        path: the file.
        expected: what it should be, for the message: "a safetensors file".
        largest: most bytes that it may have.

    Yields:
        The stream, and the number of bytes in the file.

    Raises:
        InputError: there is no such file, it is not regular, too large, or cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{path}: expected {expected}, found {_kind(status.st_mode)}")
            if status.st_size > largest:
                raise InputError(
                    f"{path}: expected {expected} of at most {largest} bytes, found "
                    f"{status.st_size}"
                )
            yield stream, status.st_size
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected {expected}, found no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: expected {expected}, found a directory") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: expected {expected}, found: {reason}") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: expected {expected}, found: {shown(error)}") from error


def _kind(mode: int) -> str:
    return next((words for test, words in _KINDS if test(mode)), "no regular file")


def unpacked(data: bytes, path: str | os.PathLike[str], expected: str, largest: int) -> bytes:
    """The content of a gzip file.

    Args:
        data: its bytes.
        path: where they are from.
        expected: what they should be, for the message.
        largest: most bytes that it may hold.

    Raises:
        InputError: the file is damaged, or holds more.
    """
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            content = stream.read(largest + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: expected {expected}, found a damaged gzip file") from error
    if len(content) > largest:
        raise InputError(f"{path}: expected at most {largest} bytes unpacked, found more")
    return content


def parse_json(text: str | bytes) -> Any:
    """Read strict JSON: finite numbers only, no name twice in an object, no halves of characters.

    Raises:
        ValueError: the text is anything else, or nests too deeply; the message is one line.
    """

    def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a name occurs twice")
        return result

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number of JSON")

    def finite(number: str) -> float:
        value = float(number)
        if math.isinf(value):
            raise ValueError(f"{shown(number)} is too large a number")
        return value

    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        value = json.loads(
            decoded, object_pairs_hook=unique, parse_constant=refuse, parse_float=finite
        )
        if "\\ud" in decoded.lower():  # \ud83d\ude00 is a character, \ud83d alone is half of one
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except RecursionError:
        raise ValueError("deep nesting") from None


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary neighbour of ``path`` that takes its place when the block ends well.

    Missing folders are made. A process that is killed leaves the old file or the new one.

    Args:
        path: the file to write.
        durable: let the data reach the disk before the old file is given up, so that a power
            failure leaves one of the two as well. It takes up to a tenth of a second.

    Raises:
        OSError: the place cannot be written; ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` to ``path`` through :func:`atomic_path`."""
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def read_regular_file(path: Path, what: str) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        what: what it should be, for messages.

    Raises:
        InputError: see :func:`open_input`.
    """
    with open_input(path, what) as (stream, _):
        return stream.read()
