r"""Linf distances by verdicts: an incumbent at radius r, a proof that r (1 - gap) holds nothing.

The ball of Linf is a box, so no row says how large a change is: :mod:`.deciding` asks the box of
radius :math:`r (1 - gap)` for an input that meets the task. What it finds is moved to the nearest
point of its linear region (:mod:`.region`) and is the next incumbent; a box without any ends the
search, and its radius is the bound. The first one is what a few gradient steps find in a box about
as large as the linear model asks for. Boxes of smaller radii, bounded at their roots alone, give a
first bound; of a tree that grows large, boxes of most of the radius come first, each searched to
its end. Networks that are folded over boxes are searched in growing boxes (:mod:`.growing`).

Of several alternatives each is weakened to the one condition that the image misses most: an empty
box stays a proof, and all alternatives then share one tree. An input that meets the condition but
no alternative, which margins allow, ends that: from then on all conditions are asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Incumbent
from reluopt.attacks.linear_model import distances_of_alternatives
from reluopt.attacks.linear_regions import improve_by_linear_regions
from reluopt.attacks.minimum_norm import minimum_norm_starts
from reluopt.attacks.start import starting_points
from reluopt.deadline import Deadline
from reluopt.engines.base import Progress, ProgressCallback
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack, Witness
from reluopt.engines.branch_and_bound.dual.boxes import folded_over
from reluopt.engines.branch_and_bound.dual.deciding import Effort, decided
from reluopt.engines.branch_and_bound.dual.decision import Decision
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.excluded import Excluded
from reluopt.engines.branch_and_bound.dual.frontiers import Frontiers
from reluopt.engines.branch_and_bound.dual.growing import grow
from reluopt.engines.branch_and_bound.dual.proof import BoxProof, made_proof
from reluopt.engines.branch_and_bound.dual.region import nearest_in_linear_region
from reluopt.engines.branch_and_bound.dual.verdict import DomainSearch
from reluopt.engines.branch_and_bound.dual.within_ball import SMALLER
from reluopt.engines.branch_and_bound.folding import is_folded
from reluopt.engines.branch_and_bound.repair import repaired
from reluopt.engines.branch_and_bound.search import BELOW_ZERO, REPAIRABLE
from reluopt.engines.branch_and_bound.simplifying import is_simplified
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms.base import Ends, Norm
from reluopt.questions.tasks import Alternative, Task

NEAREST, GROWTH = 1.1, 3.0
"""The first box in which an image is looked for, relative to the linear model's distance; and the
next ones, each relative to the one before."""

START_STEPS = 12
"""Gradient steps in each of them."""

RISING = (1, 2, 2, 4, 4, 8, 8, 16, 16, 32)
"""Steps of the first looks for an image in a box: mostly there is none, and the tree is small."""

HALVINGS = 6
"""Radii at which roots alone are bounded for a first bound."""

WHOLE_SHARE = 0.6
"""Share of the time left that the incumbent's box may take where networks are folded."""

INCUMBENT_SHARE = 0.15
"""Share of the time left that one look for an image may take where networks are folded."""

PROMISING = 1.15
"""Images of the minimum-norm attack within this factor of the incumbent are moved on."""

FEW, LOOKS, AGAIN = 250_000, 6_000, 1_000
"""Nodes of dual bounds, about 20 s, after which smaller boxes come first; and before semidefinite
programs where the box may hold a nearer image, which looks of dual trees find sooner; and the same
once a box has taken so many."""


