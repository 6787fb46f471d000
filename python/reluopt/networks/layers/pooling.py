"""Pools: the largest or the mean entry of every window of every channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.layers.base import (
    Affine,
    AffineLayer,
    Layer,
    Maximum,
    Stage,
    map_of_entries,
)
from reluopt.networks.layers.windows import Windows
from reluopt.numerics.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class _Pool2d(Layer):
    """What both pools are."""

    windows: Windows

    @property
    def input_size(self) -> int:
        """Number of values the layer reads."""
        return self.windows.input_size

    @property
    def output_size(self) -> int:
        """Number of values the layer gives."""
        return self.windows.input_shape[0] * int(np.prod(self.windows.output_sides))

    def _taken(self, values: FloatArray, fill: float) -> FloatArray:
        """Entries of the windows, shape ``(batch, n_out, entries)``."""
        images = values.reshape(len(values), *self.windows.input_shape)
        return self.windows.take(images, fill).reshape(len(values), self.output_size, -1)

    def _numbers(self) -> IntArray:
        """Numbers of the entries of every window, -1 for padding; shape ``(n_out, entries)``."""
        return self.windows.numbers().reshape(self.output_size, -1)

    def settings(self) -> dict[str, Any]:
        """Where the windows lie."""
        return self.windows.settings()

    @classmethod
    def build(cls, settings: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> Self:
        """The layer of these settings."""
        del tensors
        return cls(Windows.read(settings))


@dataclass(frozen=True, eq=False)
class MaxPool2d(_Pool2d):
    """The largest entry of every window; padding never is the largest.

    Raises:
        InputError: a window holds nothing but padding.
    """

    kind: ClassVar[str] = "max-pool2d"

    def __post_init__(self) -> None:
        if (self._numbers() < 0).all(axis=1).any():
            raise InputError("padding: expected an entry in every window, found one of padding")

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n_in)`` to ``(batch, n_out)``."""
        return np.asarray(self._taken(values, -np.inf).max(axis=2))

    def widths(self) -> tuple[int, ...]:
        """Three neurons of every match, two of every entry that is carried on, in every round."""
        found = [self.input_size]
        left = (self._numbers() >= 0).sum(axis=1)
        while left.max() > 1:
            found.append(int((3 * (left // 2) + 2 * (left % 2)).sum()))
            left = -(-left // 2)
        return (*found, self.output_size)

    def stages(self) -> tuple[Stage, ...]:
        """The largest of every window: programs have a binary for every candidate."""
        return (Maximum(self._numbers()),)

    def entries(self) -> int:
        """Four of every match and two of every entry that is carried on, and six to read them."""
        return 10 * self._numbers().size

    def lower(self) -> tuple[Affine, ...]:
        r"""A tournament: :math:`\max(a, b) = (a - b)^+ + b^+ - (-b)^+`, window by window.

        As many ReLU layers as the base-2 logarithm of the largest window, rounded up. An entry
        without an opponent is carried on as :math:`a^+ - (-a)^+`.
        """
        size = self.input_size
        # Every candidate is a linear form of the present values, by their numbers.
        windows: list[list[Form]] = [
            [{int(number): 1.0} for number in row if number >= 0] for row in self._numbers()
        ]
        layers = []
        while max(map(len, windows)) > 1:
            neurons: list[Form] = []
            for index, forms in enumerate(windows):
                matches = [forms[i : i + 2] for i in range(0, len(forms), 2)]
                windows[index] = [_winner(match, neurons) for match in matches]
            layers.append(_affine(neurons, size))
            size = len(neurons)
        return (*layers, _affine([forms[0] for forms in windows], size))


Form: TypeAlias = dict[int, float]
"""A linear form: factors by the numbers of the values."""


def _winner(match: list[Form], neurons: list[Form]) -> Form:
    """The larger of one or two forms, in neurons that are added to ``neurons``."""
    first = len(neurons)
    last = match[-1]
    minus = {number: -factor for number, factor in last.items()}
    if len(match) == 1:
        neurons += [last, minus]
        return {first: 1.0, first + 1: -1.0}
    lead = {n: match[0].get(n, 0.0) - last.get(n, 0.0) for n in match[0].keys() | last.keys()}
    neurons += [lead, last, minus]
    return {first: 1.0, first + 1: 1.0, first + 2: -1.0}


def _affine(forms: list[Form], size: int) -> Affine:
    """The forms as rows of a matrix, without a bias."""
    factors = np.array([factor for form in forms for factor in form.values()])
    columns = np.array([number for form in forms for number in form])
    rows = np.repeat(np.arange(len(forms)), [len(form) for form in forms])
    return map_of_entries((factors, (rows, columns)), (len(forms), size), np.zeros(len(forms)))


@dataclass(frozen=True, eq=False)
class AveragePool2d(AffineLayer, _Pool2d):
    """The mean entry of every window.

    Attributes:
        counts_padding: whether padding counts as zeros; otherwise it does not count.
    """

    kind: ClassVar[str] = "average-pool2d"

    counts_padding: bool = False

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n_in)`` to ``(batch, n_out)``."""
        return np.asarray(self._taken(values, 0.0).sum(axis=2) / self._counts())

    def entries(self) -> int:
        """As many as all windows hold."""
        return self._numbers().size

    def lower(self) -> tuple[Affine, ...]:
        """One affine map."""
        numbers, counts = self._numbers(), self._counts()
        rows, places = np.nonzero(numbers >= 0)
        entries = 1.0 / counts[rows], (rows, numbers[rows, places])
        shape = self.output_size, self.input_size
        return (map_of_entries(entries, shape, np.zeros(self.output_size)),)

    def _counts(self) -> FloatArray:
        """What the sum of each window is divided by."""
        numbers = self._numbers()
        whole = float(numbers.shape[1])
        return np.full(len(numbers), whole) if self.counts_padding else (numbers >= 0).sum(axis=1)

    def settings(self) -> dict[str, Any]:
        """Where the windows lie, and whether padding counts."""
        return {**self.windows.settings(), "counts_padding": self.counts_padding}

    @classmethod
    def build(cls, settings: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> AveragePool2d:
        """The layer of these settings."""
        del tensors
        counts = settings.get("counts_padding")
        if not isinstance(counts, bool):
            raise InputError(f"counts_padding: expected true or false, found {shown(repr(counts))}")
        return cls(Windows.read(settings), counts)
