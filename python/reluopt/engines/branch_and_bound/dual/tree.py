"""A tree of splits, many nodes at a time, depth first.

Nodes are bounded by an ascent in float32 (:mod:`.ascent`); one is closed when its bound, evaluated
with outward rounding (:mod:`.certificate`), exceeds the threshold, or when all its neurons are
decided and the linear program of what is left does (:mod:`.leaves`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.ascent import Climbed, Model, climb
from reluopt.engines.branch_and_bound.dual.branching import NONE, splits
from reluopt.engines.branch_and_bound.dual.cutting import Cut, Recipe
from reluopt.engines.branch_and_bound.dual.goals import Goal
from reluopt.engines.branch_and_bound.dual.leaves import leaf_trials
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES, Planes
from reluopt.engines.branch_and_bound.dual.slots import Batch, Free, taken
from reluopt.engines.branch_and_bound.threads import each
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

ROUNDING = 1e-6
"""By how much a bound in float32 must exceed the threshold, relative to the logits, for being worth
its evaluation with outward rounding; they differ by about 3e-7."""

NO_CUT = -1
"""Number of planes in records of trees without."""

SHARED = 64
"""Nodes that one thread bounds at a time; what is found does not depend on how many threads there
are."""

LOOK_EVERY = 1000
"""Nodes between two looks at the points where bounds are least."""


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

    @classmethod
    def roots(cls, batch: Batch, form: IntArray, record: Record | None) -> Nodes:
        """Nodes that nothing is known of, with new names in a record."""
        names = np.zeros(form.size, dtype=np.int64) if record is None else record.new(form.size)
        none = np.full(form.size, NONE, dtype=np.int64)
        return cls(batch, form, np.zeros(form.size, dtype=np.float32), none, names)

    def chosen(self, index: BoolArray | IntArray | slice) -> Nodes:
        """Copies of some of them."""
        parts = (self.form[index], self.bounds[index], self.split[index], self.names[index])
        return Nodes(self.batch.chosen(index), *parts)


def joined(parts: list[Nodes]) -> Nodes:
    """Nodes of several groups."""
    if len(parts) == 1:
        return parts[0]
    batch = Batch(*map(np.concatenate, zip(*(each.batch for each in parts), strict=True)))
    rest = ("form", "bounds", "split", "names")
    return Nodes(batch, *(np.concatenate([getattr(p, name) for p in parts]) for name in rest))


KeptLeaf: TypeAlias = tuple[int, tuple[AnyFloat, ...]]
"""Number of a leaf's planes, and the multipliers that closed it."""


@dataclass(eq=False)
class Record:
    """What a proof keeps: how nodes were split, and the multipliers that closed the leaves.

    Attributes:
        children: neuron and the names of inactive and active child, by name.
        leaves: by name, the number of their planes and multipliers.
        cuts: how planes were made; :data:`NO_CUT` is the number of none.
        count: names given so far.
    """

    children: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    leaves: dict[int, KeptLeaf] = field(default_factory=dict)
    cuts: list[Recipe] = field(default_factory=list)
    count: int = 0

    def new(self, count: int) -> IntArray:
        """Names for some nodes."""
        self.count += count
        return np.arange(self.count - count, self.count)

    def close(self, nodes: Nodes, which: IntArray, free: tuple[AnyFloat, ...], planes: int) -> None:
        """Keep what closed some nodes."""
        for b in which.tolist():
            self.leaves[int(nodes.names[b])] = planes, tuple(part[b].copy() for part in free)

    def add(self, made: Cut | None) -> int:
        """A number for some planes."""
        if made is None or made.recipe is None:
            return NO_CUT
        self.cuts.append(made.recipe)
        return len(self.cuts) - 1


@dataclass(frozen=True, eq=False)
class _Bounded:
    """What is found of some nodes.

    Attributes:
        climbed: by their ascents.
        ends: proven bounds of nodes that these may close, -inf elsewhere, and splits of the rest.
    """

    climbed: Climbed
    ends: tuple[FloatArray, IntArray]


