"""The tree of a network whose first units see a patch each: one for all alternatives.

The open node of the lowest bound comes first. Its program gets planes as long as they gain; the
input of its point is looked at, and so is the best one of that input's linear region. Then the
unit is split that is farthest above what it is at the point, weighted by the multipliers of its
planes: the piece that leads there leads, or does not. A neuron above is split into its phases.
"""

from __future__ import annotations

import heapq
import itertools
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from reluopt.engines.branch_and_bound.corners.units import units_of
from reluopt.engines.branch_and_bound.envelopes.program import (
    NOTHING,
    EnvelopeProgram,
    Fixed,
    Outcome,
)
from reluopt.engines.branch_and_bound.envelopes.reading import linear_region_of, split
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray

ROOT_ROUNDS, ROUNDS = 60, 6
"""Most rounds of planes at roots, and at other nodes."""

ROOT_AT_ONCE, AT_ONCE = 200, 24
"""Units that a round looks at, there and at other nodes."""

PATIENCE = 8
"""Rounds at roots before their gain counts: the first ones may gain nothing."""

GAIN = 2e-3
"""What a round must gain of what is missing, or of its bound, for another one to follow."""

LOOKS, LOOK_EVERY = 20, 5
"""Nodes each of which looks for images, and how often others do."""

MOST_SEEN, MOST_PIECES, MOST_NEURONS = 64, 6000, 128
"""Inputs that a piece may see, pieces of all first units (in each window counted anew), and hidden
neurons above: with more a program takes seconds to be written."""


def takes(network: ReLUNetwork) -> bool:
    """Whether a network's first units see little of the input, and little stands above them."""
    first, *above = units_of(network)
    if not above or not first.rectified:
        return False
    weight = first.pieces.weight
    if isinstance(weight, np.ndarray):
        widest = int(np.count_nonzero(weight, axis=1).max(initial=0))
    else:
        widest = int(np.diff(weight.indptr).max(initial=0))
    hidden = sum(own.pieces.output_size for own in above[:-1])
    plain = all(own.windows is None and own.rectified for own in above[:-1])
    pieces = first.pieces.output_size if first.windows is None else first.windows.size
    few = pieces <= MOST_PIECES and hidden <= MOST_NEURONS
    return plain and few and widest <= min(MOST_SEEN, network.input_size // 2)


class Host(Protocol):
    """Who wants to know.

    Attributes:
        nodes: counted here.
    """

    nodes: int

    @property
    def cutoff(self) -> float:
        """Nodes with a bound from here on are of no interest."""
        ...

    @property
    def done(self) -> bool:
        """Whether to stop."""
        ...

    @property
    def seconds(self) -> float:
        """How many a program may take."""
        ...

    def look(self, image: FloatArray, alternative: int) -> None:
        """Take an input that may meet an alternative."""
        ...

    def step(self, name: str) -> AbstractContextManager[None]:
        """Count what happens inside."""
        ...

    def told(self, bound: float) -> None:
        """Be told what is proven, after each node."""
        ...


@dataclass(order=True)
class _OpenNode:
    """An open node.

    Attributes:
        bound: proven for it.
        number: which one it is.
        alternative: whose.
        decisions: on the way here.
    """

    bound: float
    number: int
    alternative: int = field(compare=False)
    decisions: Fixed = field(compare=False)


class EnvelopeTree:
    """Grows over a program's set.

    Attributes:
        program: of the root.
        bound: proven of all alternatives; no more than the host's cutoff was.
        size: of the largest program.
    """

    def __init__(self, program: EnvelopeProgram, bound: float, host: Host) -> None:
        self.program, self.bound, self._host = program, bound, host
        self.size, self._floor = program.size, math.inf
        self._numbers = itertools.count()
        self._open: list[_OpenNode] = []
        for index in range(len(program.alternatives)):
            self._push(bound, index, NOTHING)

    def grow(self) -> None:
        """Process nodes until the host is done, or nothing of interest is left."""
        host = self._host
        while self._open and not host.done and self._open[0].bound < host.cutoff:
            host.nodes += 1
            node = heapq.heappop(self._open)
            for side in self._sides(node):
                self._push(node.bound, node.alternative, side)
            self._tell()
        self._tell()

    def _push(self, bound: float, alternative: int, decisions: Fixed) -> None:
        heapq.heappush(self._open, _OpenNode(bound, next(self._numbers), alternative, decisions))

    def _tell(self) -> None:
        """What is proven, from what is open."""
        least = self._open[0].bound if self._open else math.inf
        self.bound = max(self.bound, min(least, self._floor, self._host.cutoff))
        self._host.told(self.bound)

    def _sides(self, node: _OpenNode) -> list[Fixed]:
        """Bound a node; what it is split into, nothing where it is closed."""
        host, program = self._host, self.program
        program.decide(node.alternative, node.decisions)
        solved = self._solved(node)
        if node.bound >= host.cutoff:
            return []
        if host.done:
            return [node.decisions]
        sides = split(program, solved, node.decisions)
        if not sides:
            self._floor = min(self._floor, node.bound)
        often = host.nodes <= LOOKS or host.nodes % LOOK_EVERY == 0
        if solved.point is not None and (often or not sides):
            self._look(node.alternative, solved.point)
        return sides

    def _solved(self, node: _OpenNode) -> Outcome:
        """The node's program, with planes as long as they gain."""
        host, program, below = self._host, self.program, node.decisions.any
        self.size = max(self.size, program.size, key=lambda size: size["constraints"])
        last, most = (ROUNDS, AT_ONCE) if below else (ROOT_ROUNDS, ROOT_AT_ONCE)
        turn = 0
        while True:
            before = node.bound
            with host.step("node programs"):
                solved = program.solve(host.seconds)
            node.bound = max(node.bound, solved.bound)
            if solved.point is None or node.bound >= host.cutoff or host.done:
                return solved
            missing = min(host.cutoff, 2.0 * abs(node.bound)) - node.bound
            gained = node.bound - before >= GAIN * missing
            if turn == last or (not gained and turn > (0 if below else PATIENCE)):
                return solved
            if turn == 0 and not below:  # what planes are not needed for
                self._show(node.alternative, solved.point)
                if host.done:
                    return solved
            with host.step("planes"):
                if not program.add_planes(solved, node.decisions, most, host.seconds):
                    return solved
            turn += 1

    def _show(self, alternative: int, point: FloatArray) -> None:
        """Show a program's point to the host."""
        program = self.program
        self._host.look(program.changes.input(point[program.layout.p]), alternative)

    def _look(self, alternative: int, point: FloatArray) -> None:
        """Show a program's point to the host, and the best input of its linear region."""
        program, host = self.program, self._host
        with host.step("polishing"):
            self._show(alternative, point)
            program.decide(alternative, linear_region_of(program, point))
            found = program.solve(host.seconds).point
            if found is not None:
                self._show(alternative, found)
