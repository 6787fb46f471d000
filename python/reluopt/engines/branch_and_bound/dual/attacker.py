"""Who looks for inputs that end a search over a domain, as searches see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reluopt.engines.branch_and_bound.dual.attack import Witness
from reluopt.numerics.arrays import AnyFloat, FloatArray, IntArray, SingleMatrix


class Attack(Protocol):
    """Who looks for witnesses.

    Attributes:
        best: the input of the largest slack so far, of any sign, or None.
    """

    best: Witness | None

    def starts(self, alternatives: Sequence[int], restarts: int) -> tuple[SingleMatrix, IntArray]:
        """Points to begin with, and which alternative each is for."""
        ...

    def run(
        self, points: SingleMatrix, which: IntArray, steps: int | None = None
    ) -> Witness | None:
        """Move points towards alternatives; a witness ends it."""
        ...

    def check(self, points: AnyFloat, which: IntArray, slacks: FloatArray) -> Witness | None:
        """The first of the most promising points that ends the search as it is."""
        ...
