"""Readers of network files: one module for each format, and its line in :data:`READERS`.

A reader is a function ``read(path, options)`` that returns the network or raises an
:class:`~reluopt.errors.InputError` that names the file. It states how the activation is known in
``network.metadata.activation``, and assumes nothing in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from reluopt.errors import InputError
from reluopt.file_formats import HEAD_BYTES, recognise
from reluopt.files import open_input
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.tensor_files import LENGTH_BYTES
from reluopt.registry import Registry


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

READERS: Registry[ReLUNetwork] = Registry(
    "format",
    **{
        "a safetensors file": "networks.readers.safetensors:read",
        "an ONNX file": "networks.readers.onnx:read",
        "a PyTorch file": "networks.readers.torch_file:read",
        "a Keras file": "networks.readers.keras_file:read",
        "a MATLAB file": "networks.readers.matlab:read",
    },
)
"""By the names that :mod:`reluopt.file_formats` gives the formats. The first one reads what is of
no other, or says what it is and how it becomes a safetensors file."""

PACKED = {".onnx.gz": "an ONNX file"}
"""Formats that readers unpack, by the ending of the file: a packed file does not tell."""

NAMED = {".onnx": "an ONNX file"}
"""Formats whose damaged files are told by their ending, as their bytes are of none."""


def reader_of(path: Path) -> Reader:
    """The reader for the format that the first bytes of a file tell, or else its ending."""
    name = PACKED.get("".join(path.suffixes[-2:]).lower(), "")
    if not name:
        with suppress(InputError), open_input(path, "a file of a network") as (stream, _):
            head = stream.read(HEAD_BYTES)
            known = recognise(head)
            if known is not None:
                name = known.name
            elif not head[LENGTH_BYTES:].startswith(b"{"):  # no header of safetensors
                name = NAMED.get(path.suffix.lower(), "")
    read: Reader = READERS.load(name if name in READERS.names else READERS.names[0])
    return read
