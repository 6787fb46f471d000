"""Linf: no input of a box meets an alternative, by multipliers and planes made from points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache, partial
from itertools import count
from typing import Any

from reluopt_check.bounds import Bounds, Leaf, Plane, Rule, Stage
from reluopt_check.exact import positive, vec
from reluopt_check.files import need
from reluopt_check.model import FINE


class Box(Stage):
    """Proofs count the neurons that may be active, and the inputs that can move."""

    def confirmed(self, old: Bounds) -> bool:
        """By multipliers of neurons, too."""
        rooms, n = self.domain.rooms, self.net.sizes[0]
        self.spans = [up + down for up, down in zip(rooms[:n], rooms[n:], strict=True)]
        self.moving = [j for j, span in enumerate(self.spans) if span]
        self.names = [h for h in self.names if self.bounds.high[h] > 0]
        self.first = [h for h in self.bounds.undecided() if h < self.net.sizes[1]]
        ways: dict[tuple[int, int], list[Any]] = {}
        for step in count():
            name = f"chain.{self.place}.{step}"
            if f"{name}.signs" not in self.file.tensors:
                break
            signs = self.file.take(f"{name}.signs", None, whole=True)
            neurons = self.file.take(f"claim.{name}.neurons", len(signs), whole=True)
            names = (name, f"claim.{name}.shares", f"{name}.shares")
            table = self._table(*names, range(len(signs)))
            for row, which in enumerate(zip(neurons, signs, strict=True)):
                ways.setdefault(which, []).append(partial(table, self.bounds, row))
        layers = range(self.net.depth)
        return self.bounds.confirm(old, layers, lambda *at: (way() for way in ways.get(at, ())))

    def leaves(self, t: int) -> Leaf:
        """What the leaves of a tree show: that conditions, mixed, are missed."""
        cuts = self.file.take(f"tree.{t}.cuts", None, whole=True)
        mixtures = self.file.take(f"claim.{t}.mixture", len(cuts), None)
        names = (f"tree.{t}", f"tree.{t}.shares", f"tree.{t}.plane_shares")
        table = self._table(*names, cuts)

        def shown(leaf: int, bounds: Bounds) -> tuple[bool, Fraction]:
            need(leaf < len(cuts), "no multipliers are kept")
            made = table(bounds, leaf)
            constant, cost = self.missed(t, bounds, positive(mixtures[leaf]), *made)
            return False, constant + self.domain.least(cost)

        return shown

    def _table(
        self, name: str, amounts: str, parts: str, cuts: Sequence[int]
    ) -> Callable[[Bounds, int], tuple[Rule, dict[int, Plane]]]:
        """Rule and planes of rows of multipliers, whose planes were made at cuts, -1 for none."""
        multipliers = self.file.take(f"{name}.multipliers", len(cuts), None)
        used = self.file.take(amounts, len(cuts), None)
        points = self.file.take(f"{name}.points", None, None, None, whole=True)
        shares = self.file.take(parts, len(points), None, None)

        @cache
        def made(cut: int) -> dict[int, Plane]:
            need(cut < len(points), f"no points for planes {cut}")
            at = points[cut] if cut >= 0 else ()
            own = zip(self.first, shares[cut] if at else (), strict=False)
            return {h: self._plane(h, at, [max(v, 0.0) for v in weights]) for h, weights in own}

        def table(bounds: Bounds, row: int) -> tuple[Rule, dict[int, Plane]]:
            planes = made(cuts[row])
            alpha = dict(zip(self.names, multipliers[row], strict=False))
            return bounds.chosen(alpha, dict(zip(planes, used[row], strict=False))), planes

        return table

    def _plane(self, h: int, points: Any, weights: list[float]) -> Plane:
        """Of inputs in the order of a point, those without which the neuron is still active."""
        row, domain, total = self.net.layers[0].rows[h], self.domain, sum(weights)
        rise, start = domain.both(row), domain.start[h]
        most = start - domain.least(rise._replace(n=[-v for v in rise.n]))
        unit, taken = 1 << (row.e + domain.e), [0] * len(row.n)
        shares = vec(v / total if total else 1 / len(weights) for v in weights)
        for share, point in zip(shares.n, points, strict=False):
            left = int(most * unit)
            ways = [(y, row.n[j], j) for y, j in zip(point, self.moving, strict=False)]
            order = sorted((y, False, j) if w > 0 else (-y, True, -j) for y, w, j in ways if w)
            for *_, signed in order:
                j = abs(signed)
                room = abs(row.n[j]) * self.spans[j]
                taken[j] += share * min(1 << FINE, (left << FINE) // room)
                left -= room
                if left <= 0:
                    break
        g = [v * w for v, w in zip(taken, row.n, strict=True)]
        cost = domain.both(row._replace(n=g, e=row.e + shares.e + FINE))
        return Plane.above(domain, start, rise, cost)
