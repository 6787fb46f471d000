"""Layers: one file for each kind, and its line in :data:`PLACES`."""

from __future__ import annotations

from importlib import import_module

from reluopt.errors import InputError, shown
from reluopt.networks.layers.base import Layer

PLACES = {
    "dense": ("reluopt.networks.layers.dense", "Dense"),
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
