"""Readers of network files: one module for each format, and its line in :data:`PLACES`.

A reader is a function ``read(path, options)`` that returns the network or raises an
:class:`~reluopt.errors.InputError` that names the file. It states how the activation is known in
``network.metadata.activation``, and assumes nothing in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from reluopt.errors import InputError
from reluopt.file_formats import HEAD_BYTES, recognise
from reluopt.files import open_input
from reluopt.networks.network import ReLUNetwork


@dataclass(frozen=True)
class ReaderOptions:
    """What whoever loads a network tells of it.

    Attributes:
        input_shape: shape of one input.
        architecture: how tensors are put together (:mod:`.architecture`).
    """

    input_shape: tuple[int, ...] | None = None
    architecture: str | None = None


Reader: TypeAlias = Callable[[Path, ReaderOptions], ReLUNetwork]

PLACES: dict[str, str] = {"an ONNX file": "reluopt.networks.readers.onnx"}
"""Modules of the readers by the name that :mod:`reluopt.file_formats` gives their format."""

PACKED = {".onnx.gz": "reluopt.networks.readers.onnx"}
"""Modules of readers that unpack, by the ending of the file: a packed file does not tell."""

USUAL = "reluopt.networks.readers.safetensors"
"""Reads what is of no format above, or says what it is and how it becomes a safetensors file."""


def reader_of(path: Path) -> Reader:
    """The reader for the format that the first bytes of a file tell."""
    known = None
    try:
        with open_input(path, "a file of a network") as (stream, _):
            known = recognise(stream.read(HEAD_BYTES))
    except InputError:
        pass  # the usual reader says what is wrong
    name = known.name if known is not None else ""
    place = PACKED.get("".join(path.suffixes[-2:]).lower()) or PLACES.get(name, USUAL)
    read: Reader = import_module(place).read
    return read
