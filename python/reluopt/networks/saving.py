"""Saving networks in the format that the file's ending tells (:mod:`reluopt.networks.writers`)."""

from __future__ import annotations

import os
from pathlib import Path

from reluopt.errors import InputError
from reluopt.files import write_atomically
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.writers import writer_of


def save_network(network: ReLUNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network to a file, all of it or nothing.

    Args:
        network: any network.
        path: ending in ``.onnx`` for an ONNX file (:mod:`reluopt.networks.writers.onnx`); any other
            name for a safetensors file, which loading gives back to the last bit.

    Raises:
        InputError: the recipe is not JSON-serialisable, or the file cannot be written.
        EngineUnavailableError: the file is to be ONNX, and the package ``onnx`` is not installed.

    Example:
        >>> import tempfile
        >>> import reluopt as ro
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ro.save_network(ro.load_network("thesis"), f"{folder}/copy.safetensors")
        ...     ro.load_network(f"{folder}/copy.safetensors").sizes
        (784, 32, 16, 10)
    """
    place = Path(path)
    if not place.parent.is_dir():
        raise InputError(f"{path}: expected a writable place, found no such folder")
    data = writer_of(place)(network)
    try:
        write_atomically(place, data)
    except OSError as error:
        raise InputError(f"{path}: expected a writable place, found: {error}") from error
