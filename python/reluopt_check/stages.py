"""Stages: bounds over all inputs, and what the leaves of trees show that begin there."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cache, cached_property, partial
from typing import Any

from reluopt_check.exact import HALF, INFINITY, NEAR, ONE, ZERO, Vector, combine, dot, plus
from reluopt_check.files import File, need, nested
from reluopt_check.model import Bounds, Plane, Rule, Slope, Used, negative_curvature

OBJECTIVE, EMPTY = 1, 2
"""Kinds of leaves: the objective counts, or conditions alone are missed, as in all others."""


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
        rule = partial(self.bounds.rule, self.active, self.planes)
        open_ = self.bounds.undecided() if self.place else []
        for h in (h for h in open_ if h < self.net.starts[top] and h not in self.planes):
            low, _ = self.bounds.carried(*self.net.form(h, ONE), rule)
            start, fall = self.bounds.carried(*self.net.form(h, -ONE), rule)
            corners = [max(-start - radius * v, ZERO) for v in (ZERO, *fall)]
            cost = [NEAR.divide(corner - corners[0], radius) for corner in corners[1:]]
            self.active[h] = Decimal(low > 0)
            self.planes[h] = ONE, claim.above(-start, [-v for v in fall], cost)
        return rule

    def value(
        self, t: int, node: Bounds, kind: int, pi: Vector, mu: Vector, tau: Vector
    ) -> Decimal:
        """Multipliers of neurons are slopes; those of balls say how much of a plane is used."""
        self._with_planes(self.net.depth)

        def rule(h: int, _: Decimal) -> Slope:
            share, plane = self.planes.get(h, (ZERO, None))
            return share * max(tau[h], ZERO), plane, -pi[h]

        constant, cost = node.missed(t, mu, rule)
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
                found.setdefault((h, sign), []).append(partial(self.bounds.rule, *row))
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

    def value(self, t: int, bounds: Bounds, _: int, mixture: Vector, row: Any) -> Decimal:
        """By multipliers of conditions and neurons, and planes."""
        return self.claim.least(*bounds.missed(t, mixture, partial(bounds.rule, *row)))

    def _rows(self, name: str, used: str, parts: str, cuts: Sequence[int]) -> Iterator[Any]:
        """Multipliers of neurons, and planes of the cut where they were made, -1 for none."""
        multipliers = self.file.take(f"{name}.multipliers", len(cuts), None)
        shares = self.file.take(used, len(cuts), None)
        points = self.file.take(f"{name}.points", None, None, None, kind=int)
        weights = self.file.take(parts, len(points), None, None)
        first = [h for h in self.bounds.undecided() if h < self.net.sizes[1]]

        @cache
        def made(cut: int) -> list[Plane]:
            each = zip(first, weights[cut], strict=False) if cut >= 0 else ()
            return [self._plane(h, points[cut], w) for h, w in each]

        for alpha, own, cut in zip(multipliers, shares, cuts, strict=True):
            pairs = zip(first, zip(own, made(cut), strict=False), strict=False)
            yield dict(zip(self.names, alpha, strict=False)), dict(pairs)

    def _plane(self, h: int, points: list[list[int]], weights: Vector) -> Plane:
        """Of inputs in the order of a point, those without which the neuron is still active."""
        row, claim, start = self.net.weights[0][h], self.claim, self.claim.start[h]
        spans = plus(claim.rooms[: len(row)], claim.rooms[len(row) :])
        moving = [j for j, span in enumerate(spans) if span]
        rise, taken, signs = claim.both(row), [ZERO] * len(row), [(w > 0) - (w < 0) for w in row]
        most = -claim.least(-start, [-v for v in rise])
        weights = [max(v, Decimal("1e-25")) for v in weights]  # equal ones where none has any
        for weight, point in zip(weights, points, strict=False):
            ways, left = [(y, signs[j], j) for y, j in zip(point, moving, strict=False)], most
            for *_, j in sorted((y * sign, -sign, sign * j, j) for y, sign, j in ways if sign):
                room = abs(row[j]) * spans[j]
                taken[j] += weight * min(ONE, NEAR.divide(left, room))
                left -= room
                if left <= 0:
                    break
        total = sum(weights, ZERO) or ONE
        cost = [NEAR.divide(v * w, total) for v, w in zip(taken, row, strict=True)]
        return claim.above(start, rise, claim.both(cost))


class L2(Stage):
    """By a tangent of ``|delta|^2 + sum of psi x_h l``, see docs/proof.md.

    Forms are in (x of undecided neurons, a of the first layer, 1).
    """

    parts = "tree.{0}.delta tree.{0}.x claim.{0}.neurons claim.{0}.conditions claim.{0}.products"

    def value(self, t: int, bounds: Bounds, kind: int, *numbers: Any) -> Decimal:
        """The tangent at a change and x, less what may lie below it."""
        (delta, own, pi, mu, products), open_ = numbers, bounds.undecided()
        net, claim, hidden = self.net, self.claim, self.net.hidden
        need(kind == OBJECTIVE, "a leaf without objective")
        forms = self._forms(t, bounds, nested(products, len(products) // 5, 5))
        x = dict.fromkeys(self.names, ZERO) | dict(zip(open_, own, strict=True))
        point = [*x.values(), *net.layer(0, plus(claim.image, delta)), ONE]
        tangent = combine(own, forms.values(), [ZERO] * len(point))
        for h, form in forms.items():
            slope = dot(form, point)
            tangent[h] += slope
            tangent[-1] -= slope * x[h]

        def rule(h: int, c: Decimal) -> Slope:
            return tangent[h], None, NEAR.plus((c if bounds.low[h] >= 0 else ZERO) - pi[h])

        constant, cost = bounds.missed(t, mu, rule)
        on_a = tangent[hidden:-1]
        constant += tangent[-1] + dot(on_a, claim.start) - dot(delta, delta)
        slopes = plus(net.back(0, on_a), plus(delta, delta))
        ways = [max(abs(x[h]), abs(bounds.high[h] - x[h])) for h in open_]
        lost = HALF * dot(ways, ways) * negative_curvature(self._curvature(forms))
        return claim.least(constant - lost, plus(cost, claim.both(slopes)))

    def _forms(self, t: int, bounds: Bounds, products: list[Vector]) -> dict[int, Vector]:
        """By undecided h the sum of psi l, of ``l = alpha x_f + beta a_f - its least``.

        ``x_h (x_h - a_h)`` is 0, and its psi may have any sign. Conditions follow neurons.
        """
        net, (matrix, rhs) = self.net, self.claim.alternatives[t]
        forms = {h: [ZERO] * (net.hidden + net.sizes[1] + 1) for h in bounds.undecided()}

        def passed(h: int, c: Decimal) -> Slope:
            return ZERO, None, c if bounds.low[h] >= 0 else ZERO

        for *pair, alpha, beta, psi in products:
            h, f = map(int, pair)
            need(h in forms and 0 <= f < net.hidden + len(rhs), f"a product of {h} and {f}")
            if f < net.hidden:
                k, own = net.form(f, beta + alpha * (bounds.low[f] >= 0))
                least = bounds.gap(f, alpha, -beta)
            else:
                k, own, least = net.depth, matrix[f - net.hidden], rhs[f - net.hidden]
            constant, on_a, left = net.descended(k, own, passed)
            x = {f: alpha} | {e: c for e, c, _ in left}
            on_x = (x.get(e, ZERO) * (e in forms) for e in self.names)
            psi = psi if h == f and alpha == 1 == -beta else min(psi, ZERO)
            forms[h] = plus(forms[h], [*on_x, *on_a, constant - least], psi)
        return forms

    def _curvature(self, forms: dict[int, Vector]) -> list[Vector]:
        """``M = K - G W W' G' / 2`` of docs/proof.md."""
        nothing, own, on_a = [ZERO] * self.net.sizes[1], forms.items(), slice(self.net.hidden, -1)
        half = {h: combine(form[on_a], self.net.products, nothing) for h, form in own}
        return [[a[j] + b[i] - HALF * dot(half[i], b[on_a]) for j, b in own] for i, a in own]
