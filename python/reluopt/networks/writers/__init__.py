"""Writers of network files: one module for each format, and its line in :data:`WRITERS`.

A writer is a function ``encode(network)`` that gives the bytes of a file or raises an
:class:`~reluopt.errors.InputError` or, where a package is missing, an
:class:`~reluopt.errors.EngineUnavailableError`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from reluopt.networks.network import ReLUNetwork
from reluopt.registry import Registry

Encode: TypeAlias = Callable[[ReLUNetwork], bytes]

WRITERS: Registry[bytes] = Registry(
    "format",
    **{
        ".safetensors": "networks.writers.safetensors:encode",
        ".onnx": "networks.writers.onnx:encode",
    },
)
"""By the endings of the files. The first one writes files of any other ending."""


def writer_of(path: Path) -> Encode:
    """The writer for the ending of a file."""
    ending = path.suffix.lower()
    encode: Encode = WRITERS.load(ending if ending in WRITERS.names else WRITERS.names[0])
    return encode
