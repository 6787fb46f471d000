"""What every layer of a network is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from reluopt.numerics.arrays import FloatArray

if TYPE_CHECKING:
    from reluopt.networks.layers.dense import Dense


class Layer(Protocol):
    """A piecewise-linear map of vectors that can say itself in affine maps and ReLUs.

    Attributes:
        kind: its name in :data:`reluopt.networks.layers.PLACES` and in files.
    """

    kind: ClassVar[str]

    @property
    def input_size(self) -> int:
        """Number of values the layer reads."""
        ...

    @property
    def output_size(self) -> int:
        """Number of values the layer gives."""
        ...

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n_in)`` to ``(batch, n_out)``, as the layer itself computes it."""
        ...

    def lower(self) -> tuple[Dense, ...]:
        """Affine maps with a ReLU between every two of them that are equal to the layer."""
        ...

    def settings(self) -> dict[str, Any]:
        """What determines the layer besides its tensors, JSON-serialisable."""
        ...

    def tensors(self) -> dict[str, FloatArray]:
        """The arrays that make it, by :meth:`names`."""
        ...

    @classmethod
    def names(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The arrays that make a layer of these settings, as files call them after ``layers.{i}.``.

        Raises:
            InputError: there is no such layer.
        """
        ...

    @classmethod
    def build(cls, settings: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> Self:
        """The layer of these settings and tensors.

        Raises:
            InputError: they make none.
        """
        ...
