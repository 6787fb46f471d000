"""What every layer of a network is, and the affine maps, dense or sparse, that all lower to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray, IntArray, frozen_array

if TYPE_CHECKING:  # scipy takes its time to load, and dense networks do without
    import scipy.sparse as sp

MAX_ENTRIES = 30_000_000
"""Most weights of a network's affine maps: a quarter of a gigabyte, several times over."""

SMALL = 10_000
"""Matrices of up to so many entries are dense: sparse ones save nothing there."""

SPARSE_SHARE = 0.2
"""Largest share of entries other than zero in a sparse matrix; a product with it takes about four
times as long for each of them as a dense one."""


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
    def lower(self) -> tuple[Affine, ...]:
        """Affine maps with a ReLU between every two of them that are equal to the layer.

        Their weights are numbers of float64. Where they are products or quotients of the layer's
        own (scales, means, chains), what is proven holds of these rounded weights.
        """

    def stages(self) -> tuple[Stage, ...]:
        """What programs write for the layer: those of :meth:`lower`, or what takes fewer binaries.

        Two affine maps never stand side by side.
        """
        first, *others = self.lower()
        return (first, *(stage for each in others for stage in (Rectifier(), each)))

    def widths(self) -> tuple[int, ...]:
        """Numbers of values before, between and after the affine maps that it lowers to."""
        return (self.input_size, *(each.output_size for each in self.lower()))

    def entries(self) -> int:
        """At most so many numbers are in the matrices that :meth:`lower` makes."""
        return sum(rows * columns for columns, rows in pairwise(self.widths()))

    def after(self, last: Affine) -> tuple[Affine, ...]:
        """What the layer lowers to behind ``last``, without a ReLU between the two."""
        first, *others = self.lower()
        return first.behind(last), *others

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


