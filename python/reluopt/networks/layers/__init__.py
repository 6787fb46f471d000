"""Layers: one file for each kind, and its line in :data:`PLACES`."""

from __future__ import annotations

from importlib import import_module

from reluopt.errors import InputError, shown
from reluopt.networks.layers.base import Layer

PLACES = {
    "dense": ("reluopt.networks.layers.dense", "Dense"),
    "conv2d": ("reluopt.networks.layers.conv2d", "Conv2d"),
    "max-pool2d": ("reluopt.networks.layers.pooling", "MaxPool2d"),
    "average-pool2d": ("reluopt.networks.layers.pooling", "AveragePool2d"),
    "scale": ("reluopt.networks.layers.elementwise", "Scale"),
    "leaky-relu": ("reluopt.networks.layers.elementwise", "LeakyReLU"),
    "permute": ("reluopt.networks.layers.elementwise", "Permute"),
    "chain": ("reluopt.networks.layers.chain", "Chain"),
}
"""Module and class of every kind of layer, by the name that files use."""


def layer_kind(name: str) -> type[Layer]:
    """The class of the layers of this kind.

    Raises:
        InputError: there is no such kind.
    """
    if name not in PLACES:
        raise InputError(f"layer: expected one of {', '.join(PLACES)}, found '{shown(name)}'")
    module, attribute = PLACES[name]
    found: type[Layer] = getattr(import_module(module), attribute)
    return found
