"""How files say a layer: an object with its kind and settings, and arrays beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reluopt.errors import InputError, shown
from reluopt.networks.layers import LAYERS
from reluopt.networks.layers.base import Layer
from reluopt.numerics.arrays import FloatArray

KIND = "kind"


def entry_of(layer: Layer) -> dict[str, Any]:
    """Kind and settings of a layer, JSON-serialisable."""
    return {**layer.settings(), KIND: layer.kind}


def read_entry(entry: Any) -> tuple[type[Layer], dict[str, Any]]:
    """The class and the settings that an entry tells.

    Raises:
        InputError: it is no entry, or its kind is none.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get(KIND), str):
        raise InputError(f"architecture layers: expected a kind of each, found {shown(entry)}")
    found: type[Layer] = LAYERS.load(entry[KIND])
    return found, {name: value for name, value in entry.items() if name != KIND}


def build_layer(
    kind: type[Layer], settings: Mapping[str, Any], arrays: Mapping[str, FloatArray]
) -> Layer:
    """The layer of these settings and arrays.

    Raises:
        InputError: they make none, or a setting is none of this kind.
    """
    layer = kind.build(settings, arrays)
    unknown = sorted(settings.keys() - layer.settings().keys())
    if unknown:
        raise InputError(
            f"layer {kind.kind}: expected settings {', '.join(layer.settings()) or 'none'}, "
            f"found '{shown(unknown[0])}'"
        )
    return layer
