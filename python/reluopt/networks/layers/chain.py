"""Several layers one after the other, without a ReLU between them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from reluopt.errors import InputError, shown
from reluopt.networks.layers.base import Affine, Layer, Stage, joined_stages
from reluopt.networks.layers.entries import build_layer, entry_of, read_entry
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
        parts = tuple(
            inner
            for part in self.parts
            for inner in (part.parts if isinstance(part, Chain) else (part,))
        )
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

    def lower(self) -> tuple[Affine, ...]:
        """The maps of the parts; where two parts meet, one map is made of two."""
        maps = list(self.parts[0].lower())
        for part in self.parts[1:]:
            maps += part.after(maps.pop())
        return tuple(maps)

    def stages(self) -> tuple[Stage, ...]:
        """Those of the parts."""
        found = self.parts[0].stages()
        for part in self.parts[1:]:
            found = joined_stages(found, part.stages())
        return found

    def widths(self) -> tuple[int, ...]:
        """What stands between two parts is no width: their maps are made one."""
        found = self.parts[0].widths()
        for part in self.parts[1:]:
            found = (*found[:-1], *part.widths()[1:])
        return found

    def entries(self) -> int:
        """Those of the parts, which its maps are made of; they are counted when they are made."""
        return sum(part.entries() for part in self.parts)

    def settings(self) -> dict[str, Any]:
        """Kind and settings of every part."""
        return {"parts": [entry_of(part) for part in self.parts]}

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
            for name in kind.names(own)
        )

    @classmethod
    def build(cls, settings: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> Chain:
        """The chain of these parts."""
        return cls(
            tuple(
                build_layer(kind, own, {n: tensors[f"{i}.{n}"] for n in kind.names(own)})
                for i, (kind, own) in enumerate(_parts(settings))
            )
        )


def _parts(settings: Mapping[str, Any]) -> Sequence[tuple[type[Layer], dict[str, Any]]]:
    """Class and settings of every part; chains do not hold chains."""
    parts = settings.get("parts")
    if not isinstance(parts, list) or not 0 < len(parts) <= MAX_PARTS:
        raise InputError(f"parts: expected a list of 1 to {MAX_PARTS}, found {shown(repr(parts))}")
    found = [read_entry(part) for part in parts]
    if any(kind is Chain for kind, _ in found):
        raise InputError("parts: expected layers of other kinds, found a chain in a chain")
    return found
