r"""What a norm knows: its value, its balls, how it enters a program, how attacks move in it."""

from __future__ import annotations

import math
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from reluopt.errors import InputError, UnsupportedProblemError
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms import FAMILIES, NORMS

if TYPE_CHECKING:  # what encodes and what is compiled takes its time to load
    import scipy.sparse as sp

    from reluopt.numerics.flat import FlatNetwork
    from reluopt.numerics.input_sets import FlatInputSet
    from reluopt.numerics.linear_programs import IndexArray, ProgramBuilder

SMALLEST_LENGTH = 1e-300
"""Lengths are divided by no less, so that rows of zeros stay zeros."""


Ends: TypeAlias = tuple[FloatArray, FloatArray]
"""Lower and upper ends of a box."""


@dataclass(frozen=True, eq=False)
class Change:
    """How a change enters a program: ``delta = matrix @ v[columns]``.

    Attributes:
        matrix: CSR of shape ``(n_0, len(columns))``.
        columns: the program's variables.
        sizes: variables that hold sizes of the change, or None.
        sizes_of: their values for a given ``delta``.
        rows: terms of the rows ``terms >= 0`` that tie sizes to the change, still to be added.
    """

    matrix: sp.csr_array
    columns: IndexArray
    sizes: IndexArray | None = None
    sizes_of: Callable[[FloatArray], Any] = np.abs
    rows: tuple[list[tuple[Any, IndexArray]], ...] = ()

    def add_rows(self, builder: ProgramBuilder, *, last_first: bool = False) -> None:
        """Add the rows that tie sizes to the change."""
        for terms in reversed(self.rows) if last_first else self.rows:
            builder.add_rows(terms, 0.0, np.inf)


class _Norms(ABCMeta):
    """``Norm.L1``, ``Norm("l1")`` and ``for norm in Norm``: the registered norms."""

    def __iter__(cls) -> Iterator[Norm]:
        return map(NORMS.get, NORMS.names)

    def __getattr__(cls, name: str) -> Norm:
        if name.isupper() and name.lower() in NORMS.names:
            return parse_norm(name.lower())
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")

    def __call__(cls, *args: Any, **settings: Any) -> Any:
        if cls is not Norm:
            return super().__call__(*args, **settings)
        if args[0] not in NORMS.names:
            raise ValueError(f"{args[0]!r} is not a valid Norm")
        return NORMS.get(args[0])