class Tree:
    """The search below some roots.

    Attributes:
        model: network, planes and conditions in float32, and ``planes`` as they are.
        goal: forms and conditions in float64.
        threshold: what bounds must exceed; whoever owns the tree may lower it.
        record: what is kept for a proof, or None; ``cut`` the number of the planes in it.
        count: nodes bounded so far, and ``unseen`` those since the last look.
        stack: open nodes, and ``stuck`` leaves whose linear program proves nothing.
        least: the least bound that has closed a node, for each form.
        size: how large forms may be; 0 for mixtures of conditions.
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
        self.cut = NO_CUT
        self.threshold = 0.0
        self.count = 0
        self.stack: list[Nodes] = []
        self.stuck: list[Nodes] = []
        self.least = np.full(goal.constants.size, np.inf)
        self.unseen = LOOK_EVERY
        top = model.chain.layers[model.top]
        self.size = float(np.abs(goal.rows).sum(axis=1).max() * _median(top.magnitudes))

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
        return self.bound(Nodes.roots(batch, form, self.record), iterations)

    def grow(self, deadline: Deadline, most: float = np.inf) -> None:
        """Search until nothing is open, a look succeeds, or nodes or time are used."""
        while self.stack and not deadline.passed and self.count < most:
            if not self._expand(self._pop(NODES // 2)):
                return

    def widen(self) -> bool:
        """Open the half of all nodes that lacks most; False when a look has succeeded."""
        nodes = joined(self.stack)
        self.stack = [nodes.chosen(np.argsort(-nodes.bounds, kind="stable"))]
        return self._expand(self._pop(min((nodes.form.size + 1) // 2, NODES // 2)))

    def _expand(self, parents: Nodes) -> bool:
        """Bound the children of some nodes; False when a look has succeeded."""
        leaves = parents.split == NONE
        if leaves.any():
            if not self._solve_leaves(parents.chosen(leaves)):
                return False
            parents = parents.chosen(~leaves)
        if parents.form.size == 0:
            return True
        return self.bound(self._children(parents), self.model.chain.domain.steps) is not None

    def _pop(self, room: int) -> Nodes:
        """The nodes that were opened last."""
        taken: list[Nodes] = []
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
        parts = [slice(k, k + SHARED) for k in range(0, nodes.form.size, SHARED)]
        found = each(lambda part: self._bounded(nodes.chosen(part), iterations), parts)
        climbed = found[0].climbed.joined([part.climbed for part in found[1:]])
        safe, split = (np.concatenate(made) for made in zip(*(f.ends for f in found), strict=True))
        self.count += nodes.form.size
        self.unseen += nodes.form.size
        done = np.flatnonzero(safe > self.threshold)
        if done.size:
            np.minimum.at(self.least, nodes.form[done], safe[done])
            if self.record is not None:
                self.record.close(nodes, done, climbed.free, self.cut)
        left = np.flatnonzero(~(safe > self.threshold))
        if left.size == 0:
            return climbed
        if self._look is not None and self.unseen >= LOOK_EVERY:
            self.unseen = 0
            worst = left[np.argsort(climbed.bounds[left])[:16]]
            if self._look(climbed.points[worst], nodes.form[worst]):
                return None
        left = left[np.argsort(climbed.bounds[left], kind="stable")]
        kept = nodes.chosen(left)
        kept.batch = kept.batch.with_free(taken(climbed.free, left))
        kept.bounds, kept.split = climbed.bounds[left], split[left]
        self.stack.append(kept)
        return climbed

    def _bounded(self, nodes: Nodes, iterations: int) -> _Bounded:
        """Bound some nodes, and find how to split what that does not close."""
        enough = self.threshold + ROUNDING * self.size
        climbed = climb(self.model, nodes.batch, iterations, enough)
        safe = np.full(nodes.form.size, -np.inf)
        promising = np.flatnonzero(climbed.bounds > enough)
        if promising.size:
            safe[promising] = self.safe_bounds(nodes, promising, climbed.free)
        split, left = np.full(safe.size, NONE), np.flatnonzero(~(safe > self.threshold))
        if left.size:
            batch = nodes.batch.chosen(left).with_free(taken(climbed.free, left))
            split[left] = splits(self.model, batch, self.threshold)
        return _Bounded(climbed, (safe, split))

    def safe_bounds(self, nodes: Nodes, which: IntArray, free: Free) -> FloatArray:
        """Bounds of some nodes, rounded outward."""
        return self.safe(nodes.form[which], nodes.batch.phases[which], taken(free, which))

    def safe(self, form: IntArray, phases: ByteMatrix, free: tuple[AnyFloat, ...]) -> FloatArray:
        """Bounds for given forms, phases and multipliers, rounded outward."""
        return self.goal.bounds(self.model.chain, self.planes, form, phases, free)

    def _solve_leaves(self, leaves: Nodes) -> bool:
        """Linear programs of nodes without undecided neurons; False when one holds a witness."""
        for b in range(leaves.form.size):
            one = leaves.chosen(slice(b, b + 1))
            form, phases = one.form, one.batch.phases
            for trial in leaf_trials(self.model.chain, self.goal, int(form[0]), phases[0]):
                free = (trial.multipliers[None], one.batch.shares * 0.0, trial.mixture[None])
                safe = self.safe(form, phases, free)
                if safe[0] > self.threshold:
                    self.least[form[0]] = min(self.least[form[0]], safe[0])
                    if self.record is not None:
                        self.record.close(one, np.array([0]), free, self.cut)
                    break
                if trial.point is not None and self._look and self._look(trial.point[None], form):
                    return False
            else:
                self.stuck.append(one)
        return True


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else 1.0
