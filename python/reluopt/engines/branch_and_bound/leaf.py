"""Leaves of a proof: what proves one, who checks it, and who finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from reluopt.numerics.arrays import FloatArray

EMPTY, BOUND, FARKAS = 0, 1, 2
"""Kinds of leaves: empty by its bounds alone; bounded by multipliers; empty by multipliers."""

LEAF = -1
"""In place of the neuron that a node is branched on."""

Parts: TypeAlias = tuple[tuple[str, type[np.float64] | type[np.int64]], ...]
"""Names and types (float64 or int64) of the vectors that make a certificate."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """What proves a leaf.

    Attributes:
        kind: ``EMPTY``, ``BOUND`` or ``FARKAS``.
        parts: the certificate (see :attr:`~.norm_search.NormSearch.parts`); nothing for ``EMPTY``.
    """

    kind: int
    parts: tuple[np.ndarray, ...] = ()


class LeafCheck(Protocol):
    """Evaluates certificates of one alternative over one ball."""

    def bound(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> float:
        """Safe bound of a leaf with these bounds of all neurons; -inf when it proves nothing.

        Infinite where the leaf is proven to be empty.
        """
        ...

    def stated(self, leaf: Leaf, lower: FloatArray, upper: FloatArray) -> dict[str, FloatArray]:
        """Parts that independent checkers read in the place of the leaf's own, if any."""
        ...


class Trial(NamedTuple):
    """What one try at a node gave.

    Attributes:
        leaf: the certificate.
        bound: what it proves.
        neuron: what to branch on if that is not enough, ``LEAF`` if there is nothing.
        warm: warm start of the children.
    """

    leaf: Leaf
    bound: float
    neuron: int
    warm: Any


class Prover(Protocol):
    """Proves nodes of one alternative."""

    check: LeafCheck

    def attempt(self, lower: FloatArray, upper: FloatArray, warm: Any, cutoff: float) -> Trial:
        """Try to prove that the node holds nothing below ``cutoff``."""
        ...