class Norm(metaclass=_Norms):
    """How the size of a change ``delta = x0 - image`` is measured.

    A new one states :attr:`name`, :meth:`objective`, :meth:`ball` and :meth:`encode_change`; what
    it can do better than in general, it overrides.

    Attributes:
        name: how people and files call it.
        costs: weights of ``sum|delta|`` and of ``sum delta^2`` when the objective is their sum.
        takes_limits: whether changes may have limits besides the box.
        moves_few: whether good changes move few inputs, so that attacks begin with these.
        moves_all: whether good changes move all inputs alike, so that attacks follow signs.
        most_linear_regions: linear regions that an attack solves for one starting point.
        linear_ball: whether rows hold a change in its ball (:meth:`encode_ball`).

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> [(str(norm), float(norm.objective(np.array([0.75, -1.0])))) for norm in ro.Norm]
        [('l1', 1.75), ('l2', 1.5625), ('linf', 1.0)]
        >>> ro.Norm.L2.distance_of(1.5625)
        1.25
    """

    name: str
    costs: tuple[float, float] = (0.0, 0.0)
    takes_limits = True
    moves_few = False
    moves_all = False
    most_linear_regions = 12
    linear_ball = False

    @abstractmethod
    def objective(self, delta: FloatArray) -> float:
        """What the program minimises."""

    @abstractmethod
    def ball(self, objective: float) -> tuple[Norm, float]:
        """L1, L2 or Linf, and the radius of its ball that holds all changes of this objective."""

    @abstractmethod
    def encode_change(
        self, builder: ProgramBuilder, low: FloatArray, high: FloatArray, *, spare: bool = False
    ) -> Change:
        """Variables and objective of a change within ``low <= 0 <= high`` in a program.

        Args:
            builder: the program.
            low: shape ``(n_0,)``.
            high: shape ``(n_0,)``.
            spare: whether to leave out rows that the box makes superfluous.
        """

    def encode_ball(
        self, builder: ProgramBuilder, low: FloatArray, high: FloatArray, radius: float
    ) -> Change:
        """Variables and rows of a change within ``low <= 0 <= high`` of a length up to ``radius``.

        Raises:
            UnsupportedProblemError: that takes more than rows.
        """
        del builder, low, high, radius
        raise UnsupportedProblemError(f"norm: expected one whose ball is linear, found {self}")

    def distance_of(self, objective: float) -> float:
        """Length of the change whose objective is given."""
        return float(objective)

    @property
    def label(self) -> str:
        """What it is called in tables and captions."""
        return self.name.capitalize()

    @property
    def quadratic(self) -> bool:
        """Whether a program that minimises it has a quadratic objective."""
        return self.costs[1] > 0.0

    @property
    def dual(self) -> Norm:
        """Bounds linear forms: ``g @ delta <= |g|_dual |delta|``; that of its ball in general."""
        return self.ball(1.0)[0].dual

    def flat_ball(
        self, flat: FlatNetwork, ends: Ends, center: FloatArray, radius: float
    ) -> FlatInputSet:
        """The ball of this radius around ``center``, cut by a box, as kernels take it."""
        norm, reach = self.ball(radius)
        return norm.flat_ball(flat, ends, center, reach)

    def lengths(self, changes: FloatArray) -> FloatArray:
        """Length of every row of ``changes``, shape ``(batch,)``."""
        return np.array([self.distance_of(self.objective(change)) for change in changes])

    def project(
        self, changes: FloatArray, low: FloatArray, high: FloatArray, radius: float
    ) -> FloatArray:
        """Bring rows into {length <= radius} ∩ [low, high], where ``low <= 0 <= high``.

        In general the clipped row is scaled to the radius: in both, but not always the nearest.
        """
        clipped = np.clip(changes, low, high)
        size = self.lengths(clipped)
        scale = np.where(size > radius, radius / np.maximum(size, SMALLEST_LENGTH), 1.0)
        return clipped * scale[:, None]

    def steepest(self, gradient: FloatArray) -> FloatArray:
        """A change of length 1 that follows each row of ``gradient``; in general along it."""
        return gradient / np.maximum(self.lengths(gradient), SMALLEST_LENGTH)[:, None]

    def random_changes(
        self, generator: np.random.Generator, shape: tuple[int, ...], radius: float
    ) -> FloatArray:
        """Points spread over the ball, one a row.

        A random direction, and a length of ``radius * u^(1/n)``: uniform for L1 and L2 (Barthe et
        al. 2005).
        """
        draws = self._directions(generator, shape)
        share = generator.uniform(size=shape[0]) ** (1.0 / shape[1])
        return np.asarray(draws * (radius * share / self.lengths(draws))[:, None])

    def _directions(self, generator: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        return generator.normal(size=shape)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Norm {self}>"

    def __reduce__(self) -> tuple[Callable[[str], Norm], tuple[str]]:
        return parse_norm, (str(self),)


def free_change(
    builder: ProgramBuilder, low: FloatArray, high: FloatArray, quadratic: float = 0.0
) -> Change:
    """``delta`` itself, one variable an input."""
    import scipy.sparse as sp

    columns = builder.add_variables(low, high, quadratic=quadratic)
    return Change(sp.csr_array(sp.eye_array(columns.size)), columns)


def parse_norm(text: str) -> Norm:
    """Read ``l1``, ``l2``, ``linf`` or ``blend:W``, W being the weight of L1, in any case.

    Raises:
        InputError: anything else.
    """
    found: Norm | None = None
    family, _, number = text.lower().partition(":")
    if text.lower() in NORMS.names:
        found = NORMS.get(text.lower())
    elif family in FAMILIES.names and not math.isnan(weight := _number(number)):
        found = FAMILIES.make(family, weight)
    if found is None:
        known = f"{', '.join(NORMS.names)} or {':W, '.join(FAMILIES.names)}:W with 0 < W < 1"
        raise InputError(f"norm: expected {known}, found {str(text)!r}")
    return found


def _number(text: str) -> float:
    """The number that a text is, else NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan
