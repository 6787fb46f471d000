"""Distances in L1: the tree over the incumbent's ball, whose planes are lowered as it shrinks."""

from __future__ import annotations

from contextlib import AbstractContextManager

from reluopt.engines.branch_and_bound.corners.units import units_of
from reluopt.engines.branch_and_bound.envelopes import tree
from reluopt.engines.branch_and_bound.envelopes.neurons import bounded_program
from reluopt.engines.branch_and_bound.envelopes.patches import Changes
from reluopt.engines.branch_and_bound.envelopes.program import EnvelopeProgram
from reluopt.engines.branch_and_bound.envelopes.tree import EnvelopeTree
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.search import Search
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms.base import Norm

LOWERED_AT = 0.99
"""Planes are lowered once the incumbent is below this share of the radius that they are about."""


class _Host:
    """A search, as the tree takes it."""

    def __init__(self, search: Search, program: EnvelopeProgram) -> None:
        self._search, self._program = search, program

    @property
    def nodes(self) -> int:
        return self._search.nodes

    @nodes.setter
    def nodes(self, count: int) -> None:
        self._search.nodes = count

    @property
    def cutoff(self) -> float:
        return self._search.cutoff

    @property
    def done(self) -> bool:
        return self._search.out_of_time

    @property
    def seconds(self) -> float:
        return self._search.deadline.solver_seconds

    def look(self, image: FloatArray, alternative: int) -> None:
        self._search.offer(self._search.frame.task.box.clip(image), alternative)

    def step(self, name: str) -> AbstractContextManager[None]:
        return self._search.step(name)

    def told(self, bound: float) -> None:
        self._search.report(bound)
        if self._search.radius < LOWERED_AT * self._program.changes.radius:
            self._program.narrow(self._search.radius)


def takes(frame: Frame) -> bool:
    """Whether a search is one that :func:`nearest_tree` knows.

    In L2 envelopes over a ball are no better than lines.
    """
    plain = frame.bias_errors is None and frame.inputs.tilt == 0.0
    return plain and frame.task.norm is Norm.L1 and tree.takes(frame.network)


def nearest_tree(search: Search, known: float) -> EnvelopeTree:
    """The grown tree of an L1 search from its incumbent.

    Args:
        search: of a kind that :func:`takes`.
        known: a proven bound on the objective.
    """
    frame = search.frame
    changes = Changes.within(frame.inputs, search.radius)
    given = changes, units_of(frame.network), frame.task.alternatives
    with search.step("bounds of neurons"):
        program = bounded_program(*given, search.deadline)
    made = EnvelopeTree(program, known, _Host(search, program))
    made.grow()
    return made
