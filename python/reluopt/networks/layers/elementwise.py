"""Layers that treat every value for itself: scales (normalisation), leaky ReLUs, an order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.layers.base import (
    Affine,
    Dense,
    ElementwiseLayer,
    Rectifier,
    Stage,
    affine,
    map_of_entries,
)
from reluopt.networks.layers.windows import MAX_LENGTH
from reluopt.numerics.arrays import FloatArray, IntArray, frozen_array


@dataclass(frozen=True, eq=False)
class Scale(ElementwiseLayer):
    """``scale * v + shift``: normalisation by mean and deviation, batch normalisation.

    Attributes:
        scale, shift: shape ``(n,)``, finite.
    """

    kind: ClassVar[str] = "scale"
    array_names: ClassVar[tuple[str, ...]] = ("scale", "shift")

    scale: FloatArray
    shift: FloatArray

    def __post_init__(self) -> None:
        scale, shift = frozen_array(self.scale), frozen_array(self.shift)
        if scale.ndim != 1 or scale.size == 0 or shift.shape != scale.shape:
            raise InputError(
                f"scale: expected two vectors of one length, found {scale.shape} and {shift.shape}"
            )
        if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
            raise InputError("scale: expected finite numbers, found NaN or infinity")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "shift", shift)

    @property
    def input_size(self) -> int:
        """Number of values."""
        return int(self.scale.size)

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n)`` to ``(batch, n)``."""
        return values * self.scale + self.shift

    def lower(self) -> tuple[Affine, ...]:
        """A diagonal map."""
        places = np.arange(self.input_size)
        entries = self.scale, (places, places)
        return (map_of_entries(entries, (self.input_size,) * 2, self.shift),)

    def after(self, last: Affine) -> tuple[Affine, ...]:
        """Rows scaled, and nothing multiplied by zeros."""
        if not isinstance(last, Dense):
            return super().after(last)
        weight = self.scale[:, None] * last.weight
        return (Dense(weight, self.scale * last.bias + self.shift),)


@dataclass(frozen=True, eq=False)
class LeakyReLU(ElementwiseLayer):
    r"""``max(v, slope v)`` for a slope from 0 to 1, :math:`v^+ - slope\,(-v)^+`.

    Attributes:
        size: number of values.
        slope: of the negative side.
    """

    kind: ClassVar[str] = "leaky-relu"
    setting_names: ClassVar[tuple[str, ...]] = ("size", "slope")

    size: int
    slope: float = 0.01

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 0 < self.size <= MAX_LENGTH:
            raise InputError(f"size: expected a number of values, found {shown(repr(self.size))}")
        if isinstance(self.slope, bool) or not isinstance(self.slope, int | float):
            raise InputError(f"slope: expected a number, found {shown(repr(self.slope))}")
        if not 0.0 <= self.slope <= 1.0:
            raise InputError(f"slope: expected 0 to 1, found {self.slope}")

    @property
    def input_size(self) -> int:
        """Number of values."""
        return self.size

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n)`` to ``(batch, n)``."""
        return np.where(values > 0.0, values, self.slope * values)

    def widths(self) -> tuple[int, ...]:
        """Both sides of every value stand between."""
        return self.size, 2 * self.size, self.size

    def stages(self) -> tuple[Stage, ...]:
        """``x - slope s``: programs have both sides of every value."""
        return (Rectifier(self.slope),)

    def lower(self) -> tuple[Affine, ...]:
        """Two maps around the ReLUs of both sides."""
        size, ones = self.size, np.ones(self.size)
        values, both = np.tile(np.arange(size), 2), np.arange(2 * size)
        sides = np.concatenate([ones, -ones]), (both, values)
        joined = np.concatenate([ones, -self.slope * ones]), (values, both)
        return (
            map_of_entries(sides, (2 * size, size), np.zeros(2 * size)),
            map_of_entries(joined, (size, 2 * size), np.zeros(size)),
        )


@dataclass(frozen=True, eq=False)
class Permute(ElementwiseLayer):
    """The same values in another order: rows x columns x channels to channels x rows x columns.

    Attributes:
        order: shape ``(n,)``; value i of the output is value ``order[i]`` of the input.
    """

    kind: ClassVar[str] = "permute"
    array_names: ClassVar[tuple[str, ...]] = ("order",)

    order: IntArray

    def __post_init__(self) -> None:
        order = np.array(self.order)
        numbers = np.arange(max(order.size, 1))
        if order.ndim != 1 or not np.array_equal(np.sort(order), numbers):
            raise InputError(f"order: expected every number from 0 on once, found {order[:10]}...")
        order = order.astype(np.int64)
        order.setflags(write=False)
        object.__setattr__(self, "order", order)

    @classmethod
    def of_axes(cls, shape: tuple[int, ...], axes: tuple[int, ...]) -> Permute:
        """What ``transpose(axes)`` does to an array of this shape."""
        return cls(np.arange(int(np.prod(shape))).reshape(shape).transpose(axes).ravel())

    @property
    def input_size(self) -> int:
        """Number of values."""
        return int(self.order.size)

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n)`` to ``(batch, n)``."""
        return values[:, self.order]

    def lower(self) -> tuple[Affine, ...]:
        """A map of zeros and ones."""
        size = self.input_size
        entries = np.ones(size), (np.arange(size), self.order)
        return (map_of_entries(entries, (size, size), np.zeros(size)),)

    def after(self, last: Affine) -> tuple[Affine, ...]:
        """Rows in another order."""
        return (affine(last.weight[self.order], last.bias[self.order]),)

    def tensors(self) -> dict[str, FloatArray]:
        """The order, as numbers of float64."""
        return {"order": self.order.astype(np.float64)}
