"""A tree of splits, many nodes at a time, depth first.

Nodes are bounded by an ascent in float32 (:mod:`.ascent`); one is closed when its bound, evaluated
with outward rounding (:mod:`.certificate`), exceeds the threshold, or when all its neurons are
decided and the linear program of what is left does (:mod:`.leaves`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.ascent import Batch, Climbed, Free, Model, climb
from reluopt.engines.branch_and_bound.dual.branching import NONE, splits
from reluopt.engines.branch_and_bound.dual.goals import Goal
from reluopt.engines.branch_and_bound.dual.leaves import Leaf, solve_leaf
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES, Planes
from reluopt.numerics.arrays import (
    AnyFloat,
    BoolArray,
    ByteMatrix,
    FloatArray,
    IntArray,
    SingleArray,
)

NODES = 256
"""Nodes bounded at once."""

ITERATIONS = 8
"""Steps of an ascent in a node: its multipliers are the parent's to begin with."""

ROUNDING = 1e-6
"""By how much a bound in float32 must exceed the threshold, relative to the logits, for being worth
its evaluation with outward rounding; they differ by about 3e-7."""

ATTACK_EVERY = 4
"""Batches between two looks at the points where bounds are least."""


@dataclass(eq=False)
class Nodes:
    """Some nodes.

    Attributes:
        batch: their forms, phases and multipliers.
        form: which of the goal's forms, shape ``(nodes,)``.
        bounds: their bounds in float32.
        split: neuron to split next.
        names: their numbers in the record.
    """

    batch: Batch
    form: IntArray
    bounds: SingleArray
    split: IntArray
    names: IntArray

    def chosen(self, index: BoolArray | IntArray | slice) -> Nodes:
        """Copies of some of them."""
        parts = (self.form[index], self.bounds[index], self.split[index], self.names[index])
        return Nodes(self.batch.chosen(index), *parts)


def joined(parts: list[Nodes]) -> Nodes:
    """Nodes of several groups."""
    if len(parts) == 1:
        return parts[0]
    arrays = ("rows", "constants", "phases", "multipliers", "shares", "mixture")
    batch = Batch(*(np.concatenate([getattr(p.batch, name) for p in parts]) for name in arrays))
    rest = ("form", "bounds", "split", "names")
    return Nodes(batch, *(np.concatenate([getattr(p, name) for p in parts]) for name in rest))


@dataclass(eq=False)
class Record:
    """What a proof keeps: how nodes were split, and the multipliers that closed the leaves.

    Attributes:
        children: neuron and the names of inactive and active child, by name.
        leaves: multipliers, by name.
        count: names given so far.
    """

    children: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    leaves: dict[int, tuple[AnyFloat, ...]] = field(default_factory=dict)
    count: int = 0

    def new(self, count: int) -> IntArray:
        """Names for some nodes."""
        self.count += count
        return np.arange(self.count - count, self.count)

    def close(self, nodes: Nodes, which: IntArray, free: tuple[AnyFloat, ...]) -> None:
        """Keep what closed some nodes."""
        for b in which.tolist():
            parts = tuple(part[b].copy() for part in free)
            self.leaves[int(nodes.names[b])] = parts


