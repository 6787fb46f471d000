"""Does a domain hold an input that meets an alternative? Attack, bounds, tree; planes and trees.

Cheap steps come first, and what they settle is dropped: a few gradient steps, linear bounds of all
alternatives, gradient steps from the points at which these are least, and, in boxes, a tree without
planes over all alternatives together. What is still open then is hard, and worth planes
(:mod:`.cutting`): for the bounds of the layers behind the first, and for each alternative before a
tree of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual import programs
from reluopt.engines.branch_and_bound.dual.ascent import Model, climb, singles
from reluopt.engines.branch_and_bound.dual.attacker import Attack
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.cutting import Cut, bound_last_with_planes
from reluopt.engines.branch_and_bound.dual.decision import Decision, Grown
from reluopt.engines.branch_and_bound.dual.domains import Domain
from reluopt.engines.branch_and_bound.dual.fan import fan
from reluopt.engines.branch_and_bound.dual.goals import Goal, goal_of
from reluopt.engines.branch_and_bound.dual.grove import Grove, Pace
from reluopt.engines.branch_and_bound.dual.layers import ITERATIONS, bounded_chain
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES, Planes
from reluopt.engines.branch_and_bound.dual.slots import Batch
from reluopt.engines.branch_and_bound.dual.squeezing import squeeze_last
from reluopt.engines.branch_and_bound.dual.tree import NO_CUT, Nodes, Record, Tree
from reluopt.engines.branch_and_bound.l2.boxes import OpenNode
from reluopt.engines.branch_and_bound.search import BELOW_ZERO
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import AnyFloat, FloatArray, FloatMatrix, IntArray, SingleMatrix
from reluopt.questions.tasks import Alternative

FIRST_STEPS, FIRST_STARTS = 12, 1
"""Gradient steps and starts of the attack before any bound."""

STARTS = 6
"""Starts for each alternative that linear bounds leave open."""

PLAIN_NODES = 3000
"""Nodes of the tree without planes over a box: about 0.1 s, what planes cost."""

FEW = 3000
"""Nodes in all, more for large programs, after which semidefinite programs (:mod:`.programs`) take
over: those without planes alone, mostly."""

PATIENCE, SOON = 100, 0.3
"""Programs for one alternative, 4 to 8 s, and share of the time that is left, after which something
else comes meanwhile: most trees are done by then."""

LONG = 100_000
"""Nodes after which bounds of the layers behind the first by trees of their own (:mod:`.squeezing`)
pay where programs cannot be solved: about 10 s."""


class DomainSearch:
    """One search; see the module.

    With a ``gap`` the largest slack is looked for, not its sign: nodes are closed by what the
    attack has found best so far, up to this gap, and no input ends the search. It ends undecided
    after ``most`` nodes, unless semidefinite programs can go on, which take over after ``few``.
    Before planes are made ``settles`` says whether it is settled otherwise. When trees of programs
    have become large ``meanwhile`` is called, once, with the alternatives that are excluded by
    then: it says whether the search is still wanted. These trees begin with what ``begun`` has of
    larger domains, and leave there what they end with. With ``linear`` a tree of linear programs
    comes before planes, which chains of ReLUs that led poolings become need; no proof is kept of
    it.
    """

    def __init__(
        self,
        network: ReLUNetwork,
        domain: Domain,
        alternatives: Sequence[Alternative],
        deadline: Deadline,
        known: Sequence[FloatMatrix] = (),
        attack: Attack | None = None,
        *,
        keep: bool = False,
        gap: float | None = None,
        most: float = math.inf,
        few: int | None = None,
        settles: Callable[[], bool] | None = None,
        meanwhile: Callable[[Sequence[int]], bool] | None = None,
        begun: dict[int, list[OpenNode]] | None = None,
        linear: bool = False,
    ) -> None:
        self._gap, self._most = gap, most
        self._few = FEW if few is None else few
        self._network, self._domain, self._known = network, domain, known
        self._alternatives = alternatives
        self._deadline, self._attack, self._keep = deadline, attack, keep
        self.decision = Decision()
        self._settles, self._meanwhile = settles, meanwhile
        self._begun = {} if begun is None else begun
        self._unwanted, self._linear = False, linear
        self._slacks = np.full(len(alternatives), np.inf)
        self._open = list(range(len(alternatives)))
        self._grown: dict[int, Grown] = {}

    def run(self) -> Decision:
        """Search until all is proven, a witness is found, or time is over."""
        found = self.decision
        self._steps()
        found.excluded = self._excluded
        if found.witness is None:
            found.slack = float(self._slacks.max(initial=-np.inf))
            if self._keep and self._open:  # bounds of open nodes may do, and are no proof to keep
                found.slack = max(found.slack, 0.0)
        return found

    @property
    def _excluded(self) -> list[int]:
        """Alternatives that are shown to be met by no input."""
        shown = np.flatnonzero(self._slacks < 0.0).tolist() if self._gap is None else []
        return [i for i in shown if i not in self._open]

    def _steps(self) -> None:
        if self._attacked(*self._starts(FIRST_STARTS), FIRST_STEPS):
            return
        chain = self._chain(planes=False)
        trees: list[tuple[list[int], Tree]] = []
        for group in self._groups():
            if trees and self._over():  # the first one's roots are bounded without any time, too
                break
            trees.append((group, self._planted(chain, group)))
        if self.decision.witness is None and self._open:
            self._attacked(*self._starts(STARTS), None)
        for _, tree in trees:
            if self.decision.witness is not None:
                return
            if tree.open and self._domain.is_box:
                tree.threshold = self._threshold
                tree.grow(self._deadline, PLAIN_NODES)
        if self.decision.witness is not None:
            return
        for group, tree in trees:
            self._finish(group, tree)
        self._unwanted = bool(self._open and self._settles is not None and self._settles())
        if self._open and not self._over():
            self._with_planes()

    def _starts(self, restarts: int) -> tuple[SingleMatrix, IntArray]:
        """Points to attack from."""
        if self._attack is None:
            return np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64)
        return self._attack.starts(self._open, restarts)

    def _attacked(self, points: SingleMatrix, which: IntArray, steps: int | None) -> bool:
        """Whether an attack from some points has found a witness."""
        if self._attack is None or which.size == 0:
            return False
        found = self._attack.run(points, which, steps)
        if found is not None:
            self.decision.witness = found
        return found is not None

    def _seen(self, images: FloatArray, which: IntArray) -> bool:
        """Whether one of some inputs is a witness as it is."""
        if self._attack is None:
            return False
        found = self._attack.check(images, which, np.zeros(which.size))
        if found is not None:
            self.decision.witness = found
        return found is not None

    def _chain(self, *, planes: bool, trees: bool = False) -> Chain:
        """The network over the domain, bounded with or without planes, and trees."""

        def tighten(chain: Chain) -> None:
            if planes and not self._deadline.passed:
                undecided = chain.layers[-1].undecided
                bound_last_with_planes(chain, undecided, deadline=self._deadline)
            if trees:
                squeeze_last(chain, self._deadline)

        given = self._network, self._domain, tighten, self._known, self._deadline
        chain = bounded_chain(*given, keep=self._keep)
        if self._keep:
            self.decision.chains.append(chain)
        return chain

    def _groups(self) -> list[list[int]]:
        """Alternatives that share a tree: those of one condition, and each other by itself."""
        single = [i for i in self._open if self._alternatives[i].conditions.rhs.size == 1]
        others = [[i] for i in self._open if self._alternatives[i].conditions.rhs.size != 1]
        return [single, *others] if single else others

    def _goal(self, group: Sequence[int]) -> Goal:
        """That none of some alternatives is met."""
        return goal_of([self._alternatives[i].conditions for i in group])

    def _model(self, chain: Chain, goal: Goal, planes: Planes = NO_PLANES) -> Model:
        return Model.of(chain, planes, conditions=singles(goal.conditions))

    def _planted(self, chain: Chain, group: Sequence[int]) -> Tree:
        """A tree over some alternatives without planes, its roots bounded."""
        goal = self._goal(group)
        tree = self._tree(self._model(chain, goal), goal, NO_PLANES, group, self._record())
        batch = goal.root(chain)
        climbed = tree.plant(batch, np.arange(len(group)), ITERATIONS)
        self._settle(group, tree)
        if climbed is not None and tree.open and self._attack is not None:
            where = np.isin(np.asarray(group), self._open)
            points = np.array([chain.domain.inputs(point) for point in climbed.points[where]])
            if not self._attacked(points, np.asarray(group)[where], None):
                fan(tree, climbed.points)
                self._settle(group, tree)
        return tree

    def _record(self) -> Record | None:
        """What trees over the last chain are kept in."""
        if not self._keep:
            return None
        record = Record()
        self._grown[id(record)] = Grown(len(self.decision.chains) - 1, record)
        return record

    def _tree(
        self,
        model: Model,
        goal: Goal,
        planes: Planes,
        group: Sequence[int],
        record: Record | None,
    ) -> Tree:
        chain, names = model.chain, np.asarray(group, dtype=np.int64)

        def look(points: AnyFloat, form: IntArray) -> bool:
            images = np.array([chain.domain.inputs(point) for point in points])
            found = self._seen(images, names[form]) or self._attacked(images, names[form], None)
            tree.threshold = self._threshold
            return found

        tree = Tree(model, goal, planes, record, look if self._attack is not None else None)
        tree.threshold = self._threshold
        return tree

    @property
    def _threshold(self) -> float:
        """What forms must exceed: 0 for a sign, else what the best slack so far leaves to find."""
        if self._gap is None or self._attack is None:
            return 0.0
        if self._attack.best is None:
            return math.inf
        best = self._attack.best.slack
        return -(best + self._gap * max(abs(best), GAP_DENOMINATOR_FLOOR))

    def _settle(self, group: Sequence[int], tree: Tree | Grove) -> None:
        """Drop alternatives of which nothing is open any more; a witness leaves trees in pieces."""
        if self.decision.witness is not None:
            return
        left = set(tree.open_forms().tolist())
        for form, alternative in enumerate(group):
            if form not in left and alternative in self._open:
                self._slacks[alternative] = -float(tree.least[form])
                self._open.remove(alternative)
                if tree.record is not None:
                    self.decision.proofs[alternative] = (self._grown[id(tree.record)], form)

    def _finish(self, group: Sequence[int], tree: Tree | Grove) -> None:
        """Count a tree, drop what it has settled, and take the bounds of what it has not."""
        self.decision.nodes += tree.count
        self._settle(group, tree)
        bounds = tree.proven()
        for form, alternative in enumerate(group):
            self._slacks[alternative] = min(self._slacks[alternative], -float(bounds[form]))

    def _with_planes(self) -> None:
        """The second half: hard alternatives, one after the other, the easiest first."""
        if self._linear and not self._keep and self._gap is None:
            self._solve_linear_programs()
        if not self._open or self._over():
            return
        pace, chain = Pace(), self._chain(planes=True)
        if not self._keep and self._gap is None and programs.fit(chain):
            before = programs.nodes_before(chain, self._few)
            most = min(self.decision.nodes + before, max(before, self._few), self._most)
            self._grow_all(chain, pace, most)
            if not self._over():
                self._solve_programs(chain)
        if not self._open or self._over():
            return
        longest = math.inf if self._keep else self.decision.nodes + LONG
        self._grow_all(chain, pace, min(longest, self._most))
        if self._open and longest < self._most and not self._over():
            self._grow_all(self._chain(planes=True, trees=True), pace, self._most)

    def _solve_linear_programs(self) -> None:
        """A tree of linear programs for all open alternatives of a small network that was led."""
        asked = [self._alternatives[i] for i in self._open]
        found = programs.linear(self._network, self._domain, self._known, asked, self._deadline)
        if found.empty:
            self._slacks[self._open] = BELOW_ZERO
            self._open = []
        elif found.image is not None:
            images = np.repeat(found.image[None].astype(np.float32), len(self._open), axis=0)
            self._attacked(images, np.array(self._open), None)
        self.decision.nodes += found.nodes

    def _solve_programs(self, chain: Chain) -> None:
        """Trees of semidefinite programs for all open alternatives, the easiest first."""
        for root, goal, alternative in self._promising(chain):
            if self._over():
                return

            def look(image: FloatArray, which: int = alternative) -> bool:
                return self._attacked(image[None].astype(np.float32), np.array([which]), None)

            conditions = self._alternatives[alternative].conditions
            tree = programs.tree_over(self._network, chain, conditions, look, self._deadline)
            tree.resume(self._begun.get(alternative, []))
            tree.grow(PATIENCE, self._deadline.share(SOON))
            if tree.open and not self._over() and self._is_wanted():
                tree.grow()
            if tree.stuck and not (tree.open or self._over()):
                below = self._tree(self._model(chain, goal), goal, NO_PLANES, [alternative], None)
                programs.finish(tree, self._network, below, root, self._deadline)
                self.decision.nodes += below.count
            self.decision.nodes += tree.count
            self._begun[alternative] = tree.open + tree.stuck
            if tree.empty and self.decision.witness is None:
                self._open.remove(alternative)
                self._slacks[alternative] = BELOW_ZERO

    def _is_wanted(self) -> bool:
        """Whether the search goes on, which is asked for once."""
        if self._meanwhile is not None:
            asked, self._meanwhile = self._meanwhile, None
            self._unwanted = not asked(self._excluded)
        return not self._unwanted

    def _grow_all(self, chain: Chain, pace: Pace, most: float) -> None:
        """Trees for all open alternatives, until one stays open or there are too many nodes."""
        for batch, goal, alternative in self._promising(chain):
            if self._over():
                break
            grove = self._grove(chain, goal, alternative, pace, most)
            root = Nodes.roots(batch, np.zeros(1, dtype=np.int64), grove.record)
            grove.grow(root, self._deadline)
            if self.decision.witness is not None:
                self.decision.nodes += grove.count
                return
            self._finish([alternative], grove)
            if grove.open_forms().size:
                break

    def _over(self) -> bool:
        """Whether there is a witness, no time, or nobody who wants the answer."""
        return self.decision.witness is not None or self._unwanted or self._deadline.passed

    def _grove(self, chain: Chain, goal: Goal, alternative: int, pace: Pace, most: float) -> Grove:
        """Trees for one alternative, nodes with planes of their own."""

        def plant(made: Cut | None, record: Record | None) -> Tree:
            planes = NO_PLANES if made is None else made.planes
            model = self._model(chain, goal, planes)
            tree = self._tree(model, goal, planes, [alternative], record)
            tree.cut = NO_CUT if record is None else record.add(made)
            return tree

        model, left = self._model(chain, goal), most - self.decision.nodes
        return Grove(model, plant, self._record(), pace, self._over, left)

    def _promising(self, chain: Chain) -> list[tuple[Batch, Goal, int]]:
        """Open alternatives with their roots, bounded without planes, the easiest first."""
        found = []
        for alternative in self._open:
            goal = self._goal([alternative])
            batch = goal.root(chain)
            climbed = climb(self._model(chain, goal), batch, ITERATIONS)
            batch = batch.with_free(climbed.free)
            found.append((float(climbed.bounds[0]), batch, goal, alternative))
        found.sort(key=lambda each: -each[0])
        return [each[1:] for each in found]
