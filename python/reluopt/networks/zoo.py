"""The trained networks that come with the package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reluopt.errors import InputError

if TYPE_CHECKING:  # a misspelt name must not wait for numpy
    from reluopt.networks.network import ReLUNetwork

_FOLDER = Path(__file__).parent.parent / "data" / "networks"
_ENDING = ".safetensors"


def bundled_names() -> tuple[str, ...]:
    """Names of the bundled networks, sorted."""
    return tuple(sorted(path.name.removesuffix(_ENDING) for path in _FOLDER.glob(f"*{_ENDING}")))


def bundled_path(name: str) -> Path:
    """Where the file of a bundled network lies.

    Raises:
        InputError: there is no bundled network of this name.
    """
    if name not in bundled_names():
        raise InputError(f"network: expected one of {', '.join(bundled_names())}, found '{name}'")
    return _FOLDER / f"{name}{_ENDING}"


def load_bundled(name: str) -> ReLUNetwork:
    """Load a bundled network by its name.

    Raises:
        InputError: there is no bundled network of this name.
    """
    from reluopt.networks.loading import load_network

    return load_network(bundled_path(name))


def open_network(
    name_or_path: str | os.PathLike[str],
    activation: str | None = None,
    *,
    input_shape: Sequence[int] | None = None,
    architecture: str | None = None,
) -> ReLUNetwork:
    """Load a bundled network, or a file.

    A text that is exactly a bundled name means the bundled network; write ``./thesis`` for a file
    of that name.

    Args:
        name_or_path: a bundled name, or a weights file.
        activation: ``relu`` confirms what stands between the layers.
        input_shape: shape of one input, where the file does not tell.
        architecture: how the tensors of a file are put together; see
            :func:`~reluopt.networks.loading.load_network` for all three.

    Raises:
        InputError: neither a bundled name nor a readable weights file.

    Warns:
        AssumptionWarning: see :func:`~reluopt.networks.loading.load_network`.
    """
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in bundled_names():
        path = bundled_path(name_or_path)
    elif not os.path.exists(path):
        raise InputError(
            f"network: expected a weights file or one of {', '.join(bundled_names())}, found "
            f"'{name_or_path}', which is neither"
        )
    from reluopt.networks.loading import load_network  # loads safetensors

    return load_network(path, input_shape, activation=activation, architecture=architecture)
