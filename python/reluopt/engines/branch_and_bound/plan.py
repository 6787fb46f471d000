"""What a search branched on, for the proof that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from reluopt.engines.branch_and_bound.events import Mark, TreeEvents
from reluopt.engines.branch_and_bound.leaf import LEAF


@dataclass(eq=False)
class Plan:
    """A node of a recorded tree.

    Attributes:
        neuron: what was branched on, ``LEAF`` for a leaf.
        children: inactive and active child.
        closed: whether the search was done with this leaf.
        refined: whether the search computed bounds anew here.
    """

    neuron: int = LEAF
    children: tuple[Plan, ...] = ()
    closed: bool = False
    refined: bool = False


@dataclass(eq=False)
class Recorder(TreeEvents):
    """Records one tree; the mark of an open node is its :class:`Plan`."""

    keeps_proof: ClassVar[bool] = True

    root: Plan = field(default_factory=Plan)

    def planted(self) -> Mark:
        """Begin anew."""
        self.root = Plan()
        return self.root

    def branched(self, mark: Mark, neuron: int) -> tuple[Mark, Mark]:
        """Split a node."""
        mark.neuron = neuron
        mark.children = inactive, active = Plan(), Plan()
        return inactive, active

    def fixed(self, mark: Mark, neuron: int, active: bool) -> Mark:
        """Split a node, and close one child."""
        children = self.branched(mark, neuron)
        children[not active].closed = True
        return children[active]

    def refined(self, mark: Mark) -> None:
        """Note it."""
        mark.refined = True

    def closed(self, mark: Mark) -> None:
        """Note it."""
        mark.closed = True
