"""Reading regular files, and writing so that no reader, and no crash, ever sees half of one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reluopt.errors import InputError


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
    """The bytes of a regular file; a pipe or a device would never end.

    Args:
        path: the file.
        what: what it should be, for messages.

    Raises:
        InputError: there is no such file, it is no regular one, or it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "no regular file"
            raise InputError(f"{path}: expected {what}, found {kind}")
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: expected {what}, found no such file") from None
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no memory for it"
        raise InputError(f"{path}: expected {what}, found: {reason}") from None
