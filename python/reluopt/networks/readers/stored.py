"""Layers as a file tells them, before their numbers are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reluopt.networks.layers import LAYERS
from reluopt.networks.layers.base import Layer
from reluopt.networks.layers.entries import build_layer
from reluopt.numerics.arrays import FloatArray


@dataclass(frozen=True)
class StoredLayer:
    """A layer as a file tells it.

    Attributes:
        kind: kind of layer (:data:`reluopt.networks.layers.LAYERS`).
        tensors: names of its arrays in the file, by its own names for them.
        settings: what determines it besides.
        transposed: whether its matrices are stored in x out.
    """

    kind: str
    tensors: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    transposed: bool = False

    def build(self, arrays: Mapping[str, FloatArray]) -> Layer:
        """The layer, from arrays by its own names for them.

        Raises:
            InputError: settings or arrays make no such layer.
        """
        if self.transposed:
            arrays = {name: array.T for name, array in arrays.items()}
        return build_layer(LAYERS.load(self.kind), self.settings, arrays)
