"""Zip files whose members lie in them as they are, which are read in place."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reluopt.errors import InputError, shown

MAX_MEMBERS = 10_000
"""More members than this are no file of a network that can be answered for."""

_LOCAL_HEADER = 30


@dataclass(frozen=True)
class Member:
    """Where a member of an archive lies: its first byte in the file, and its bytes."""

    start: int
    size: int


def stored_members(stream: BinaryIO, size: int, path: Path, expected: str) -> Mapping[str, Member]:
    """Members of an archive by name, none of them packed: what is claimed is no more than there is.

    Checksums are those of damage on the way, not of lies, and are checked as well.

    Raises:
        InputError: the archive is damaged, or has packed members, two of one name, or too many.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if any(each.compress_type != zipfile.ZIP_STORED for each in members):
                raise InputError(f"{path}: expected {expected} without packed members, found some")
            if len(members) > MAX_MEMBERS or sum(each.file_size for each in members) > size:
                raise zipfile.BadZipFile("more members or bytes than fit")
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        found = shown(error)
        raise InputError(f"{path}: expected {expected}, found a damaged one: {found}") from error
    names = {each.filename for each in members}
    if damaged is not None or len(names) != len(members):
        raise InputError(f"{path}: expected {expected}, found a damaged one")
    found_at = {}
    for each in members:
        stream.seek(each.header_offset)
        header = stream.read(_LOCAL_HEADER)
        lengths = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        start = each.header_offset + _LOCAL_HEADER + sum(lengths)
        found_at[each.filename] = Member(start, each.file_size)
    return found_at
