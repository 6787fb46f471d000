"""Loading networks, whatever file they come from.

Weights alone do not say what stands between the layers: a network with leaky ReLUs has the same
tensors. A file of another tool says so by a text ``activation`` in its metadata
(``save_file(tensors, path, metadata={"activation": "relu"})``), or whoever loads it does. Where
neither does, ReLU is assumed, which the network remembers and a warning tells.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reluopt.errors import AssumptionWarning
from reluopt.networks.metadata import ACTIVATION_KEY, RELU, ActivationSource, require_relu
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions, reader_of


def load_network(
    path: str | os.PathLike[str],
    input_shape: Sequence[int] | None = None,
    *,
    activation: str | None = None,
    architecture: str | None = None,
) -> ReLUNetwork:
    """Read a network from a file (:mod:`reluopt.networks.readers`).

    Args:
        path: the file.
        input_shape: shape of one input; overrides what the file says. If neither tells, a square
            number of inputs (64 or more) is taken as a square image.
        activation: ``relu`` confirms that ReLUs stand between the layers.
        architecture: how the tensors of a file are put together, for convolutions for example
            (:mod:`reluopt.networks.readers.architecture`).

    Returns:
        The network; ``network.metadata.activation`` tells how its ReLUs are known.

    Raises:
        InputError: the file cannot be read, is no chain of layers, leaves open which one,
            says that its activation is another one, or holds NaN or infinite numbers. The message
            names the file and the tensor.
        EngineUnavailableError: the file is ONNX, and the package ``onnx`` is not installed.

    Warns:
        AssumptionWarning: neither the file nor ``activation`` says what stands between the layers.
    """
    if activation is not None:
        require_relu(activation)
    place = Path(path)
    shape = None if input_shape is None else tuple(input_shape)
    network = reader_of(place)(place, ReaderOptions(shape, architecture))
    if network.metadata.activation is not ActivationSource.ASSUMED:
        return network
    if activation is not None:
        confirmed = replace(network.metadata, activation=ActivationSource.CONFIRMED)
        return replace(network, metadata=confirmed)
    warnings.warn(assumption(place), stacklevel=2)
    return network


def assumption(path: Path) -> AssumptionWarning:
    """What is told of a file that does not say what stands between its layers."""
    return AssumptionWarning(
        f"ReLU between the layers of {path} (the file does not say)", ACTIVATION_KEY, RELU
    )
