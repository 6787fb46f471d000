"""Searches of large networks: balls that grow from what is proven to the incumbent's.

Relaxations are dense, and for few neurons. Over the incumbent's ball most neurons of a convolution
may be undecided, over a smaller one hardly any is. So a network that is folded
(:mod:`.folding`) is searched one ball after the other:

1. the incumbent is improved in linear regions, and bisection finds a radius within which linear
   forms exclude every alternative;
2. the ball grows by :data:`GROWTH`; the network is folded over it and its trees are grown as if the
   radius were the incumbent's. Either nothing lies within, and the radius is the proven bound, or
   something does, and it becomes the incumbent;
3. the last ball is the incumbent's, and closes the gap. Where no more neurons are undecided over it
   than relaxations take lightly it is the only one.

Networks whose first units see little of the input (:mod:`.envelopes`) are searched over the
incumbent's ball as a whole after the first step, unless a proof is kept or few neurons are
undecided. A search that ends before leaves the largest proven radius. Small networks with poolings,
which are led (:mod:`.leading`), come here, too. Undecided neurons are counted as a network lowers,
or by the norm's forms; of led ones there are fewer.
"""

from __future__ import annotations

import math

import numpy as np

from reluopt.answers.solution import Incumbent
from reluopt.attacks.linear_regions import MAX_STARTS, improve_by_linear_regions
from reluopt.bounds.conditions import hopeless_over
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.ball import Ball, bare_ball, folded
from reluopt.engines.branch_and_bound.envelopes import nearest as enveloped
from reluopt.engines.branch_and_bound.forest import UNSETTLED, Forest, find_incumbents
from reluopt.engines.branch_and_bound.norm_search import norm_search
from reluopt.engines.branch_and_bound.plan import Plan
from reluopt.engines.branch_and_bound.search import Search
from reluopt.engines.branch_and_bound.simplifying import is_simplified
from reluopt.errors import InputError
from reluopt.numerics.input_sets import with_radius

LIGHT = 250
"""Undecided neurons over the incumbent's ball up to which it is searched at once."""

GROWTH = 1.2
"""A ball's radius relative to that of the one before. The last, hardest ball decides the time."""

LEAST_GROWTH = 1.02
"""Smaller steps than this are not worth a search of their own."""

SHRINKAGE = 0.7
"""Steps down to a ball that relaxations take, for a proof of what linear forms have shown."""

WALKING_SHARE = 0.15
"""Most of the time that better incumbents may take."""

FORMS_SHARE = 0.8
"""Most of the time that the norm's own forms may take: they ask for less and less a step."""

LINEAR_SHARE = 0.3
"""Most of that for linear forms, where they come first."""

CLEARLY = 1.25
"""How many more than relaxations take the norm's forms must leave undecided for not counting what
linear forms leave: of `cnn-small` in L2 that is 1 to 5 % less."""

NARROW = 30.0
"""How many pixels may change as far as they can, from which on a box is narrow for a ball: the
norm's forms know of it in the first layer and at the end alone."""

HALVINGS = 8
"""Balls that the bisection tries."""


