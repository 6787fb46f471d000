"""Our own safetensors files (:mod:`reluopt.networks.readers.own`)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from reluopt.errors import InputError
from reluopt.networks.layers.entries import entry_of
from reluopt.networks.metadata import ACTIVATION_KEY, RELU, ActivationSource
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.own import (
    ANY,
    ASSUMED_KEY,
    DENSE,
    METADATA_KEY,
    PIXEL_ORDER,
    SCHEMA_VERSION,
)


def encode(network: ReLUNetwork) -> bytes:
    """The bytes of a file of a network.

    Weights are stored in float32 when that loses nothing (as for every trained network) and in
    float64 otherwise, so that loading gives the same numbers back.

    Raises:
        InputError: the recipe is not JSON-serialisable.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for i, layer in enumerate(network.layers):
        tensors |= {f"layers.{i}.{name}": array for name, array in layer.tensors().items()}
    with np.errstate(over="ignore"):
        narrow = {name: array.astype(np.float32) for name, array in tensors.items()}
    if all(np.array_equal(narrow[name], tensors[name]) for name in tensors):
        tensors = dict(narrow)
    metadata, architecture = network.metadata, _architecture(network)
    fields = {
        "schema_version": SCHEMA_VERSION,
        "name": metadata.name,
        "architecture": architecture,
        ACTIVATION_KEY: RELU,
        "input_shape": list(metadata.input_shape),
        "pixel_order": PIXEL_ORDER,
        "class_names": list(metadata.class_names),
        "recipe": dict(metadata.recipe),
        "test_accuracy": metadata.test_accuracy,
    }
    if metadata.input_box is not None:
        fields["input_box"] = metadata.input_box
    if metadata.activation is ActivationSource.ASSUMED:
        fields[ASSUMED_KEY] = True  # an assumption that is written down is still one
    try:
        text = json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"recipe: expected JSON-serialisable values, found: {error}") from error
    return save(tensors, metadata={METADATA_KEY: text})


def _architecture(network: ReLUNetwork) -> dict[str, Any]:
    """What the metadata say of the layers: sizes of dense ones, else kinds and settings."""
    if all(layer.kind == DENSE for layer in network.layers):
        return {"type": DENSE, "sizes": list(network.sizes)}
    layers = [entry_of(layer) for layer in network.layers]
    return {"type": ANY, "layers": layers}
