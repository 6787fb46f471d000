"""What a search over a domain ends with, and the trees that a proof of it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from reluopt.engines.branch_and_bound.dual.attack import Witness
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.tree import Record


@dataclass(eq=False)
class Grown:
    """A tree that a proof needs.

    Attributes:
        chain: which of the search's chains bounds it.
        record: what it was grown to.
    """

    chain: int
    record: Record


@dataclass(eq=False)
class Decision:
    """What a search over a domain ends with.

    Attributes:
        witness: an input that meets an alternative, or what the attack takes for one, or None.
        slack: proven upper bound on the slack of every alternative; negative where none is met.
        nodes: nodes of all trees, semidefinite programs among them.
        excluded: alternatives that are proven to be met by no input, whatever became of the others;
            all of an empty decision are named by :meth:`among` alone.
        chains: networks over the domain, of a proof that is kept.
        proofs: of each alternative that holds no input the tree that shows it and the number of
            its root, when asked for.
    """

    witness: Witness | None = None
    slack: float = math.inf
    nodes: int = 0
    excluded: list[int] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    proofs: dict[int, tuple[Grown, int]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether it is proven that no input meets an alternative."""
        return self.witness is None and self.slack < 0.0

    def among(self, left: Sequence[int]) -> Decision:
        """What was found of some alternatives, renumbered by their places among all."""
        witness = None if self.witness is None else self.witness.among(left)
        gone = left if self.empty else [left[place] for place in self.excluded]
        return replace(self, witness=witness, excluded=list(gone))
