"""What every layer of a network is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from reluopt.numerics.arrays import FloatArray


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
    def lower(self) -> tuple[Layer, ...]:
        """Dense layers with a ReLU between every two of them that are equal to the layer."""

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


class ElementwiseLayer(Layer):
    """A layer that gives as many values as it reads."""

    @property
    def output_size(self) -> int:
        """Number of values."""
        return self.input_size
