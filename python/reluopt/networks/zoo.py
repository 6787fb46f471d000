"""The trained networks that come with the package."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reluopt.errors import InputError
from reluopt.networks.input_box import checked_box

if TYPE_CHECKING:  # a misspelt name must not wait for numpy
    from reluopt.networks.network import ReLUNetwork

_FOLDER = Path(__file__).parent.parent / "data" / "networks"
_ENDING = ".safetensors"

TRAINED_BY: Mapping[str, str] = {
    "thesis": "--hidden 32,16 --recipe thesis --seed 3",
    "thesis-96": "--hidden 32,16 --recipe mini-batch",
    "dnn2": "--hidden 32,24,16 --recipe thesis",
    "dnn3": "--hidden 40,30,20,10 --recipe thesis",
    "ctu": "--hidden 48,27 --recipe mini-batch",
    "mlp-100": "--hidden 100,100 --recipe mini-batch",
    "nor-b": "--hidden 100,100 --recipe torch",
    "adv-b": ("--hidden 100,100 --recipe pgd --eps 0.1 --epochs 40 --batch-size 64 --pgd-steps 7"),
    "cnn-small": (
        '--architecture "conv(16, 1, 4, 4) s2 p1 / conv(32, 16, 4, 4) s2 p1 / fc1568-100 / '
        'fc100-10" --recipe torch'
    ),
    "adm": (
        '--architecture "conv(8, 1, 3, 3) / conv(16, 8, 3, 3) / maxpool4 / fc576-10" --recipe torch'
    ),
}
"""Options of ``reluopt train`` that made each bundled network; what is not told is the default."""


def bundled_names() -> tuple[str, ...]:
    """Names of the bundled networks, sorted.

    Example:
        >>> import reluopt as ro
        >>> "thesis" in ro.bundled_names()
        True
    """
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
    input_box: Sequence[Sequence[float]] | None = None,
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
        input_box: lower and upper bounds of the inputs, one for each or a single one for all, in
            place of those that the file tells.

    Raises:
        InputError: neither a bundled name nor a readable weights file.

    Warns:
        AssumptionWarning: see :func:`~reluopt.networks.loading.load_network`.

    Example:
        >>> import reluopt as ro
        >>> ro.load_network("thesis").sizes
        (784, 32, 16, 10)
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

    network = load_network(path, input_shape, activation=activation, architecture=architecture)
    told: dict[str, Any] = {} if input_shape is None else {"input_shape": list(input_shape)}
    if architecture is not None:
        told["architecture"] = architecture
    if not told and input_box is None:
        return network
    box = network.metadata.input_box if input_box is None else checked_box(input_box)
    return replace(network, metadata=replace(network.metadata, told=told, input_box=box))


load_network = open_network
"""What the public face calls it; an alias in an import is no export to type checkers."""
