"""Where the datasets of an HDF5 file lie, as h5py writes it by default (and Keras by h5py).

The library that h5py calls is not made for files that anybody may have written. This reads the part
of the format that such files use, with limits: superblock version 0, groups with symbol tables,
datasets in one piece of whole or floating-point numbers, little-endian.

Source: HDF5 File Format Specification 3.0, https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from reluopt.errors import InputError
from reluopt.networks.tensor_files import TensorInfo

MAX_OBJECTS = 10_000
"""Groups, datasets and nodes of trees of a file; more is no network that can be answered for."""

MAX_AXES = 8

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _FILTERS = 0x01, 0x03, 0x07, 0x08, 0x0B
_CONTINUATION, _SYMBOL_TABLE = 0x10, 0x11
_FIXED, _FLOAT = 0, 1
_ENTRY = 40
"""Bytes of an entry of a symbol table."""

_FLOATS = {
    (2, 0, 16, 10, 5, 0, 10, 15): "F16",
    (4, 0, 32, 23, 8, 0, 23, 127): "F32",
    (8, 0, 64, 52, 11, 0, 52, 1023): "F64",
}
"""Size, bit offset, precision, exponent's place and size, mantissa's, and bias, as IEEE 754 has
them."""


def datasets(data: bytes) -> dict[str, TensorInfo]:
    """Type, shape and place of every dataset of numbers, by its path such as ``a/b``.

    Raises:
        InputError: the file is damaged or has parts that are not read.
    """
    try:
        return dict(_File(data).datasets())
    except (struct.error, OverflowError, UnicodeDecodeError) as error:
        raise InputError("expected an HDF5 file as h5py writes it, found a damaged one") from error


class _File:
    """The bytes of a file, and how many of its objects have been seen."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._objects = 0
        sizes = self._unpack("<8sB4xBB", 0)
        if sizes != (_SIGNATURE, 0, 8, 8) or self._unpack("<Q", 24) != (0,):
            raise InputError("expected an HDF5 file of version 0, found another file or version")

    def datasets(self) -> Iterator[tuple[str, TensorInfo]]:
        """All datasets of numbers."""
        left = [("", self._unpack("<Q", 64)[0])]
        while left:
            name, header = left.pop()
            messages = dict(self._messages(header))
            if _SYMBOL_TABLE in messages:
                tree, heap = self._unpack("<QQ", messages[_SYMBOL_TABLE])
                below = ((f"{name}/{key}".lstrip("/"), at) for key, at in self._links(tree, heap))
                left += below
            elif _LAYOUT in messages:
                info = self._dataset(name, messages)
                if info is not None:
                    yield name, info

    def _unpack(self, layout: str, start: int) -> tuple[Any, ...]:
        return struct.unpack_from(layout, self._data, start)

    def _count(self, more: int = 1) -> None:
        """More objects have been seen; a circle has no end."""
        self._objects += more
        if self._objects > MAX_OBJECTS:
            raise InputError(f"expected at most {MAX_OBJECTS} objects in an HDF5 file, found more")

    def _messages(self, header: int) -> Iterator[tuple[int, int]]:
        """Kind and place of the messages of an object header."""
        self._count()
        version, count, length = self._unpack("<BxH4xI", header)
        if version != 1:
            raise InputError(f"expected object headers of version 1 in HDF5, found {version}")
        blocks = [(header + 16, length)]
        while blocks and count > 0:
            start, length = blocks.pop(0)
            end = start + length
            while start + 8 <= end and count > 0:
                self._count()
                kind, size = self._unpack("<HH", start)
                if kind == _CONTINUATION:
                    blocks.append(self._unpack("<QQ", start + 8))
                else:
                    yield kind, start + 8
                start += 8 + size
                count -= 1

    def _links(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """Names and object headers of the members of a group."""
        signature, size, segment = self._unpack("<4s4xQ8xQ", heap)
        if signature != b"HEAP":
            raise InputError("expected the names of a group in HDF5, found none")
        nodes = [tree]
        while nodes:
            node = nodes.pop()
            signature, kind, level, count = self._unpack("<4sBBH", node)
            self._count(1 + count)
            if signature != b"TREE" or kind != 0:
                raise InputError("expected the members of a group in HDF5, found none")
            children = [self._unpack("<Q", node + 32 + 16 * i)[0] for i in range(count)]
            if level > 0:
                nodes += children
                continue
            for child in children:
                signature, number = self._unpack("<4s2xH", child)
                self._count(number)
                if signature != b"SNOD":
                    raise InputError("expected the members of a group in HDF5, found none")
                for i in range(number):
                    offset, header = self._unpack("<QQ", child + 8 + _ENTRY * i)
                    yield self._name(segment, size, offset), header

    def _name(self, segment: int, size: int, offset: int) -> str:
        """A name from the local heap."""
        if not segment <= segment + offset < segment + size <= len(self._data):
            raise InputError("expected the names of a group in HDF5, found none")
        end = (
            self._data.index(b"\0", segment + offset, segment + size)
            if (b"\0" in self._data[segment + offset : segment + size])
            else segment + size
        )
        return self._data[segment + offset : end].decode()

    def _dataset(self, name: str, messages: dict[int, int]) -> TensorInfo | None:
        """Type, shape and place of a dataset; None if it holds no numbers."""
        if _DATASPACE not in messages or _DATATYPE not in messages:
            raise InputError(f"dataset '{name}': expected type and shape, found none")
        kind = self._kind(messages[_DATATYPE])
        if kind is None:
            return None
        shape = self._shape(messages[_DATASPACE])
        version, layout = self._unpack("<BB", messages[_LAYOUT])
        if _FILTERS in messages or _EXTERNAL in messages or (version, layout) != (3, 1):
            raise InputError(f"dataset '{name}': expected numbers in one piece, unpacked")
        start, size = self._unpack("<QQ", messages[_LAYOUT] + 2)
        wanted = int(kind[1:]) // 8
        for length in shape:
            wanted *= length
        if wanted == 0:
            return TensorInfo(kind, shape)
        if size != wanted or start + size > len(self._data):
            raise InputError(f"dataset '{name}': expected {wanted} bytes, found {size} or fewer")
        return TensorInfo(kind, shape, start, size)

    def _shape(self, start: int) -> tuple[int, ...]:
        version, rank = self._unpack("<BB", start)
        if version not in (1, 2) or rank > MAX_AXES:
            raise InputError(f"expected a shape of at most {MAX_AXES} axes in HDF5, found another")
        return self._unpack(f"<{rank}Q", start + (8 if version == 1 else 4))

    def _kind(self, start: int) -> str | None:
        """Name of a type of numbers as safetensors calls it; None for other types."""
        kind, bits, size = self._unpack("<BBxxI", start)
        if kind & 15 == _FIXED:
            signed = "I" if bits & 8 else "U"
            whole = not bits & 1 and size in (1, 2, 4, 8)
            return f"{signed}{8 * size}" if whole else None
        if kind & 15 != _FLOAT:
            return None
        places = self._unpack("<HHBBBBI", start + 8)
        if bits & 0x41 or (size, *places) not in _FLOATS:
            raise InputError("expected little-endian floats of 16, 32 or 64 bits in HDF5")
        return _FLOATS[size, *places]
