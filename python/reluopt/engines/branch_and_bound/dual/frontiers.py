"""Trees of programs that go on over smaller boxes about the same image.

A nearer image makes the box smaller. What a tree has shown to be empty stays empty there, so that
the tree for its label goes on with what it left open; of boxes that are much smaller a new tree is
smaller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reluopt.engines.branch_and_bound.l2.boxes import OpenNode

NEAR = 0.95
"""Trees go on over boxes of at least this share of their radius: 1 % less is usual, and a tree of
half as many programs would do for 10 % less."""


class _Frontier(NamedTuple):
    """What a tree left open: its box' radius, the condition that was asked for, and the nodes."""

    radius: float
    condition: int
    nodes: list[OpenNode]


class Frontiers:
    """What is open of trees of programs, by alternative."""

    def __init__(self) -> None:
        self._known: dict[int, _Frontier] = {}

    def within(
        self, radius: float, which: Sequence[int], conditions: Sequence[int]
    ) -> dict[int, list[OpenNode]]:
        """What may be open within a radius, by place among some alternatives.

        Args:
            radius: of the box.
            which: the alternatives.
            conditions: of every alternative the one condition that is asked for, or -1 for all.
        """
        found = {}
        for place, alternative in enumerate(which):
            known = self._known.get(alternative)
            if known is None or known.condition != conditions[alternative]:
                continue
            if NEAR * known.radius <= radius <= known.radius:
                found[place] = known.nodes
        return found

    def keep(
        self,
        radius: float,
        which: Sequence[int],
        conditions: Sequence[int],
        left: Mapping[int, list[OpenNode]],
    ) -> None:
        """What the trees over a box left open; see :meth:`within`."""
        for place, nodes in left.items():
            alternative = which[place]
            self._known[alternative] = _Frontier(radius, conditions[alternative], nodes)
