"""What a norm brings to branch and bound, and where it is found.

A norm is a package beside this module, named in :data:`~reluopt.engines.branch_and_bound.NORMS`,
whose module ``norm`` has a :class:`NormSearch` called ``SEARCH``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound import NORMS
from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.events import TreeEvents
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.leaf import LeafCheck, Parts, Prover
from reluopt.engines.branch_and_bound.search import Search
from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import LogitConditions

B = TypeVar("B", bound=Ball)
"""What a norm knows of a ball."""


class GrowingTree(Protocol):
    """The tree of one alternative.

    Attributes:
        replants: whether to restart it when the incumbent has become clearly better.
        open: its open nodes, with vectors ``lower`` and ``upper``.
    """

    replants: bool
    open: list[Any]

    @property
    def bound(self) -> float:
        """Proven bound of the alternative; at most the cutoff when nothing is open."""
        ...

    @property
    def size(self) -> dict[str, int]:
        """``variables`` and ``constraints`` of the root's relaxation."""
        ...

    def step(self) -> None:
        """Process one node."""
        ...

    def descend(self, image: FloatArray) -> None:
        """Look for a better incumbent around a starting point; asked of trees that grow large."""
        ...


class Squeezer(Protocol):
    """Bounds for trees that grow large: better than propagation gives, and dearer."""

    def patience(self, search: Search, tree: GrowingTree, root_bound: float) -> int:
        """Nodes of a tree after which they are worth it."""
        ...

    def proven_radius(self, search: Search, alternatives: Iterable[int]) -> float:
        """A distance below which no input meets any of the alternatives, 0 if none is found."""
        ...

    def squeezed(self, search: Search, alternative: int, ball: Ball) -> tuple[Ball, float]:
        """A ball of this alternative alone, and a proven bound on the alternative's objective."""
        ...


class LargeTrees(Protocol):
    """Alternatives whose trees have grown large."""

    def tried(self, most: float) -> bool:
        """Whether so many nodes show that nothing that beats the incumbent is left."""
        ...

    def proven(self) -> float:
        """A proven bound on the objectives; the cutoff where nothing better is left."""
        ...


class Finisher(Protocol):
    """Another way to search trees that have grown large."""

    PATIENCE: int
    FEW: int

    def takes(self, frame: Frame) -> bool:
        """Whether it can be used."""
        ...

    def large_trees(
        self,
        search: Search,
        alternatives: Sequence[int],
        bounds: list[float],
        descend: Callable[[FloatArray, int], None],
    ) -> LargeTrees:
        """Some alternatives, with proven bounds of all, which are raised in place."""
        ...


class BallForms(Protocol):
    """Bounds over balls about large networks that know that neurons share one budget.

    Attributes:
        slow: whether linear forms are worth their time before.
    """

    slow: bool

    def excluded_radius(
        self, known: float, most: float, deadline: Deadline, report: Callable[[float], None]
    ) -> float:
        """A radius from ``known``, at most ``most``, within which every alternative is excluded.

        Every radius is reported as it is shown.
        """
        ...

    def undecided(self, radius: float, enough: int, deadline: Deadline) -> int:
        """How many units may switch within a ball; more than ``enough`` stands for any number."""
        ...

    def narrowed(self, ball: Ball, deadline: Deadline) -> Ball:
        """A ball with the phases that they decide."""
        ...


@dataclass(frozen=True)
class NormSearch(Generic[B]):
    """Search and proofs in one norm.

    Attributes:
        parts: what a leaf's certificate consists of.
        ball: bounds over a ball of some radius, from valid bounds of all neurons (left alone).
        objective_outside: lower bound on the objective outside of a radius; infinite where nothing
            is.
        tree: grows an alternative over a ball, given a listener and what grew there until now.
        squeezer: better bounds, if there are any for such a network.
        check: who checks the leaves of a proof about some conditions over a ball.
        prover: who proves them.
        finisher: who takes large trees over, if anyone does; proofs do not keep what it finds.
        forms: forms better than linear ones, of networks that are folded, if there are any.
        heavy: undecided neurons beyond which one relaxation takes a minute, or gigabytes.
    """

    parts: Parts
    ball: Callable[[Frame, float, FloatArray, FloatArray], B]
    objective_outside: Callable[[Frame, float], float]
    tree: Callable[[Search, int, B, TreeEvents, GrowingTree | None], GrowingTree]
    squeezer: Callable[[Frame], Squeezer | None]
    check: Callable[[Frame, LogitConditions, B], LeafCheck]
    prover: Callable[[Frame, LogitConditions, B], Prover]
    heavy: int
    finisher: Finisher | None = None
    forms: Callable[[Frame], BallForms] | None = None


def norm_search(norm: object) -> NormSearch[Any]:
    """How a norm is searched.

    Raises:
        InputError: it is none that is.
    """
    if str(norm) not in NORMS:
        raise InputError(f"bnb: expected norm {' or '.join(NORMS)}, found {norm}")
    found: NormSearch[Any] = import_module(f"{__package__}.{norm}.norm").SEARCH
    return found
