"""Stages: bounds over all inputs, and what the leaves of trees show that begin there."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

from reluopt_check.bounds import Bounds, Rule, Used
from reluopt_check.exact import INFINITY, NEAR, ONE, ZERO, Vector, plus
from reluopt_check.files import File, need
from reluopt_check.model import Plane

OBJECTIVE, EMPTY = 1, 2
"""Kinds of leaves: the objective counts, or conditions alone are missed."""
Row = tuple[dict[int, Decimal], dict[int, Used]]
"""Multipliers of neurons, and planes that are used."""


class Stage:
    """What all norms share; there is a class for each.

    Attributes:
        above: what the upper bounds exceed of neurons that trees count, in turn.
        parts: tensors that hold each leaf's numbers.
    """

    parts, above = "", -INFINITY

    def __init__(self, file: File, place: int, bounds: Bounds, old: Bounds) -> None:
        self.file, self.place, self.bounds, self.claim = file, place, bounds, bounds.claim
        self.names = [h for h, high in enumerate(bounds.high) if high > self.above]
        self.net, self.active, self.planes = self.claim.net, dict[int, Decimal](), dict[int, Used]()
        need(bounds.confirm(old, self.ways), "bounds that no input has")

    def ways(self, h: int, sign: int) -> Iterable[Rule]:
        """How else a bound may be shown."""
        return ()

    def leaves(self, t: int) -> Iterable[tuple[Any, ...]]:
        """Kind and numbers of each leaf of a tree."""
        kinds = self.file.take(f"tree.{t}.kinds", None, kind=int)
        names = self.parts.format(t).split()
        return zip(kinds, *(self.file.pieces(name, len(kinds)) for name in names), strict=True)


class L1(Stage):
    """Planes pass through the corners: no change, and the whole radius on one input.

    They are used from the second stage on, with lines below ReLUs that touch them at p = 0.
    """

    parts = "tree.{0}.neurons tree.{0}.conditions tree.{0}.balls"

    def ways(self, h: int, sign: int) -> Iterable[Rule]:
        """By the planes of the layers below, whose bounds have been shown before."""
        return [self._with_planes(self.net.form(h, ONE)[0])]

    def _with_planes(self, top: int) -> Rule:
        """Make those of the layers below one: through what ReLUs are at most at the corners."""
        claim, radius = self.claim, self.claim.radius or ONE
        rule = self.bounds.rule(self.active, self.planes)
        open_ = self.bounds.undecided() if self.place else []
        for h in (h for h in open_ if h < self.net.starts[top] and h not in self.planes):
            low, _ = self.bounds.carried(*self.net.form(h, ONE), rule)
            start, fall = self.bounds.carried(*self.net.form(h, -ONE), rule)
            corners = [max(-start - radius * v, ZERO) for v in (ZERO, *fall)]
            cost = [NEAR.divide(corner - corners[0], radius) for corner in corners[1:]]
            self.active[h] = Decimal(low > 0)
            self.planes[h] = ONE, claim.above(-start, [-v for v in fall], cost)
        return rule

    def value(self, t: int, bounds: Bounds, kind: int, *numbers: Any) -> Decimal:
        """Multipliers of neurons are slopes; those of balls say how much of a plane is used."""
        pi, mu, tau = numbers
        need(len(pi) == len(tau) == self.net.hidden, "multipliers of other neurons")
        self._with_planes(self.net.depth)

        def rule(h: int, _: Decimal) -> tuple[Decimal, Plane | None, Decimal]:
            _, plane = self.planes.get(h, (ZERO, None))
            return max(tau[h], ZERO) if plane else ZERO, plane, -pi[h]

        constant, cost = bounds.missed(t, mu, rule)
        return self.claim.least(constant, [v + (kind == OBJECTIVE) for v in cost])


class Box(Stage):
    """Linf: no input of a box meets an alternative, with planes that are made from points.

    Proofs count the neurons that may be active, and the inputs that can move.
    """

    above = ZERO

    @cached_property
    def steps(self) -> dict[tuple[int, int], list[Rule]]:
        """Of neuron and sign of a form how its least may be shown."""
        found: dict[tuple[int, int], list[Rule]] = {}
        names = (f"chain.{self.place}.{step}" for step in range(len(self.file.tensors)))
        for name in (name for name in names if f"{name}.signs" in self.file.tensors):
            signs = self.file.take(f"{name}.signs", None, kind=int)
            neurons = self.file.take(f"claim.{name}.neurons", len(signs), kind=int)
            rows = self._rows(name, f"claim.{name}.shares", f"{name}.shares", range(len(signs)))
            for h, sign, row in zip(neurons, signs, rows, strict=True):
                found.setdefault((h, sign), []).append(self.bounds.rule(*row))
        return found

    def ways(self, h: int, sign: int) -> Iterable[Rule]:
        """Those of the steps."""
        return self.steps.get((h, sign), ())

    def leaves(self, t: int) -> Iterable[tuple[Any, ...]]:
        """Conditions are missed everywhere in all of them."""
        cuts = self.file.take(f"tree.{t}.cuts", None, kind=int)
        mixtures = self.file.take(f"claim.{t}.mixture", len(cuts), None)
        rows = self._rows(f"tree.{t}", f"tree.{t}.shares", f"tree.{t}.plane_shares", cuts)
        return ((EMPTY, mixture, row) for mixture, row in zip(mixtures, rows, strict=True))

    def value(self, t: int, bounds: Bounds, kind: int, *numbers: Any) -> Decimal:
        """By multipliers of conditions and neurons, and planes."""
        mixture, row = numbers
        return self.claim.least(*bounds.missed(t, mixture, bounds.rule(*row)))

    def _rows(self, name: str, used: str, parts: str, cuts: Sequence[int]) -> Iterator[Row]:
        """Multipliers of neurons, and planes of the cut where they were made, -1 for none."""
        multipliers = self.file.take(f"{name}.multipliers", len(cuts), None)
        shares = self.file.take(used, len(cuts), None)
        points = self.file.take(f"{name}.points", None, None, None, kind=int)
        weights = self.file.take(parts, len(points), None, None)
        first = [h for h in self.bounds.undecided() if h < self.net.sizes[1]]
        made: dict[int, list[Plane]] = {-1: []}
        for alpha, own, cut in zip(multipliers, shares, cuts, strict=True):
            if cut not in made:
                need(0 <= cut < len(points), f"no points for planes {cut}")
                each = zip(first, weights[cut], strict=False)
                made[cut] = [self._plane(h, points[cut], w) for h, w in each]
            pairs = zip(first, zip(own, made[cut], strict=False), strict=False)
            yield dict(zip(self.names, alpha, strict=False)), dict(pairs)

    def _plane(self, h: int, points: list[list[int]], weights: Vector) -> Plane:
        """Of inputs in the order of a point, those without which the neuron is still active."""
        row, claim, start = self.net.weights[0][h], self.claim, self.claim.start[h]
        spans = plus(claim.rooms[: len(row)], claim.rooms[len(row) :])
        moving = [j for j, span in enumerate(spans) if span]
        rise, taken, signs = claim.both(row), [ZERO] * len(row), [(w > 0) - (w < 0) for w in row]
        most = -claim.least(-start, [-v for v in rise])
        given = [max(v, ZERO) for v in weights]
        weights = given if any(given) else [ONE] * len(given)
        for weight, point in zip(weights, points, strict=False):
            ways, left = [(y, signs[j], j) for y, j in zip(point, moving, strict=False)], most
            for *_, j in sorted((y * sign, -sign, sign * j) for y, sign, j in ways if sign):
                room = abs(row[abs(j)]) * spans[abs(j)]
                taken[abs(j)] += weight * min(ONE, NEAR.divide(left, room))
                left -= room
                if left <= 0:
                    break
        total = sum(weights, ZERO) or ONE
        cost = [NEAR.divide(v * w, total) for v, w in zip(taken, row, strict=True)]
        return claim.above(start, rise, claim.both(cost))