class Affine(AffineLayer):
    """An affine map ``weight @ v + bias`` of known weights, what all layers lower to.

    Attributes:
        weight: shape ``(n_out, n_in)``, an array or a sparse one.
        bias: shape ``(n_out,)``, read-only ``float64``.
    """

    weight: Any
    bias: FloatArray

    @property
    @abstractmethod
    def matrix(self) -> FloatArray:
        """The weights as an array."""

    @property
    def input_size(self) -> int:
        """Number of values the map reads, :math:`n_{k-1}`."""
        return int(self.weight.shape[1])

    @property
    def output_size(self) -> int:
        """Number of values the map gives, :math:`n_k`."""
        return int(self.weight.shape[0])

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n_in)`` to ``(batch, n_out)``."""
        return np.ascontiguousarray(values @ self.weight.T + self.bias)

    def backward(self, gradient: FloatArray) -> FloatArray:
        """Pull a batch of gradients ``(batch, n_out)`` back to ``(batch, n_in)``."""
        return np.ascontiguousarray(gradient @ self.weight)

    def lower(self) -> tuple[Affine, ...]:
        """The map itself."""
        return (self,)

    @abstractmethod
    def sums(self, factors: FloatArray) -> FloatArray:
        """For every output the sum of ``|weight| * factors``, factors not being negative."""

    @abstractmethod
    def scaled(self, rows: FloatArray, columns: FloatArray) -> Affine:
        """The map with its outputs multiplied by ``rows`` and its weights by ``columns``."""

    def of_columns(self, columns: Any) -> Affine:
        """The map of some of its inputs, or of all in another order."""
        return affine(self.weight[:, columns], self.bias)

    def behind(self, last: Affine) -> Affine:
        """The map of ``last`` and then this one.

        Raises:
            InputError: it would have more than :data:`MAX_ENTRIES` weights.
        """
        if isinstance(self, Sparse) and isinstance(last, Sparse):
            most = int((abs(self.weight.sign()) @ np.diff(last.weight.indptr)).sum())
            entries = min(most, self.output_size * last.input_size)
        else:
            entries = self.output_size * last.input_size
        refuse_entries(entries)
        bias = self.weight @ last.bias + self.bias
        return affine(self.weight @ last.weight, bias)


def refuse_entries(entries: int) -> None:
    """Raise an InputError for more than :data:`MAX_ENTRIES` weights."""
    if entries > MAX_ENTRIES:
        raise InputError(
            f"expected affine maps of at most {MAX_ENTRIES} weights, found {entries}: the network "
            "can be evaluated, not answered for"
        )


@dataclass(frozen=True, eq=False)
class Sparse(Affine):
    """An affine map most of whose weights are zero, such as a convolution's.

    Attributes:
        weight: shape ``(n_out, n_in)``, CSR of ``float64`` with sorted rows.
        bias: shape ``(n_out,)``, read-only ``float64``.
    """

    kind: ClassVar[str] = "sparse"

    weight: sp.csr_array
    bias: FloatArray

    def __post_init__(self) -> None:
        self.weight.sum_duplicates()
        object.__setattr__(self, "bias", frozen_array(self.bias))

    @property
    def matrix(self) -> FloatArray:
        """The weights as an array."""
        return np.asarray(self.weight.toarray())

    def sums(self, factors: FloatArray) -> FloatArray:
        """See :meth:`Affine.sums`."""
        return np.asarray(abs(self.weight) @ factors)

    def scaled(self, rows: FloatArray, columns: FloatArray) -> Sparse:
        """See :meth:`Affine.scaled`."""
        weight = self.weight.copy()
        weight.data *= np.repeat(rows, np.diff(weight.indptr)) * columns[weight.indices]
        return Sparse(weight, rows * self.bias)

    def tensors(self) -> dict[str, FloatArray]:
        """What tells one from another; no file holds such a layer."""
        weight = self.weight
        return {
            "data": weight.data,
            "indices": weight.indices.astype(np.float64),
            "indptr": weight.indptr.astype(np.float64),
            "bias": self.bias,
        }


def affine(weight: Any, bias: FloatArray) -> Affine:
    """The affine map of a matrix, sparse where that is worth it; zeros need not be left out."""
    if isinstance(weight, np.ndarray):
        return Dense(weight, bias)
    entries = weight.shape[0] * weight.shape[1]
    if entries <= SMALL or weight.nnz > SPARSE_SHARE * entries:
        return Dense(weight.toarray(), bias)
    return Sparse(weight.tocsr(), bias)


Entries: TypeAlias = tuple[FloatArray, tuple[Any, Any]]
"""Numbers with their rows and columns."""


def map_of_entries(entries: Entries, shape: tuple[int, int], bias: FloatArray) -> Affine:
    """The affine map with these weights; what is at one place is added up."""
    import scipy.sparse as sp

    return affine(sp.csr_array(entries, shape=shape), bias)


@dataclass(frozen=True, eq=False)
class Dense(Affine):
    """A fully connected affine layer ``a = weight @ x + bias``.

    Attributes:
        weight: shape ``(n_out, n_in)``, read-only ``float64``.
        bias: shape ``(n_out,)``, read-only ``float64``.

    Raises:
        InputError: a shape does not fit, a layer is empty, or an entry is NaN or infinite.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> layer = ro.Dense(np.array([[1.0, -1.0], [2.0, 0.0]]), np.array([0.0, 0.5]))
        >>> layer.weight @ [3.0, 1.0] + layer.bias
        array([2. , 6.5])
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
    def matrix(self) -> FloatArray:
        """The weights."""
        return self.weight

    def sums(self, factors: FloatArray) -> FloatArray:
        """See :meth:`Affine.sums`."""
        return np.asarray((np.abs(self.weight) * factors).sum(axis=1))

    def scaled(self, rows: FloatArray, columns: FloatArray) -> Dense:
        """See :meth:`Affine.scaled`."""
        return Dense(rows[:, None] * self.weight * columns[None, :], rows * self.bias)


@dataclass(frozen=True)
class Rectifier:
    """``max(v, slope v)`` for every value: a ReLU, or a leaky one.

    Attributes:
        slope: of the negative side, from 0 to 1.
    """

    slope: float = 0.0

    def forward(self, values: FloatArray) -> FloatArray:
        """The same for every entry."""
        return np.where(values > 0.0, values, self.slope * values)


@dataclass(frozen=True, eq=False)
class Maximum:
    """The largest value of every window.

    Attributes:
        numbers: of the values in every window, -1 for none; shape ``(windows, entries)``, with an
            entry in every window.
    """

    numbers: IntArray

    def forward(self, values: FloatArray) -> FloatArray:
        """Map ``(..., n_in)`` to ``(..., windows)``."""
        taken = np.where(self.numbers >= 0, values[..., self.numbers], -np.inf)
        return np.asarray(taken.max(axis=-1))


Stage: TypeAlias = Affine | Rectifier | Maximum
"""A step of what programs write."""


def joined_stages(before: Sequence[Stage], after: Sequence[Stage]) -> tuple[Stage, ...]:
    """One after the other, two affine maps that meet being made one."""
    if before and isinstance(before[-1], Affine) and isinstance(after[0], Affine):
        return (*before[:-1], after[0].behind(before[-1]), *after[1:])
    return (*before, *after)


class ElementwiseLayer(AffineLayer):
    """A layer that gives as many values as it reads, each from one."""

    def entries(self) -> int:
        """At most two for each value in each of two maps."""
        return 4 * self.input_size

    @property
    def output_size(self) -> int:
        """Number of values."""
        return self.input_size
