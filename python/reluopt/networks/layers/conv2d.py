"""Convolutions of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.layers.base import Affine, AffineLayer, map_of_entries
from reluopt.networks.layers.windows import Windows
from reluopt.numerics.arrays import FloatArray, frozen_array

MAX_ENTRIES = 2**22
"""Entries of windows that are laid out at once, 32 MB."""


@dataclass(frozen=True, eq=False)
class Conv2d(AffineLayer):
    r"""A convolution: the same weights in every window.

    .. math:: a_{o,y,x} = b_o + \sum_{c,h,w} W_{o,c,h,w}\,
              v_{c,\; y\,stride + h\,dilation - padding,\; ...}

    with zeros for padding, and o and c of the same group.

    Attributes:
        weight: shape ``(channels out, channels in / groups, kernel rows, kernel columns)``.
        bias: shape ``(channels out,)``.
        windows: where they lie; its kernel is that of the weights.
        groups: number of groups of channels that do not see each other.

    Raises:
        InputError: shapes do not fit, or an entry is NaN or infinite.
    """

    kind: ClassVar[str] = "conv2d"
    array_names: ClassVar[tuple[str, ...]] = ("weight", "bias")

    weight: FloatArray
    bias: FloatArray
    windows: Windows
    groups: int = 1

    def __post_init__(self) -> None:
        weight, bias = frozen_array(self.weight), frozen_array(self.bias)
        channels, groups = self.windows.input_shape[0], self.groups
        if type(groups) is not int or groups < 1 or channels % groups:
            raise InputError(
                f"groups: expected a divisor of {channels} channels, found {shown(repr(groups))}"
            )
        if weight.ndim != 4 or weight.shape[1:] != (channels // groups, *self.windows.kernel):
            raise InputError(
                f"weight: expected shape (channels out, {channels // groups}, "
                f"{self.windows.kernel[0]}, {self.windows.kernel[1]}), found {weight.shape}"
            )
        if weight.shape[0] == 0 or weight.shape[0] % groups or bias.shape != weight.shape[:1]:
            raise InputError(
                f"bias: expected one entry for each of {weight.shape[0]} channels, in {groups} "
                f"groups, found shape {bias.shape}"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise InputError("weight: expected finite numbers, found NaN or infinity")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of what comes out."""
        return (self.weight.shape[0], *self.windows.output_sides)

    @property
    def input_size(self) -> int:
        """Number of values the layer reads."""
        return self.windows.input_size

    @property
    def output_size(self) -> int:
        """Number of values the layer gives."""
        return int(np.prod(self.output_shape))

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n_in)`` to ``(batch, n_out)``."""
        rows, columns = self.windows.output_sides
        stretch = max(1, MAX_ENTRIES // (rows * columns * self.weight[0].size * self.groups))
        parts = [values[i : i + stretch] for i in range(0, len(values), stretch)]
        return np.concatenate([self._forward(part) for part in parts] or [values[:, :0]])

    def _forward(self, values: FloatArray) -> FloatArray:
        """A few images at a time: their windows are far larger than they are."""
        count, sides = len(values), self.windows.output_sides
        images = values.reshape(count, *self.windows.input_shape)
        windows = self.windows.take(images, 0.0)
        maps = []
        for taps, weight in zip(
            np.split(windows, self.groups, axis=1), np.split(self.weight, self.groups), strict=True
        ):
            entries = np.moveaxis(taps, 1, 3).reshape(-1, weight[0].size)  # (windows, c h w)
            sums = entries @ weight.reshape(len(weight), -1).T
            maps.append(np.moveaxis(sums.reshape(count, *sides, len(weight)), 3, 1))
        found = np.concatenate(maps, axis=1) + self.bias[:, None, None]
        return np.asarray(found.reshape(count, -1))

    def entries(self) -> int:
        """As many as all windows hold."""
        return int(self.output_size * self.weight[0].size)

    def lower(self) -> tuple[Affine, ...]:
        """One affine map, a row for each window and channel."""
        rows = np.arange(self.output_size).reshape(self.output_shape)
        numbers = self.windows.numbers()
        inputs, outputs = self.weight.shape[1], self.weight.shape[0] // self.groups
        parts = []
        for channel, kernel in enumerate(self.weight):
            first = channel // outputs * inputs
            entries = np.moveaxis(numbers[first : first + inputs], 0, 2)  # (y, x, c, h, w)
            inside = (entries >= 0) & (kernel != 0.0)
            places = np.broadcast_to(rows[channel][:, :, None, None, None], entries.shape)
            weights = np.broadcast_to(kernel, entries.shape)
            parts.append((weights[inside], places[inside], entries[inside]))
        weights, places, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
        shape = self.output_size, self.input_size
        bias = np.repeat(self.bias, rows[0].size)
        return (map_of_entries((weights, (places, columns)), shape, bias),)

    def settings(self) -> dict[str, Any]:
        """Windows and groups."""
        return {**self.windows.settings(), "groups": self.groups}

    @classmethod
    def build(cls, settings: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> Conv2d:
        """The layer of these settings and tensors."""
        windows, groups = Windows.read(settings), settings.get("groups")
        return cls(tensors["weight"], tensors["bias"], windows, groups)  # type: ignore[arg-type]
