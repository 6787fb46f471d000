"""What a norm brings to branch and bound, and where it is found.

A norm is a package beside this module, named in :data:`~reluopt.engines.branch_and_bound.NORMS`,
whose module ``norm`` has a :class:`NormSearch` called ``SEARCH``.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Protocol

from reluopt.engines.branch_and_bound import NORMS
from reluopt.engines.branch_and_bound.ball import Ball
from reluopt.engines.branch_and_bound.events import TreeEvents
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.leaf import LeafCheck, Parts, Prover
from reluopt.engines.branch_and_bound.search import Search
from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import LogitConditions


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


class NormSearch(Protocol):
    """Search and proofs in one norm."""

    @property
    def parts(self) -> Parts:
        """What a leaf's certificate consists of."""
        ...

    def ball(self, frame: Frame, radius: float, lower: FloatArray, upper: FloatArray) -> Ball:
        """Bounds over a ball, from valid bounds of all neurons (which are left alone)."""
        ...

    def objective_outside(self, frame: Frame, radius: float) -> float:
        """Lower bound on the objective of inputs outside the ball; infinite without any."""
        ...

    def tree(
        self,
        search: Search,
        alternative: int,
        ball: Ball,
        events: TreeEvents,
        before: GrowingTree | None,
    ) -> GrowingTree:
        """A tree over a ball; ``before`` is what grew in its place until now."""
        ...

    def squeezer(self, frame: Frame) -> Squeezer | None:
        """Better bounds, if there are any for such a network."""
        ...

    def check(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> LeafCheck:
        """Who checks the leaves of a proof."""
        ...

    def prover(self, frame: Frame, conditions: LogitConditions, ball: Ball) -> Prover:
        """Who proves the leaves."""
        ...


def norm_search(norm: object) -> NormSearch:
    """How a norm is searched.

    Raises:
        InputError: it is none that is.
    """
    if str(norm) not in NORMS:
        raise InputError(f"bnb: expected norm {' or '.join(NORMS)}, found {norm}")
    found: NormSearch = import_module(f"{__package__}.{norm}.norm").SEARCH
    return found
