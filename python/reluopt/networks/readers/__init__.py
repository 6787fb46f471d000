"""Readers of network files: one module for each format, and its line in :data:`PLACES`.

A reader is a function ``read(path, input_shape)`` that returns the network or raises an
:class:`~reluopt.errors.InputError` that names the file. It states how the activation is known in
``network.metadata.activation``, and assumes nothing in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from reluopt.errors import InputError
from reluopt.file_formats import HEAD_BYTES, recognise
from reluopt.files import open_input
from reluopt.networks.network import ReLUNetwork

Reader: TypeAlias = Callable[[Path, tuple[int, ...] | None], ReLUNetwork]

PLACES: dict[str, str] = {}
"""Modules of the readers by the name that :mod:`reluopt.file_formats` gives their format."""

USUAL = "reluopt.networks.readers.safetensors"
"""Reads what is of no format above, or says what it is and how it becomes a safetensors file."""


def reader_of(path: Path) -> Reader:
    """The reader for the format that the first bytes of a file tell."""
    known = None
    if PLACES:
        try:
            with open_input(path, "a file of a network") as (stream, _):
                known = recognise(stream.read(HEAD_BYTES))
        except InputError:
            pass  # the usual reader says what is wrong
    place = USUAL if known is None else PLACES.get(known.name, USUAL)
    read: Reader = import_module(place).read
    return read
