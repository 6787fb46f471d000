"""Putting a network together from the steps that a file or a framework tells, one after the other.

A network has a ReLU between every two of its layers; what stands between two ReLUs of the source
becomes one layer, a :class:`~reluopt.networks.layers.chain.Chain` where it is several.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense, Layer
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU, Permute, Scale
from reluopt.networks.layers.pooling import AveragePool2d, MaxPool2d
from reluopt.networks.layers.windows import Pair, Shape, Windows
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray

Padding = tuple[int, int, int, int]

MAX_VALUES = 2**21
"""More values between two steps than this are no network that can be answered for."""

MAX_ENTRIES = 2**24
"""Entries of all windows of an image."""

MAX_HELD = 2**23
"""Numbers that steps hold for each value although the source tells few: scales, orders."""


class Assembly:
    """A network that grows step by step.

    Attributes:
        shape: of the present values, such as ``(16, 14, 14)`` or ``(100,)``.
        end: what the source has behind the last step (:meth:`softmax`), empty for nothing.

    Raises:
        InputError: there are more than :data:`MAX_VALUES` values.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        _require_few(shape)
        self.shape = shape
        self._held = 0
        self.end = ""
        self._blocks: list[list[Layer]] = [[]]

    @property
    def size(self) -> int:
        """Number of present values."""
        return math.prod(self.shape)

    @property
    def image_shape(self) -> Shape:
        """Channels, rows and columns.

        Raises:
            InputError: the present values are no image.
        """
        if len(self.shape) != 3:
            raise InputError(f"expected channels x rows x columns, found shape {self.shape}")
        return self.shape[0], self.shape[1], self.shape[2]

    def relu(self) -> None:
        """A ReLU; two in a row are one."""
        self._require_no_end()
        self._fill()
        self._blocks.append([])

    def dense(self, weight: FloatArray, bias: FloatArray | None = None) -> None:
        """An affine map; ``weight`` out x in."""
        if weight.ndim != 2 or weight.shape[1] != self.size:
            raise InputError(
                f"expected a matrix with {self.size} columns, found shape {weight.shape}"
            )
        zeros = np.zeros(weight.shape[0])
        self._add(Dense(weight, zeros if bias is None else bias), (weight.shape[0],))

    def conv(
        self,
        weight: FloatArray,
        bias: FloatArray | None = None,
        stride: Pair = (1, 1),
        padding: Padding = (0, 0, 0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> None:
        """A convolution; ``weight`` is channels out x channels in / groups x rows x columns."""
        if weight.ndim != 4:
            raise InputError(f"expected weights with four axes, found shape {weight.shape}")
        kernel = weight.shape[2], weight.shape[3]
        windows = self._windows(kernel, stride, padding, dilation)
        zeros = np.zeros(weight.shape[0])
        layer = Conv2d(weight, zeros if bias is None else bias, windows, groups)
        self._add(layer, layer.output_shape)

    def max_pool(
        self,
        kernel: Pair,
        stride: Pair,
        padding: Padding = (0, 0, 0, 0),
        dilation: Pair = (1, 1),
        ceil: bool = False,
    ) -> None:
        """The largest entry of every window."""
        windows = self._windows(kernel, stride, padding, dilation, ceil)
        self._add(MaxPool2d(windows), (windows.input_shape[0], *windows.output_sides))

    def average_pool(
        self,
        kernel: Pair,
        stride: Pair,
        padding: Padding = (0, 0, 0, 0),
        ceil: bool = False,
        counts_padding: bool = False,
    ) -> None:
        """The mean entry of every window."""
        windows = self._windows(kernel, stride, padding, (1, 1), ceil)
        layer = AveragePool2d(windows, counts_padding)
        self._add(layer, (windows.input_shape[0], *windows.output_sides))

    def scale(self, scale: FloatArray | float, shift: FloatArray | float) -> None:
        """``scale * v + shift``, both broadcast to the present shape as numpy does."""
        try:
            views = [np.broadcast_to(values, self.shape) for values in (scale, shift)]
        except ValueError as error:
            raise InputError(
                f"expected a constant that fits {self.shape}, found shapes {np.shape(scale)} and "
                f"{np.shape(shift)}"
            ) from error
        self._hold(2)
        self._add(Scale(views[0].ravel(), views[1].ravel()), self.shape)

    def combine(self, sign: str, constant: FloatArray, first: bool = True) -> None:
        """Present values ``+``, ``-``, ``*`` or ``/`` a constant; ``first`` says which comes first.

        A batch axis of the constant is none: it has length 1.
        """
        if constant.ndim == len(self.shape) + 1 and constant.shape[0] == 1:
            constant = np.asarray(constant[0])
        if sign == "/" and (not first or (constant == 0.0).any()):
            raise InputError("expected a division by a constant other than zero")
        match sign:
            case "+":
                self.scale(1.0, constant)
            case "-":
                self.scale(1.0 if first else -1.0, -constant if first else constant)
            case "*":
                self.scale(constant, 0.0)
            case _:
                self.scale(1.0 / constant, 0.0)

    def zero_pad(self, padding: Padding) -> None:
        """Zeros around images: a convolution with one weight for each channel."""
        channels = self.image_shape[0]
        self.conv(np.ones((channels, 1, 1, 1)), None, (1, 1), padding, (1, 1), channels)

    def leaky_relu(self, slope: float) -> None:
        """A leaky ReLU."""
        self._add(LeakyReLU(self.size, slope), self.shape)

    def transpose(self, axes: tuple[int, ...]) -> None:
        """Axes in another order, such as channels first."""
        self._hold(1)
        layer = Permute.of_axes(self.shape, axes)
        self._add(layer, tuple(self.shape[axis] for axis in axes))

    def permute(self, order: FloatArray) -> None:
        """Flat values in another order; all of them."""
        if self.shape != order.shape or (order != np.floor(order)).any():
            raise InputError(f"expected the numbers of {self.shape} values, found {order.shape}")
        self._add(Permute(order.astype(np.int64)), self.shape)

    def reshape(self, shape: tuple[int, ...]) -> None:
        """The same values, row-major, in another shape."""
        if math.prod(shape) != self.size:
            raise InputError(f"expected a shape of {self.size} values, found {shape}")
        self.shape = shape

    def softmax(self, kind: str = "softmax") -> None:
        """A softmax or log-softmax of flat values, which ends the network and is left out of it."""
        self._require_no_end()
        if len(self.shape) != 1:
            raise InputError(f"expected a {kind} over flat values, found shape {self.shape}")
        self.end = kind

    def finish(self, metadata: NetworkMetadata) -> ReLUNetwork:
        """The network of all steps."""
        self._fill()
        layers = (block[0] if len(block) == 1 else Chain(tuple(block)) for block in self._blocks)
        return ReLUNetwork(tuple(layers), metadata)

    def _windows(self, *settings: Any) -> Windows:
        """Windows of the present image, of bounded size."""
        windows = Windows(self.image_shape, *settings)
        entries = math.prod((*windows.kernel, *windows.output_sides, windows.input_shape[0]))
        if entries > MAX_ENTRIES:
            raise InputError(f"expected at most {MAX_ENTRIES} entries of windows, found {entries}")
        return windows

    def _fill(self) -> None:
        """Something must stand between two ReLUs: an order that changes none."""
        if not self._blocks[-1]:
            self._hold(1)
            self._blocks[-1].append(Permute(np.arange(self.size)))

    def _hold(self, numbers: int) -> None:
        """So many numbers for each present value are about to be held."""
        self._held += numbers * self.size
        if self._held > MAX_HELD:
            raise InputError(
                f"expected scales and orders of at most {MAX_HELD} numbers, found more"
            )

    def _require_no_end(self) -> None:
        if self.end:
            raise InputError(f"expected nothing behind the {self.end}; take it out of the source")

    def _add(self, layer: Layer, shape: tuple[int, ...]) -> None:
        self._require_no_end()
        _require_few(shape)
        self._blocks[-1].append(layer)
        self.shape = shape


def _require_few(shape: tuple[int, ...]) -> None:
    if math.prod(shape) > MAX_VALUES:
        raise InputError(f"expected at most {MAX_VALUES} values, found shape {shape}")


def same_padding(shape: Shape, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Padding:
    """What TensorFlow's ``same`` pads: each stride has a window, and what is odd goes behind."""
    before, behind = [], []
    for side, k, s, d in zip(shape[1:], kernel, stride, dilation, strict=True):
        total = max((-(-side // s) - 1) * s + d * (k - 1) + 1 - side, 0)
        before.append(total // 2)
        behind.append(total - total // 2)
    return before[0], before[1], behind[0], behind[1]