class Balls:
    """Grows one forest after the other; see the module.

    Attributes:
        search: what all share.
        bound: proven bound on the task's optimum.
        plans: what was branched on in the largest ball that was proven, or else in the last.
        size: of the largest root relaxation.
        message: why it ended before its time with an open gap.
    """

    message = UNSETTLED

    def __init__(self, search: Search, seed: int, keeps_proof: bool) -> None:
        self.search, self._seed, self._keeps_proof = search, seed, keeps_proof
        self._whole = search.frame
        norm = norm_search(search.frame.task.norm)
        self._outside, self._heavy = norm.objective_outside, norm.heavy
        known = None if keeps_proof else norm.forms  # replays know linear forms alone
        self._forms = None if known is None else known(self._whole)
        self.bound = 0.0
        self.size: dict[str, int] = {}
        self.plans: list[Plan] = []
        self._last: Ball | None = None

    @property
    def bounds(self) -> list[float]:
        """Proven bounds of the alternatives: all that is known of each."""
        return [self.bound] * len(self._whole.task.alternatives)

    def grow(self) -> None:
        """Search until the gap is closed or time is up."""
        search = self.search
        for index in range(len(self._whole.task.alternatives)):
            search.offer(np.array(self._whole.task.image), index)
        if search.objective <= 0.0:
            return
        starts = find_incumbents(search, self._seed) if search.best is None else []
        if self._undecided(search.radius) <= LIGHT:
            self._grow_within(search.radius, starts)
            return
        self._walk(starts)
        if search.out_of_time:
            return
        with search.step("linear forms"):
            radius = self._excluded_radius(search.radius)
        self._shown(radius)
        if not self._keeps_proof and enveloped.takes(self._whole):
            self._grow_envelopes()
            return
        if self._keeps_proof:  # of what relaxations can show by now, should nothing else be proven
            least = radius
            while self._undecided(least) > self._heavy:
                least *= SHRINKAGE
            self._stand(least)
            self.plans = [Plan() for _ in self._whole.task.alternatives]
        self._widen(radius, starts)

    def _grow_envelopes(self) -> None:
        """Search the incumbent's ball as a whole, by envelopes of the first units."""
        tree = enveloped.nearest_tree(self.search, self.bound)
        self.size = tree.size
        self._found(tree.bound)

    def _walk(self, starts: list[Incumbent]) -> None:
        """Walk from the nearest images through linear regions, as trees of small balls do not."""
        search, frame = self.search, self._whole
        deadline = search.deadline.share(WALKING_SHARE)
        with search.step("linear regions"):
            for start in starts[:MAX_STARTS]:
                found = improve_by_linear_regions(
                    frame.network, frame.task, start, deadline=deadline
                )
                search.offer(found.image, found.alternative)

    def _widen(self, radius: float, starts: list[Incumbent]) -> None:
        """Search ever larger balls."""
        growth = GROWTH
        search = self.search
        while growth > LEAST_GROWTH and self.bound < search.final_cutoff:
            if search.out_of_time:
                return
            wanted = min(max(radius, 1e-3 * search.reach) * growth, search.reach)
            undecided = self._undecided(wanted)
            if undecided <= self._heavy and self._grow_within(wanted, starts):
                radius = wanted
                continue
            growth = math.sqrt(growth)
            if undecided > self._heavy:
                self.message = f"{undecided} neurons are undecided in the next ball: too many"

    def _stand(self, radius: float) -> None:
        """Let the search look at a ball alone.

        Raises:
            InputError: too many neurons are undecided over it.
        """
        search, ceiling = self.search, self._outside(self._whole, radius)
        if radius >= search.reach or ceiling == math.inf:  # nothing of interest lies outside
            radius, ceiling = max(radius, search.reach), math.inf
        search.frame = folded(self._whole, self._ball(radius), leads=not self._keeps_proof)
        search.ceiling = ceiling

    def _grow_within(self, radius: float, starts: list[Incumbent]) -> bool:
        """Search a ball; whether it was searched to its end."""
        search, before = self.search, (self.search.frame, self.search.ceiling)
        try:
            with search.step("folding"):
                self._stand(radius)
        except InputError:
            return False
        known = self._excluded(radius)
        forest = Forest(search, self._seed, self._keeps_proof, starts, known)
        forest.grow()
        self.size = max(self.size, forest.size, key=lambda size: size.get("variables", 0))
        done = forest.bound >= search.cutoff
        self._found(
            forest.bound if search.ceiling == math.inf else min(forest.bound, search.cutoff)
        )
        if done or not self.plans:
            self.plans = forest.plans
        else:  # a proof is made of the ball before
            search.frame, search.ceiling = before
        return done

    def _shown(self, radius: float) -> None:
        """Nothing lies within a radius."""
        self._found(self._outside(self._whole, radius))

    def _found(self, bound: float) -> None:
        self.bound = max(self.bound, bound)
        self.search.report(self.bound)

    def _ball(self, radius: float) -> Ball:
        """Bounds over a ball; the last ones are kept, since each is looked at several times."""
        if self._last is None or self._last.radius != radius:
            deadline = NEVER if self._keeps_proof else self.search.deadline  # replays have none
            self._last = bare_ball(self._whole, radius, deadline)
            if self._forms is not None:
                self._last = self._forms.narrowed(self._last, deadline)
        return self._last

    def _undecided(self, radius: float) -> int:
        """Undecided neurons over a ball; no fewer are looked for where there are too many."""
        if self._forms is not None and radius > 0.0 and not self._is_narrow(radius):
            clearly = int(CLEARLY * self._heavy)
            count = self._forms.undecided(radius, clearly, self.search.deadline)
            if count > clearly:
                return count
        ball = self._ball(radius)
        return int(np.count_nonzero(self._whole.undecided(ball.lower, ball.upper)))

    def _excluded_radius(self, most: float) -> float:
        """A radius within which linear forms, or those of the norm, exclude every alternative."""
        if self._forms is None or most <= 0.0:
            return self._linearly_excluded_radius(most, self.search.deadline)
        known, deadline = 0.0, self.search.deadline.share(FORMS_SHARE)
        if self._forms.slow or self._is_narrow(most):
            known = self._linearly_excluded_radius(most, deadline.share(LINEAR_SHARE))
            self._shown(known)
        return self._forms.excluded_radius(known, most, deadline, self._shown)

    def _is_narrow(self, radius: float) -> bool:
        """Whether the box, of which only linear forms know much, cuts most off a ball."""
        reach = np.maximum(np.abs(self._whole.inputs.low), np.abs(self._whole.inputs.high))
        return radius > NARROW * float(reach.max(initial=0.0))

    def _linearly_excluded_radius(self, most: float, deadline: Deadline) -> float:
        """A radius within which linear forms exclude every alternative."""
        least, count = 0.0, len(self._whole.task.alternatives)
        for _ in range(HALVINGS):
            radius = 0.5 * (least + most) if least else most / 4.0
            if len(self._excluded(radius)) == count:
                least = radius
            else:
                most = radius
            if self.search.out_of_time or deadline.passed:
                break
        return least

    def _excluded(self, radius: float) -> frozenset[int]:
        """Alternatives that linear forms exclude within a radius."""
        frame, ball = self._whole, self._ball(radius)
        alternatives = frame.task.alternatives
        if ball.empty:
            return frozenset(range(len(alternatives)))
        inputs = with_radius(frame.inputs, radius)
        return hopeless_over(frame.flat, inputs, (ball.lower, ball.upper), alternatives)


def grown(search: Search, seed: int, keeps_proof: bool) -> Forest | Balls:
    """What has grown until a search ended: trees over balls, or over the incumbent's alone."""
    kind = Balls if is_simplified(search.frame.network, keeps_proof) else Forest
    forest = kind(search, seed, keeps_proof)
    forest.grow()
    return forest
