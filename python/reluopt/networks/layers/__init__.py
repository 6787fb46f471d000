"""Layers: one class for each kind, and its line in :data:`LAYERS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reluopt.registry import Registry

if TYPE_CHECKING:
    from reluopt.networks.layers.base import Layer

LAYERS: Registry[Layer] = Registry(
    "layer",
    **{
        "dense": "networks.layers.base:Dense",
        "conv2d": "networks.layers.conv2d:Conv2d",
        "max-pool2d": "networks.layers.pooling:MaxPool2d",
        "average-pool2d": "networks.layers.pooling:AveragePool2d",
        "scale": "networks.layers.elementwise:Scale",
        "leaky-relu": "networks.layers.elementwise:LeakyReLU",
        "permute": "networks.layers.elementwise:Permute",
        "chain": "networks.layers.chain:Chain",
    },
)
"""By the names that files use."""
