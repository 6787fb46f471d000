"""What a modelling package can do with a model of somebody's own."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from reluopt.errors import InputError
from reluopt.numerics.arrays import BoolArray, FloatArray

if TYPE_CHECKING:  # scipy takes its time to load
    import scipy.sparse as sp

Name: TypeAlias = tuple[str, tuple[int, ...]]
"""What a variable is called behind the prefix: a letter and places, such as ``("x", (0, 3))``."""

Terms: TypeAlias = tuple[list[tuple[Any, float]], float]
"""A linear expression: variables with their coefficients, and a constant."""


def text_of(prefix: str, name: Name) -> str:
    """A name as a solver has it, such as ``relu_x[0,3]``."""
    letter, places = name
    return f"{prefix}{letter}[{','.join(map(str, places))}]"


class Package(ABC):
    """A modelling package, and a model of it; see :data:`reluopt.embed.PACKAGES`.

    Args:
        model: the model.

    Attributes:
        kind: class of its models, as ``module:Class``.
        indicators: whether it has indicator constraints.
    """

    kind: ClassVar[str]
    indicators: ClassVar[bool] = False

    def __init__(self, model: Any) -> None:
        self.model = model

    @classmethod
    def takes(cls, model: Any) -> bool:
        """Whether a model is of this package; who has one has imported the package."""
        module, _, name = cls.kind.partition(":")
        return isinstance(model, getattr(sys.modules.get(module), name, ()))

    def refuse_closed(self) -> None:
        """Raise an InputError where nothing can be added to the model as it is, or removed."""
        return

    @abstractmethod
    def terms(self, entry: Any) -> Terms | None:
        """A variable or linear expression as terms; None for anything else."""

    @abstractmethod
    def key(self, variable: Any) -> Hashable:
        """The same for the same variable, another one for another."""

    @abstractmethod
    def owns(self, variable: Any) -> bool:
        """Whether a variable belongs to the model."""

    @abstractmethod
    def ends(self, variable: Any) -> tuple[float, float]:
        """Lower and upper bound of a variable, infinite where it has none."""

    @abstractmethod
    def label(self, variable: Any) -> str:
        """What a variable is called."""

    @abstractmethod
    def has(self, prefix: str) -> bool:
        """Whether the model holds a network of this prefix."""

    @abstractmethod
    def add_variables(
        self,
        prefix: str,
        names: Sequence[Name],
        lower: FloatArray,
        upper: FloatArray,
        binary: BoolArray,
    ) -> list[Any]:
        """New variables; names and arrays have an entry for each."""

    @abstractmethod
    def add_rows(
        self,
        prefix: str,
        variables: Sequence[Any],
        matrix: sp.csr_array,
        lower: FloatArray,
        upper: FloatArray,
    ) -> list[Any]:
        """New constraints ``lower <= matrix @ variables <= upper``, one-sided where infinite."""

    def add_implications(
        self, prefix: str, z: Sequence[Any], value: BoolArray, zero: Sequence[Any]
    ) -> list[Any]:
        """New indicator constraints: ``z[i] = value[i]`` implies ``zero[i] <= 0``."""
        raise NotImplementedError  # refused before, as :attr:`indicators` says

    @abstractmethod
    def remove(self, prefix: str, variables: Sequence[Any], constraints: Sequence[Any]) -> None:
        """Take out what was added, constraints first.

        Raises:
            InputError: the package cannot, as the model is.
        """


def or_zero(lower: float, upper: float) -> tuple[float, float]:
    """Bounds of a semi-continuous variable: between these, or zero."""
    return min(0.0, lower), max(0.0, upper)


def refuse_unless(holds: bool, expected: str, found: str) -> None:
    """Raise an InputError about the model unless something holds."""
    if not holds:
        raise InputError(f"model: expected {expected}, found {found}")
