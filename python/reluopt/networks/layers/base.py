"""What every layer of a network is, and the dense layer, which all others lower to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray, frozen_array


class Layer(ABC):
    """A piecewise-linear map of vectors that can say itself in affine maps and ReLUs.

    A layer is made of the arrays and settings that it names: attributes and arguments of its class.

    Attributes:
        kind: its name in :data:`reluopt.networks.layers.LAYERS` and in files.
        array_names: the arrays that make it.
        setting_names: what determines it besides, JSON-serialisable.
    """

    kind: ClassVar[str]
    array_names: ClassVar[tuple[str, ...]] = ()
    setting_names: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Number of values the layer reads."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Number of values the layer gives."""

    @abstractmethod
    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n_in)`` to ``(batch, n_out)``, as the layer itself computes it."""

    @abstractmethod
    def lower(self) -> tuple[Dense, ...]:
        """Dense layers with a ReLU between every two of them that are equal to the layer.

        Their weights are numbers of float64. Where they are products or quotients of the layer's
        own (scales, means, chains), what is proven holds of these rounded weights.
        """

    def widths(self) -> tuple[int, ...]:
        """Numbers of values before, between and after the dense layers that it lowers to."""
        return (self.input_size, *(each.output_size for each in self.lower()))

    def entries(self) -> int:
        """Entries of the matrices that :meth:`lower` makes."""
        return sum(rows * columns for columns, rows in pairwise(self.widths()))

    def after(self, last: Dense) -> tuple[Dense, ...]:
        """What the layer lowers to behind ``last``, without a ReLU between the two."""
        first, *others = self.lower()
        bias = first.weight @ last.bias + first.bias
        return Dense(first.weight @ last.weight, bias), *others

    def settings(self) -> dict[str, Any]:
        """What determines the layer besides its arrays, JSON-serialisable."""
        return {name: getattr(self, name) for name in self.setting_names}

    def tensors(self) -> dict[str, FloatArray]:
        """The arrays that make it, by :meth:`names`."""
        return {name: getattr(self, name) for name in self.array_names}

    @classmethod
    def names(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The arrays that make a layer of these settings, as files call them after ``layers.{i}.``.

        Raises:
            InputError: there is no such layer.
        """
        del settings
        return cls.array_names

    @classmethod
    def build(cls, settings: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> Self:
        """The layer of these settings and arrays, which its class judges.

        Raises:
            InputError: they make none.
        """
        return cls(**tensors, **{name: settings.get(name) for name in cls.setting_names})


class AffineLayer(Layer):
    """A layer that is one affine map, which is known without making its matrix."""

    def widths(self) -> tuple[int, ...]:
        """Before and after."""
        return self.input_size, self.output_size


@dataclass(frozen=True, eq=False)
class Dense(AffineLayer):
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


class ElementwiseLayer(AffineLayer):
    """A layer that gives as many values as it reads."""

    @property
    def output_size(self) -> int:
        """Number of values."""
        return self.input_size
