"""Proofs of kind ``box-proof``: trees over a box, none of whose inputs meets an alternative."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from math import inf
from struct import pack, unpack
from typing import Any

from reluopt_check.bounds import LEAF, Bounds, Planes, carried, confirm, leaves, multiplied, pairs
from reluopt_check.exact import ONE, ZERO, Vec, combine, positive, rounded, shares, shown, unit, vec
from reluopt_check.files import File, InputError, ProofError, pieces
from reluopt_check.model import Claim, Domain, Network

NO_PLANES: Planes = {}


def check(file: File, net: Network, claim: Claim) -> None:
    """Refuse a proof that does not show its claim."""
    given = file.field("radius", float, int, type(None))
    if given in (inf, -inf):
        raise InputError("field 'radius': expected a finite number or null, found infinity")
    radius = None if given is None else Fraction(given)
    small = radius is not None and (claim.bound is None or not 0 <= claim.bound <= radius)
    if claim.norm != "linf" or small:
        raise ProofError(f"a proof about a box of radius {given}, a claim about another set")
    low, high = claim.ends()
    if radius is not None:
        low, high = [max(a, -radius) for a in low], [min(b, radius) for b in high]
    domain = Domain(claim.center, (low, high), "box", ZERO)
    steps, trees = file.field("chains", list), file.field("trees", list)
    chains = [_Chain(file, c, net, domain, layers) for c, layers in enumerate(steps)]
    if len(trees) != len(claim.alternatives):
        raise ProofError("trees: expected one for each alternative")
    for t, about in enumerate(trees):
        asked = claim.alternatives[t]
        ranges = (range(t, t + 1), range(-1, len(asked.rhs)), range(len(chains)))
        whole = isinstance(about, list) and len(about) == 3 and all(type(n) is int for n in about)
        if not whole or any(n not in each for n, each in zip(about, ranges, strict=True)):
            raise ProofError(f"tree {t}: expected one of alternative {t}, found {str(about)[:60]}")
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
        shown: dict[Any, Fraction] = {}
        for s, k in enumerate(layers):
            for which, value in self._step(f"chain.{c}.{s}", k):
                shown[which] = max(value, shown.get(which, value))
        try:  # what steps show of a layer rests on bounds of those below, which come first here
            confirm(net, domain, None, self.bounds, lambda *which: shown.get(which, -inf))
        except ProofError as error:
            raise ProofError(f"chain {c}: {error}") from None

    def _step(self, name: str, k: Any) -> Iterator[tuple[tuple[int, int, int], Fraction]]:
        """What a step shows of neurons of layer k: of k, neuron and sign."""
        if type(k) is not int or not 0 < k < self.net.depth:
            raise InputError(
                f"chains: expected a layer of 1..{self.net.depth - 1}, found {k!r:.40}"
            )
        take, size, below = self.file.take, self.net.sizes[k + 1], self.net.starts[k]
        neurons = take(f"{name}.neurons", None).values
        count, width = len(neurons), sum(h < below for h in self.alive)
        signs = take(f"{name}.signs", count).values
        multipliers = take(f"{name}.multipliers", count, width).rows()
        points = take(f"{name}.points", count, None, None)
        rounds = points.shape[1]
        parts = take(f"{name}.shares", count, len(self.first) if rounds else None, rounds).rows()
        for row, (i, sign) in enumerate(zip(neurons, signs, strict=True)):
            if type(i) is not int or not 0 <= i < size or sign not in (-1, 1):
                raise InputError(f"{name}.neurons: expected neurons of layer {k}, found {i}")
            own, planes = pieces(parts[row], rounds), NO_PLANES
            if rounds:
                made = self._planes(points.rows()[row], own)
                planes = self._used(map(_summed, own), made)
            form = unit(i, size, sign).list()
            yield (k, i, sign), self._least(k, form, multipliers[row], planes, self.bounds)

    def _least(self, k: int, form: Any, own: Any, planes: Planes, bounds: Bounds) -> Fraction:
        """At most ``form @ a`` of layer k over the inputs of a node, by its own multipliers."""
        known = dict(zip(self.alive, own, strict=False))

        def slope(h: int, c: Fraction, low: Fraction, high: Fraction) -> Fraction:
            return multiplied(c, low, high, Fraction(known.get(h, 0)))

        constant, g = carried(self.net, bounds, k, form, slope, planes)
        return constant + self.domain.least(g)

    def _used(self, amounts: Any, planes: list[tuple[Vec, Fraction]]) -> Planes:
        """Shares of planes in the place of the line above undecided neurons."""

        def used(w: Fraction, c: Fraction, undecided: bool) -> Fraction:
            return min(w, ONE) * max(-c, ZERO) if undecided else ZERO

        made = zip(self.first, positive(amounts), planes, strict=True)
        return {h: (partial(used, w), *plane) for h, w, plane in made}

    def _planes(self, points: Any, parts: Any) -> list[tuple[Vec, Fraction]]:
        """Planes above the undecided neurons of the first layer, each from shares of points."""
        if len(points) != len(self.moving) * len(parts[0] if parts else ()) and parts:
            raise InputError(f"points: expected {len(self.moving)} inputs each")
        each = pieces(points, len(self.moving))
        return [self._plane(h, each, own) for h, own in zip(self.first, parts, strict=True)]

    def _plane(self, h: int, points: Any, parts: Any) -> tuple[Vec, Fraction]:
        """The g and the least e with ``max(a, 0) <= g @ input + e`` at all corners of the box."""
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
        count = take(f"{name}.splits", None).values.count(LEAF)
        points = take(f"{name}.points", None, None, len(self.moving))
        cuts, rounds = points.shape[:2]
        parts = take(f"{name}.plane_shares", cuts, first, rounds).rows()
        multipliers = take(f"{name}.multipliers", count, len(self.alive)).rows()
        amounts = take(f"{name}.shares", count, first if cuts else 0).rows()
        mixtures = take(f"{name}.mixture", count, len(rhs) if len(rhs) > 1 else 0).rows()
        used = take(f"{name}.cuts", count).values
        if not {*used} <= {*range(-1, cuts if rounds else 0)}:
            raise InputError(f"{name}.cuts: expected planes up to {cuts}, of some points")
        made = {
            cut: self._planes(points.rows()[cut], pieces(parts[cut], rounds))
            for cut in {*used} - {-1}
        }
        around = (self.file, t, self.net, self.domain, self.bounds, self.alive)
        for where, leaf, bounds in leaves(*around):
            planes = self._used(amounts[leaf], made[used[leaf]]) if used[leaf] >= 0 else NO_PLANES
            weights = positive(mixtures[leaf]) if len(rhs) > 1 else [ONE]
            form = combine([-w for w in weights], matrix, self.net.sizes[-1]).list()
            value = self._least(self.net.depth, form, multipliers[leaf], planes, bounds)
            value += sum(w * d for w, d in zip(weights, rhs, strict=True))
            if not value > 0:
                raise ProofError(f"{where}: a slack of {shown(-value)} is left")


def _summed(parts: Any) -> float:
    """At most 1, and what float32 sums them up to in turn: how much of its planes a step used."""
    total = 0.0
    for part in parts:
        (total,) = unpack("f", pack("f", min(total + max(part, 0.0), 1.0)))
    return total
