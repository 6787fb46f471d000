"""Several layers one after the other, without a ReLU between them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from reluopt.errors import InputError, shown
from reluopt.networks.layers import LAYERS
from reluopt.networks.layers.base import Layer
from reluopt.networks.layers.dense import Dense, affine_maps
from reluopt.numerics.arrays import FloatArray

MAX_PARTS = 100
"""More parts than this are no chain that anybody has."""


@dataclass(frozen=True, eq=False)
class Chain(Layer):
    """``parts[-1](...parts[0](v))``: a pool and the layer behind it, a convolution and its scale.

    Attributes:
        parts: at least one layer, the first one first.

    Raises:
        InputError: no parts, or parts that do not fit.
    """

    kind: ClassVar[str] = "chain"

    parts: tuple[Layer, ...]

    def __post_init__(self) -> None:
        parts = tuple(self.parts)
        if not 0 < len(parts) <= MAX_PARTS:
            raise InputError(f"chain: expected 1 to {MAX_PARTS} layers, found {len(parts)}")
        for before, after in itertools.pairwise(parts):
            if before.output_size != after.input_size:
                raise InputError(
                    f"chain: expected {before.output_size} inputs of {after.kind}, found "
                    f"{after.input_size}"
                )
        object.__setattr__(self, "parts", parts)

    @property
    def input_size(self) -> int:
        """Number of values the first part reads."""
        return self.parts[0].input_size

    @property
    def output_size(self) -> int:
        """Number of values the last part gives."""
        return self.parts[-1].output_size

    def forward(self, values: FloatArray) -> FloatArray:
        """Map a batch ``(batch, n_in)`` to ``(batch, n_out)``."""
        for part in self.parts:
            values = part.forward(values)
        return values

    def lower(self) -> tuple[Dense, ...]:
        """The maps of the parts; where two parts meet, one map is made of two."""
        maps = list(affine_maps(self.parts[0]))
        for part in self.parts[1:]:
            first, *others = affine_maps(part)
            last = maps.pop()
            weight, bias = first.weight @ last.weight, first.weight @ last.bias + first.bias
            maps += [Dense(weight, bias), *others]
        return tuple(maps)

    def settings(self) -> dict[str, Any]:
        """Kind and settings of every part."""
        return {"parts": [{**part.settings(), "kind": part.kind} for part in self.parts]}

    def tensors(self) -> dict[str, FloatArray]:
        """Those of the parts, after the number of the part and a point."""
        return {
            f"{i}.{name}": array
            for i, part in enumerate(self.parts)
            for name, array in part.tensors().items()
        }

    @classmethod
    def names(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the tensors of all parts."""
        return tuple(
            f"{i}.{name}"
            for i, (kind, own) in enumerate(_parts(settings))
            for name in LAYERS.load(kind).names(own)
        )

    @classmethod
    def build(cls, settings: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> Chain:
        """The chain of these parts."""
        parts = []
        for i, (kind, own) in enumerate(_parts(settings)):
            layer = LAYERS.load(kind)
            parts.append(layer.build(own, {n: tensors[f"{i}.{n}"] for n in layer.names(own)}))
        return cls(tuple(parts))


def _parts(settings: Mapping[str, Any]) -> Sequence[tuple[str, dict[str, Any]]]:
    """Kind and settings of every part; chains do not hold chains."""
    parts = settings.get("parts")
    if not isinstance(parts, list) or not 0 < len(parts) <= MAX_PARTS:
        raise InputError(f"parts: expected a list of 1 to {MAX_PARTS}, found {shown(repr(parts))}")
    found = []
    for part in parts:
        kind = part.get("kind") if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind == Chain.kind:
            raise InputError(f"parts: expected a kind of each, found {shown(repr(part))}")
        found.append((kind, {name: value for name, value in part.items() if name != "kind"}))
    return found
