"""Fully connected layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from reluopt.errors import InputError
from reluopt.networks.layers.base import Layer
from reluopt.numerics.arrays import FloatArray, frozen_array


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """A fully connected affine layer ``a = weight @ x + bias``.

    Attributes:
        weight: shape ``(n_out, n_in)``, read-only ``float64``.
        bias: shape ``(n_out,)``, read-only ``float64``.

    Raises:
        InputError: a shape does not fit, a layer is empty, or an entry is NaN or infinite.
    """

    kind: ClassVar[str] = "dense"
    array_names: ClassVar[tuple[str, ...]] = ("weight", "bias")

    weight: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        weight, bias = frozen_array(self.weight), frozen_array(self.bias)
        if weight.ndim != 2 or weight.size == 0:
            raise InputError(
                f"weight: expected a non-empty matrix (out x in), found shape {weight.shape}"
            )
        if bias.shape != (weight.shape[0],):
            raise InputError(f"bias: expected shape ({weight.shape[0]},), found {bias.shape}")
        for name, array in (("weight", weight), ("bias", bias)):
            if not np.isfinite(array).all():
                count = int(np.count_nonzero(~np.isfinite(array)))
                raise InputError(
                    f"{name}: expected finite numbers, found {count} NaN or infinite entries"
                )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)

    @property
    def input_size(self) -> int:
        """Number of values the layer reads, :math:`n_{k-1}`."""
        return int(self.weight.shape[1])

    @property
    def output_size(self) -> int:
        """Number of values the layer gives, :math:`n_k`."""
        return int(self.weight.shape[0])

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n_in)`` to ``(batch, n_out)``."""
        return values @ self.weight.T + self.bias

    def backward(self, gradient: FloatArray) -> FloatArray:
        """Pull a batch of gradients ``(batch, n_out)`` back to ``(batch, n_in)``."""
        return gradient @ self.weight

    def lower(self) -> tuple[Dense, ...]:
        """The layer itself: it is an affine map."""
        return (self,)


def affine_maps(layer: Layer) -> tuple[Dense, ...]:
    """What a layer lowers to: dense layers, which do not stand below :class:`Layer`."""
    return cast("tuple[Dense, ...]", layer.lower())
