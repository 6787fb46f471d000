"""Windows that convolutions and pools slide over images of shape ``(channels, rows, columns)``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, shown

Pair: TypeAlias = tuple[int, int]
Shape: TypeAlias = tuple[int, int, int]

MAX_LENGTH = 2**20
"""Largest side, stride, padding or dilation; more is no window that anybody has."""

MAX_ENTRIES = 2**27
"""Entries of all windows of an image; more is no layer that fits into memory."""


@dataclass(frozen=True)
class Windows:
    """Where the windows of a layer lie.

    Window ``(y, x)`` holds the entries ``(y stride + h dilation - padding, ...)`` for h, w of the
    kernel. What lies outside the image is *padding*. With ``ceil``, a last window that begins
    inside the image or its leading padding counts although it does not fit (PyTorch's rule).

    Attributes:
        input_shape: channels, rows and columns of the image.
        kernel, stride, dilation: rows and columns.
        padding: before the first row and column, and behind the last: top, left, bottom, right.
        ceil: whether windows that do not fit count.

    Raises:
        InputError: a number is out of range, or no window fits.
    """

    input_shape: Shape
    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False

    def __post_init__(self) -> None:
        for name, count, least in (
            ("input_shape", 3, 1),
            ("kernel", 2, 1),
            ("stride", 2, 1),
            ("padding", 4, 0),
            ("dilation", 2, 1),
        ):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name), count, least))
        entries = math.prod((*self.input_shape, *self.kernel))
        windows = math.prod((*self.kernel, self.input_shape[0], *self.output_sides))
        if max(entries, windows) > MAX_ENTRIES:
            raise InputError(
                f"kernel: expected at most {MAX_ENTRIES} entries in all windows, found "
                f"{max(entries, windows)}"
            )
        if min(self.output_sides) < 1:
            raise InputError(
                f"kernel: expected a window that fits into {self.input_shape} with padding "
                f"{self.padding}, found {self.kernel} with dilation {self.dilation}"
            )

    @property
    def output_sides(self) -> Pair:
        """Number of windows in rows and in columns."""
        sides = []
        for axis in (0, 1):
            size, before = self.input_shape[1 + axis], self.padding[axis]
            reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            room = size + before + self.padding[2 + axis] - reach
            count = room // self.stride[axis] + 1
            if self.ceil and room % self.stride[axis] and count * self.stride[axis] < size + before:
                count += 1
            sides.append(count)
        return sides[0], sides[1]

    @property
    def input_size(self) -> int:
        """Entries of an image."""
        return int(np.prod(self.input_shape))

    def take(self, images: NDArray[Any], fill: float | int) -> NDArray[Any]:
        """Entries of all windows.

        Args:
            images: shape ``(..., rows, columns)``.
            fill: what padding holds.

        Returns:
            Shape ``(..., window rows, window columns, kernel rows, kernel columns)``.
        """
        rows, columns = (self._places(axis) for axis in (0, 1))
        outside = np.full((*images.shape[:-2], 1, images.shape[-1]), fill, dtype=images.dtype)
        padded = np.concatenate([images, outside], axis=-2)
        beside = np.full((*padded.shape[:-1], 1), fill, dtype=images.dtype)
        padded = np.concatenate([padded, beside], axis=-1)
        return padded[..., rows[:, None, :, None], columns[None, :, None, :]]

    def numbers(self) -> NDArray[np.int64]:
        """Number of the entry at every place of every window, and -1 for padding.

        Returns:
            Shape ``(channels, window rows, window columns, kernel rows, kernel columns)``.
        """
        return self.take(np.arange(self.input_size).reshape(self.input_shape), -1)

    def settings(self) -> dict[str, Any]:
        """All of it, JSON-serialisable."""
        return {
            "input_shape": list(self.input_shape),
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "dilation": list(self.dilation),
            "ceil": self.ceil,
        }

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Windows:
        """The windows of :meth:`settings`.

        Raises:
            InputError: they are of other kinds.
        """
        names = ("input_shape", "kernel", "stride", "padding", "dilation")
        values = {name: settings.get(name) for name in names}
        ceil = settings.get("ceil")
        if not isinstance(ceil, bool):
            raise InputError(f"ceil: expected true or false, found {shown(repr(ceil))}")
        return cls(**values, ceil=ceil)  # type: ignore[arg-type]  # judged when it is made

    def _places(self, axis: int) -> NDArray[np.int64]:
        """Row (or column) of each entry of each window; the size stands for padding."""
        size = self.input_shape[1 + axis]
        starts = np.arange(self.output_sides[axis]) * self.stride[axis] - self.padding[axis]
        places = starts[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]
        return np.where((places >= 0) & (places < size), places, size)


def whole_numbers(name: str, values: Any, count: int, least: int) -> tuple[int, ...]:
    """``count`` whole numbers from ``least`` on.

    Raises:
        InputError: anything else.
    """
    if (
        not isinstance(values, list | tuple)
        or len(values) != count
        or not all(type(value) is int and least <= value <= MAX_LENGTH for value in values)
    ):
        raise InputError(
            f"{name}: expected {count} whole numbers from {least} on, found {shown(repr(values))}"
        )
    return tuple(values)