class Tree:
    """The search below some roots.

    Attributes:
        model: network, planes and conditions in float32, and ``planes`` as they are.
        goal: forms and conditions in float64.
        threshold: what bounds must exceed; whoever owns the tree may lower it.
        record: what is kept for a proof, or None.
        count: nodes bounded so far.
        stack: open nodes, and ``stuck`` leaves whose linear program proves nothing.
        least: the least bound that has closed a node, for each form.
    """

    def __init__(
        self,
        model: Model,
        goal: Goal,
        planes: Planes = NO_PLANES,
        record: Record | None = None,
        look: Callable[[AnyFloat, IntArray], bool] | None = None,
    ) -> None:
        self.model, self.goal, self.planes = model, goal, planes
        self.record, self._look = record, look
        self.threshold = 0.0
        self.count = 0
        self.stack: list[Nodes] = []
        self.stuck: list[Nodes] = []
        self.least = np.full(goal.constants.size, np.inf)
        self._batches = 0
        top = model.chain.layers[model.top]
        self._scale = ROUNDING * float(
            np.abs(goal.rows).sum(axis=1).max() * _median(top.magnitudes)
        )

    @property
    def open(self) -> int:
        """How many nodes are waiting."""
        return sum(nodes.form.size for nodes in self.stack)

    def open_forms(self) -> IntArray:
        """Forms of which something is open."""
        parts = [nodes.form for nodes in (*self.stack, *self.stuck)]
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *parts]))

    def proven(self) -> FloatArray:
        """What each form is proven to be at least, open nodes included."""
        least = self.least.copy()
        for nodes in (*self.stack, *self.stuck):
            safe = self.safe_bounds(nodes, np.arange(nodes.form.size), nodes.batch.free)
            np.minimum.at(least, nodes.form, safe)
        return least

    def plant(self, batch: Batch, form: IntArray, iterations: int) -> Climbed | None:
        """Bound roots, and put those that are not closed on the stack; None as for a look."""
        record = self.record
        names = np.zeros(form.size, dtype=np.int64) if record is None else record.new(form.size)
        none = np.full(form.size, NONE, dtype=np.int64)
        nodes = Nodes(batch, form, np.zeros(form.size, dtype=np.float32), none, names)
        return self.bound(nodes, iterations)

    def grow(self, deadline: Deadline, most: float = np.inf) -> None:
        """Search until nothing is open, a look succeeds, or nodes or time are used."""
        while self.stack and not deadline.passed and self.count < most:
            parents = self._pop()
            leaves = parents.split == NONE
            if leaves.any():
                if not self._solve_leaves(parents.chosen(leaves)):
                    return
                parents = parents.chosen(~leaves)
            if parents.form.size and not self.bound(self._children(parents), ITERATIONS):
                return

    def _pop(self) -> Nodes:
        """The nodes that were opened last."""
        taken: list[Nodes] = []
        room = NODES // 2
        while self.stack and room:
            nodes = self.stack.pop()
            if nodes.form.size > room:
                cut = nodes.form.size - room
                self.stack.append(nodes.chosen(slice(None, cut)))
                nodes = nodes.chosen(slice(cut, None))
            taken.append(nodes)
            room -= nodes.form.size
        return joined(taken)

    def _children(self, parents: Nodes) -> Nodes:
        """Both sides of every split, the active ones behind the inactive ones."""
        count = parents.form.size
        both = parents.chosen(np.tile(np.arange(count), 2))
        index = np.arange(2 * count), both.split
        both.batch.phases[index] = np.repeat(np.array([-1, 1], dtype=np.int8), count)
        both.batch.multipliers[index] = 0.0
        if self.record is not None:
            both.names = self.record.new(2 * count)
            pairs = zip(
                parents.names, parents.split, both.names[:count], both.names[count:], strict=True
            )
            for name, neuron, inactive, active in pairs:
                self.record.children[int(name)] = (int(neuron), int(inactive), int(active))
        return both

    def bound(self, nodes: Nodes, iterations: int) -> Climbed | None:
        """Bound nodes; what stays open is looked at, split and put on the stack."""
        enough = self.threshold + self._scale
        climbed = climb(self.model, nodes.batch, iterations, enough)
        self.count += nodes.form.size
        self._batches += 1
        closed = np.zeros(nodes.form.size, dtype=bool)
        promising = np.flatnonzero(climbed.bounds > enough)
        if promising.size:
            safe = self.safe_bounds(nodes, promising, climbed.free)
            done = promising[safe > self.threshold]
            closed[done] = True
            np.minimum.at(self.least, nodes.form[done], safe[safe > self.threshold])
            if self.record is not None:
                self.record.close(nodes, done, climbed.free)
        left = np.flatnonzero(~closed)
        if left.size == 0:
            return climbed
        if self._look is not None and self._batches % ATTACK_EVERY == 1:
            worst = left[np.argsort(climbed.bounds[left])[:16]]
            if self._look(climbed.points[worst], nodes.form[worst]):
                return None
        left = left[np.argsort(climbed.bounds[left], kind="stable")]
        free = tuple(part[left] for part in climbed.free)
        kept = nodes.chosen(left)
        kept.batch = kept.batch.with_free(free)  # type: ignore[arg-type]
        kept.bounds = climbed.bounds[left]
        kept.split = splits(self.model, kept.batch, self.threshold)
        self.stack.append(kept)
        return climbed

    def safe_bounds(self, nodes: Nodes, which: IntArray, free: Free) -> FloatArray:
        """Bounds of some nodes, rounded outward."""
        return self.safe(
            nodes.form[which], nodes.batch.phases[which], tuple(p[which] for p in free)
        )

    def safe(self, form: IntArray, phases: ByteMatrix, free: tuple[AnyFloat, ...]) -> FloatArray:
        """Bounds for given forms, phases and multipliers, rounded outward."""
        return self.goal.bounds(self.model.chain, self.planes, form, phases, free)

    def _solve_leaves(self, leaves: Nodes) -> bool:
        """Linear programs of nodes without undecided neurons; False when one holds a witness."""
        for b in range(leaves.form.size):
            one = leaves.chosen(slice(b, b + 1))
            solved: Leaf = solve_leaf(
                self.model.chain, self.goal, int(one.form[0]), one.batch.phases[0]
            )
            known, look = solved.point, self._look
            if known is not None and look and look(known[None], one.form):
                return False
            closed = False
            for multipliers, mixture in solved.duals:
                free = (multipliers[None], one.batch.shares * 0.0, mixture[None])
                safe = self.safe(one.form, one.batch.phases, free)
                if safe[0] > self.threshold:
                    closed = True
                    self.least[one.form[0]] = min(self.least[one.form[0]], safe[0])
                    if self.record is not None:
                        self.record.close(one, np.array([0]), free)
                    break
            if not closed:
                self.stuck.append(one)
        return True


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else 1.0
