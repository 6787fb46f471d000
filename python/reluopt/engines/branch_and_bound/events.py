"""What a tree tells whoever listens, so that nobody has to look into it."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

Mark: TypeAlias = Any
"""What a listener wants to remember of a node; open nodes carry it, trees never look at it."""


class TreeEvents:
    """A listener; this one does not care. :class:`~.plan.Recorder` records.

    A node that is neither branched nor closed stays open with its mark.

    Attributes:
        keeps_proof: whether a proof is made of it, so that branchings alone may decide phases.
    """

    keeps_proof: ClassVar[bool] = False

    def planted(self) -> Mark:
        """A tree begins (anew, perhaps); the mark of its root."""
        return None

    def branched(self, mark: Mark, neuron: int) -> tuple[Mark, Mark]:
        """A node was split on a hidden neuron; marks of the inactive and the active child."""
        del mark, neuron
        return None, None

    def fixed(self, mark: Mark, neuron: int, active: bool) -> Mark:
        """One child of a node was proven empty, and the node became the other; its new mark."""
        del mark, neuron, active

    def refined(self, mark: Mark) -> None:
        """Bounds of a node were computed anew."""

    def closed(self, mark: Mark) -> None:
        """A node was done with."""
