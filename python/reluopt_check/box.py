"""Proofs of kind ``box-proof``: trees over a box, none of whose inputs meets an alternative."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from reluopt_check.bounds import Bounds, Planes, carried, confirm, leaves, multiplied, pairs
from reluopt_check.exact import ONE, ZERO, Vec, combine, positive, rounded, shares, unit, vec
from reluopt_check.files import BadInput, File, Refused, pieces
from reluopt_check.model import Claim, Domain, Network


def check(file: File, net: Network, claim: Claim) -> None:
    """Refuse a proof that does not show its claim."""
    given = file.field("radius", float, int, type(None))
    radius = None if given is None else Fraction(given)
    small = radius is not None and (claim.bound is None or claim.bound > radius)
    if claim.norm != "linf" or small:
        raise Refused(f"a proof about a box of radius {given}, a claim about another set")
    low, high = claim.ends()
    if radius is not None:
        low, high = [max(a, -radius) for a in low], [min(b, radius) for b in high]
    domain = Domain(claim.center, (low, high), "box", ZERO)
    steps, trees = file.field("chains", list), file.field("trees", list)
    chains = [_Chain(file, c, net, domain, layers) for c, layers in enumerate(steps)]
    if len(trees) != len(claim.alternatives):
        raise Refused("trees: expected one for each alternative")
    for t, about in enumerate(trees):
        asked = claim.alternatives[t]
        ranges = (range(t, t + 1), range(-1, len(asked.rhs)), range(len(chains)))
        whole = isinstance(about, list) and len(about) == 3 and all(type(n) is int for n in about)
        if not whole or any(n not in each for n, each in zip(about, ranges, strict=True)):
            raise Refused(f"tree {t}: expected one of alternative {t}, found {str(about)[:60]}")
        rows = [*zip(asked.matrix, asked.rhs, strict=True)]
        rows = rows if about[1] < 0 else rows[about[1] : about[1] + 1]
        chains[about[2]].excludes(t, [row for row, _ in rows], [right for _, right in rows])


class _Chain:
    """Bounds of all layers; proofs count the neurons that may be active, and inputs that move."""

    def __init__(self, file: File, c: int, net: Network, domain: Domain, layers: Any) -> None:
        self.file, self.net, self.domain = file, net, domain
        self.bounds = pairs(file, f"claim.chain.{c}", net.hidden)[0]
        self.moving = [j for j in range(domain.size) if domain.low[j] < domain.high[j]]
        self.alive = [h for h in range(net.hidden) if self.bounds.high[h] > 0]
        self.first = [h for h in self.alive if h < net.sizes[1] and self.bounds.undecided(h)]
        steps: dict[Any, list[partial[Fraction]]] = {}
        for s, k in enumerate(layers):
            self._note(f"chain.{c}.{s}", k, steps)

        def shown(*which: int) -> Fraction | float:
            return max((each() for each in steps.get(which, ())), default=float("-inf"))

        try:
            confirm(net, domain, None, self.bounds, shown)
        except Refused as error:
            raise Refused(f"chain {c}: {error}") from None

    def _note(self, name: str, k: Any, steps: dict[Any, list[partial[Fraction]]]) -> None:
        """Keep what a step shows of neurons of layer k, to be computed when it is asked for."""
        if type(k) is not int or not 0 < k < self.net.depth:
            raise BadInput(f"chains: expected a hidden layer behind the first, found {str(k)[:40]}")
        neurons, size = self.file.take(f"{name}.neurons", None).values, self.net.sizes[k + 1]
        count, below = len(neurons), sum(h < self.net.starts[k] for h in self.alive)
        signs = self.file.take(f"{name}.signs", count).values
        multipliers = self.file.take(f"{name}.multipliers", count, below).rows()
        kept = self.file.take(f"{name}.points", count, None, None)
        wide = len(self.first) if kept.shape[1] else None
        parts = self.file.take(f"{name}.shares", count, wide, kept.shape[1]).rows()
        for row, (i, sign) in enumerate(zip(neurons, signs, strict=True)):
            if not 0 <= i < size or sign not in (-1, 1):
                raise BadInput(f"tensor '{name}.neurons': expected neurons of layer {k}, found {i}")
            form, points = unit(i, size, sign).list(), pieces(kept.rows()[row], kept.shape[2])
            made = partial(self._of_step, k, form, multipliers[row], points, parts[row])
            steps.setdefault((k, i, sign), []).append(made)

    def _of_step(self, k: int, form: Any, multipliers: Any, points: Any, parts: Any) -> Fraction:
        own = pieces(parts, len(points))
        amounts = [sum(positive(each)) for each in own]
        planes = self._used(amounts, self._planes(points, own)) if points else {}
        return self._least(k, form, multipliers, planes, self.bounds)

    def _least(
        self, k: int, form: Any, multipliers: Any, planes: Planes, bounds: Bounds
    ) -> Fraction:
        """At most ``form @ a`` of layer k over the inputs of a node."""
        own = dict(zip(self.alive, multipliers, strict=False))
        constant, g = carried(
            self.net,
            bounds,
            k,
            form,
            lambda h, c, low, high: multiplied(c, low, high, Fraction(own.get(h, 0))),
            planes,
        )
        return constant + self.domain.least(g)

    def _used(self, amounts: Any, planes: list[tuple[Vec, Fraction]]) -> Planes:
        """Shares of planes in the place of the line above undecided neurons."""
        limited = [min(value, ONE) for value in positive(amounts)]
        return {
            h: (lambda c, open_, w=w: w * max(-c, ZERO) if open_ else ZERO, *plane)
            for h, w, plane in zip(self.first, limited, planes, strict=True)
        }

    def _planes(self, points: Any, parts: Any) -> list[tuple[Vec, Fraction]]:
        """Planes above the undecided neurons of the first layer, each from shares of points."""
        if any(len(point) != len(self.moving) for point in points):
            raise BadInput(f"points: expected {len(self.moving)} inputs")
        return [self._plane(h, points, own) for h, own in zip(self.first, parts, strict=True)]

    def _plane(self, h: int, points: Any, parts: Any) -> tuple[Vec, Fraction]:
        """g and the least e with ``max(a, 0) <= g @ input + e`` at all corners of the box."""
        row, domain = self.net.layers[0].rows[h], self.domain
        weights, bias, g = row.list(), self.net.layers[0].bias[h], [ZERO] * domain.size
        rooms = [abs(w) * (b - a) for w, a, b in zip(weights, domain.low, domain.high, strict=True)]
        for share, point in zip(shares(parts), points, strict=True):
            left = bias - domain.least(row._replace(n=[-n for n in row.n]))
            pairs_ = [(s, weights[j], j) for s, j in zip(point, self.moving, strict=True)]
            order = sorted((s, False, j) if w > 0 else (-s, True, -j) for s, w, j in pairs_ if w)
            for _, _, j in order:
                room = rooms[abs(j)]
                part = ONE if left > room else rounded(max(left, ZERO) / room, up=True)
                g[abs(j)] += share * min(part, ONE) * weights[abs(j)]
                left -= room
                if left <= 0:
                    break
        plane = vec(g)
        above = combine([1, -1], [plane, row], domain.size)
        return plane, max(-domain.least(plane), bias - domain.least(above))

    def excludes(self, t: int, matrix: list[Vec], rhs: list[Fraction]) -> None:
        """Refuse an alternative unless some ``mixture @ (rhs - matrix @ logits)`` is positive."""
        take, name, first = self.file.take, f"tree.{t}", len(self.first)
        count = take(f"{name}.cuts", None).shape[0]
        points = take(f"{name}.points", None, None, len(self.moving))
        cuts, rounds = points.shape[:2]
        parts = take(f"{name}.plane_shares", cuts, first, rounds).rows()
        multipliers = take(f"{name}.multipliers", count, len(self.alive)).rows()
        amounts = take(f"{name}.shares", count, first if cuts else 0).rows()
        mixtures = take(f"{name}.mixture", count, len(rhs) if len(rhs) > 1 else 0).rows()
        made: dict[int, list[tuple[Vec, Fraction]]] = {}
        for where, leaf, bounds in leaves(
            self.file, t, self.net, self.domain, self.bounds, self.alive
        ):
            cut = take(f"{name}.cuts", None).values[leaf] if leaf < count else cuts
            if not -1 <= cut < cuts or (cut >= 0 and not rounds):
                raise Refused(f"{where}: multipliers or planes are missing")
            if cut >= 0 and cut not in made:
                own = pieces(points.rows()[cut], len(self.moving))
                made[cut] = self._planes(own, pieces(parts[cut], rounds))
            planes = self._used(amounts[leaf], made[cut]) if cut >= 0 else {}
            weights = positive(mixtures[leaf]) if len(rhs) > 1 else [ONE]
            form = combine([-w for w in weights], matrix, self.net.sizes[-1]).list()
            value = self._least(self.net.depth, form, multipliers[leaf], planes, bounds)
            value += sum(w * d for w, d in zip(weights, rhs, strict=True))
            if not value > 0:
                raise Refused(f"{where}: a slack of {float(-value)!r} is left")