@dataclass(eq=False)
class DistanceSearch:
    """A running search for a distance.

    Attributes:
        network, task: what is asked.
        gap: relative gap that is good enough.
        deadline: when to stop.
        seed: of attacks.
        best: incumbent or None.
        bound: proven bound on the distance; infinite when nothing meets the task.
        nodes: of all trees.
        message: what the last search has to say.
        keep: whether the last search keeps a proof, and ``proof`` that.
        progress: is told what is known, and ``started`` since when.
        _large, _looked: whether smaller boxes have been searched, and one box has taken
            :data:`LOOKS` nodes.
        _attacked: whether the minimum-norm attack has been tried.
        _together: whether all conditions of an alternative are asked for.
        _excluded: alternatives that are met by no input within some radius.
        _frontiers: what trees of programs left open.
    """

    network: ReLUNetwork
    task: Task
    gap: float
    deadline: Deadline
    seed: int
    best: Incumbent | None = None
    bound: float = 0.0
    nodes: int = 0
    message: str = ""
    keep: bool = False
    proof: BoxProof | None = None
    progress: ProgressCallback | None = None
    started: float = field(default_factory=time.perf_counter)
    _nearest_miss: Witness | None = None
    _large: bool = False
    _looked: bool = False
    _attacked: bool = False
    _together: bool = False

    def __post_init__(self) -> None:
        self._excluded = Excluded(len(self.task.alternatives))
        self._frontiers = Frontiers()

    @property
    def objective(self) -> float:
        """Of the incumbent."""
        return math.inf if self.best is None else self.best.objective

    @property
    def cutoff(self) -> float:
        """Radius up to which nothing may be found for the gap to be closed."""
        best = self.objective
        return best if best == math.inf else best - self.gap * max(best, GAP_DENOMINATOR_FLOOR)

    def offer(self, image: FloatArray, alternative: int) -> None:
        """Take an image that meets an alternative, and the nearest of linear regions about it."""
        self.take(image, alternative)
        start = Incumbent(image, self.task.distance(image), alternative)
        nearest = improve_by_linear_regions(
            self.network,
            self.task,
            start,
            1 if is_folded(self.network) else None,
            deadline=self._looking,
            solver=nearest_in_linear_region,
        )
        self.take(nearest.image, alternative)

    def take(self, image: FloatArray, alternative: int) -> None:
        """Take an image that meets an alternative, if it is better."""
        objective = self.task.distance(image)
        slack = self.task.alternatives[alternative].conditions.slack(self.network.forward(image))
        if objective < self.objective and float(slack.min(initial=0.0)) >= 0.0:
            self.best = Incumbent(image, objective, alternative)
            self.report()

    def _nearer(self) -> bool:
        """Whether the minimum-norm attack, which easy problems do without, finds a nearer image."""
        if self._attacked or self.best is None:
            return False
        self._attacked, before = True, self.objective
        asked = [each.conditions for each in self.task.alternatives]
        given = self.network, self.task, asked, PROMISING, self._looking
        for start in minimum_norm_starts(*given).incumbents:
            if start.objective <= PROMISING * before:
                self.offer(start.image, start.alternative)
        return self.objective < before

    def report(self) -> None:
        """Tell what is known."""
        if self.progress is not None:
            elapsed = time.perf_counter() - self.started
            bound = min(self.bound, self.objective)
            self.progress(Progress(self.objective, bound, self.nodes, elapsed))

    def start(self) -> None:
        """Look for an image in boxes about what the linear model asks for, or by all means.

        Rows of linear regions of large networks take long, so that they begin nearer.
        """
        distances, missing = distances_of_alternatives(self.network, self.task)
        first = int(np.argmin(distances))
        if distances[first] == 0.0:
            self.take(self.task.image, first)
        if self.best is not None:
            return
        radius = NEAREST * float(distances[first])
        widest = 0.0 if is_folded(self.network) else self._widest * GROWTH
        while 0.0 < radius < widest and not self.deadline.passed:
            ends = replace(self.task.inputs, norm=Norm.LINF, radius=radius).ends
            attack = BoxAttack(self.network, self.task.alternatives, *ends, self.seed)
            near = np.flatnonzero(distances <= radius).tolist()
            found = attack.run(*attack.starts(near, 1), START_STEPS)
            if found is not None:
                self.offer(found.image, found.alternative)
                return
            gained = 0.0
            if attack.best is not None:
                gained = 1.0 + attack.best.slack / missing[attack.best.alternative]
            radius *= min(max(NEAREST / max(gained, 1e-6), NEAREST), GROWTH)
        given = (self.network, self.task)
        for start in starting_points(*given, seed=self.seed, deadline=self._looking)[:1]:
            self.offer(start.image, start.alternative)

    @property
    def _widest(self) -> float:
        """Largest change of a single input in the box."""
        return float((self.task.box.upper - self.task.box.lower).max(initial=0.0))

    @property
    def _folds(self) -> bool:
        """Whether networks are led or folded over boxes."""
        return is_simplified(self.network, self.keep)

    @property
    def _looking(self) -> Deadline:
        """When to stop looking for an image."""
        return self.deadline.share(INCUMBENT_SHARE) if is_folded(self.network) else self.deadline

    def run(self) -> None:
        """Search until the gap is closed or time is over."""
        if self._folds and not grow(self):
            return
        while self.cutoff > 0.0 and not (self.deadline.passed or self._closed):
            radius, before = self.cutoff, self.objective
            most = math.inf if self._large or self._folds else FEW
            until = self.deadline.share(WHOLE_SHARE) if self._folds else self.deadline
            decision = self._decided(radius, until, most)
            if self.objective < before:
                continue
            if self._open(decision, until) and decision.nodes >= most and not self._large:
                self._bound_smaller()
                continue
            if decision.witness is None and not decision.empty and self._repair():
                continue
            if decision.witness is not None:
                self.offer(decision.witness.image, decision.witness.alternative)
                if not self.objective < before:
                    self.message = "an image of the box is no improvement"
                    return
                continue
            if decision.empty:
                self.bound = radius
            elif self._folds:
                if grow(self, min(radius, self._widest)):
                    continue
            elif not self._large:
                self.bound_roots(radius)
            return

    def emptied(self, radius: float, until: Deadline) -> bool:
        """Whether a smaller box is empty, which is reported; an image in it is taken."""
        decision = self._decided(radius, until)
        if decision.witness is not None:
            self.offer(decision.witness.image, decision.witness.alternative)
        elif decision.empty:
            self.bound = max(self.bound, radius)
            self.report()
        else:
            self._repair()
        return decision.empty

    def _open(self, decision: Decision, until: Deadline) -> bool:
        """Whether a search ended without an answer before its time."""
        return decision.witness is None and not decision.empty and not until.passed

    @property
    def _closed(self) -> bool:
        """Whether the gap is closed by a box that has been searched, and a proof kept if asked."""
        return self.bound >= self.cutoff and not (self.keep and self.proof is None)

    def _bound_smaller(self) -> bool:
        """Radii that are proven to hold nothing: of a large tree what is known when time is up.

        Returns whether they hold no better image either, so that the tree is still wanted.
        """
        self._large, before = True, self.objective
        self.bound_roots(self.cutoff)
        for share in SMALLER:
            radius = share * self.cutoff
            if radius > self.bound and not (
                self.deadline.passed or self.emptied(radius, self.deadline)
            ):
                break
        return not self.objective < before

    def _repair(self) -> bool:
        """Whether the last search's best input, moved until it meets its alternative, is better."""
        miss, before = self._nearest_miss, self.objective
        if miss is None or not miss.slack >= -REPAIRABLE:
            return False
        asked = self.task.alternatives[miss.alternative]
        image = repaired(self.network, self.task, asked, miss.image)
        if image is not None:
            self.take(image, miss.alternative)
        return self.objective < before

    @cached_property
    def _worst(self) -> list[int]:
        """The condition of each alternative that the image misses most; all of a single one."""
        if len(self.task.alternatives) == 1:
            return [-1]
        logits = self.network.forward(self.task.image)
        slacks = [each.conditions.slack(logits) for each in self.task.alternatives]
        return [-1 if slack.size == 1 else int(np.argmin(slack)) for slack in slacks]

    def _weakened(self, chosen: list[int]) -> tuple[Alternative, ...]:
        """The alternatives with the chosen condition of each, or all for -1."""
        pairs = zip(self.task.alternatives, chosen, strict=True)
        return tuple(each.weakened(row) for each, row in pairs)

    def _box(self, radius: float, asked: tuple[Alternative, ...]) -> tuple[Ends, Task]:
        """Ends of the box of a radius, and what is asked of it."""
        ends = replace(self.task.inputs, norm=Norm.LINF, radius=radius).ends
        return ends, replace(self.task, alternatives=asked)

    def _decided(self, radius: float, until: Deadline, most: float = math.inf) -> Decision:
        """What a box holds: of one condition of each alternative or, where that may be met, all."""
        everything = [-1] * len(self._worst)
        if not self._together and self._worst != everything:
            decision = self._decide(radius, self._worst, until, most)
            missed = decision.witness is not None and not decision.witness.slack >= 0.0
            self._together = self._together or missed
            wanted = self._open(decision, until) and radius <= self.cutoff  # nearer ones end it
            if not missed and not (wanted and decision.nodes < most):
                return decision
        return self._decide(radius, everything, until, most)

    def _decide(
        self, radius: float, chosen: list[int], until: Deadline, most: float = math.inf
    ) -> Decision:
        """What the box of a radius holds; a proof, if it closes the gap and one shall be kept.

        After ``most`` nodes it ends undecided; where trees of programs go on, smaller boxes are
        searched within this call, and may leave another incumbent.
        """
        self.message, keep = "", self.keep and radius >= self.cutoff
        # Of a proof that is kept each alternative is part.
        left = list(range(len(chosen))) if keep else self._excluded.left(radius)
        self._nearest_miss = None
        if not left:
            return Decision(slack=BELOW_ZERO)
        weakened = self._weakened(chosen)
        asked = tuple(weakened[i] for i in left)
        whole = tuple(self.task.alternatives[i] for i in left)
        ends, task = self._box(radius, asked)
        attack = BoxAttack(self.network, whole, *ends, self.seed, RISING, asked)

        def meanwhile(gone: Sequence[int]) -> bool:
            self._excluded.add([left[i] for i in gone], radius)
            return self._bound_smaller()

        # Folded networks are others over each box, and so are the neurons of their nodes.
        begun = {} if self._folds else self._frontiers.within(radius, left, chosen)
        effort = Effort(keep, most, begun=begun)
        if most < math.inf:
            few = AGAIN if self._looked else LOOKS
            effort = Effort(keep, most, few, self._nearer, meanwhile, begun)
        try:
            decision = decided(self.network, task, ends, until, attack, effort).among(left)
        except InputError as error:
            self.message, decision = str(error), Decision()
        self._excluded.add(decision.excluded, radius)
        self._frontiers.keep(radius, left, chosen, begun)
        self._nearest_miss = None if attack.best is None else attack.best.among(left)
        self.nodes += decision.nodes
        self._looked = self._looked or decision.nodes >= LOOKS
        if keep and decision.empty:
            self.proof = made_proof(self.network, self.task, radius, chosen, decision)
        return decision

    def bound_roots(self, radius: float) -> None:
        """A radius at which roots alone prove that there is nothing, by bisection."""
        low, high = 0.0, min(radius, self._widest)
        for step in range(HALVINGS if high > 0.0 else 0):
            middle = high if step == 0 else 0.5 * (low + high)
            low, high = (middle, high) if self._empty_at_roots(middle) else (low, middle)
            if low == high:
                break
        self.bound = max(self.bound, low)

    def _empty_at_roots(self, radius: float) -> bool:
        """Whether roots exclude what is left of a box."""
        left, weakened = self._excluded.left(radius), self._weakened(self._worst)
        if not left:
            return True
        ends, task = self._box(radius, tuple(weakened[i] for i in left))
        try:
            folded = folded_over(self.network, task, ends, keeps_proof=self.keep)
        except InputError as error:
            self.message = str(error)
            return False
        given = folded.network, BoxDomain(*ends), folded.task.alternatives
        return folded.empty or DomainSearch(*given, Deadline.after(0.0)).run().empty
