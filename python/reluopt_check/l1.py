"""Leaves in L1: Lagrangian bounds, with rows that hold over the ball."""

from __future__ import annotations

from fractions import Fraction
from operator import mul
from typing import Any

from reluopt_check.bounds import Bounds, carried, confirm
from reluopt_check.exact import ONE, ZERO, Vec, combine, dot, knapsack, positive
from reluopt_check.files import ProofError
from reluopt_check.model import Claim, Domain, Network

FARKAS = 2


class L1:
    """Values at the ball's corners: no change, + r e_j, - r e_j; the change is p+ - p-."""

    parts: tuple[str, ...] = ("neurons", "conditions", "balls")

    def __init__(self, net: Network, domain: Domain, claim: Claim) -> None:
        self.net, self.domain, self.claim = net, domain, claim
        self.rooms = [*domain.highs, *(-v for v in domain.lows)]
        self.tops, self.floors = list[Vec](), list[Vec]()  # P and Q of docs/proof.md

    def grows(self, old: Bounds | None, new: Bounds) -> bool:
        """Confirm bounds over the ball; those of the second stage by its corners, too."""
        if old is None or self.tops or not self.domain.radius:
            return confirm(self.net, self.domain, old, new)

        def by_corners(k: int, i: int, sign: int) -> Fraction:
            self._reach(k, new)
            row = (self.floors if sign > 0 else self.tops)[self.net.starts[k] + i]
            start = sign * row.n[0]
            gains = (start - sign * n for n in row.n[1:])
            most = Fraction(knapsack(gains, self.rooms, self.domain.budget), 1 << self.domain.e)
            found: Fraction = (start - most / self.domain.radius) * Fraction(1, 1 << row.e)
            return found

        fine = confirm(self.net, self.domain, old, new, by_corners)
        self._reach(self.net.depth - 1 if fine else -1, new)
        return fine

    def _reach(self, k: int, bounds: Bounds) -> None:
        """Values of all layers up to k, by bounds of those below."""
        while len(self.tops) < self.net.starts[k + 1]:
            self._append(self.net.starts.index(len(self.tops)), bounds)

    def _append(self, k: int, bounds: Bounds) -> None:
        net, domain, size = self.net, self.domain, 1 + 2 * self.domain.size
        layer, ones = net.layers[k], Vec([1] * size, 0)
        if k == 0:
            for row, here in zip(layer.rows, layer(domain.center), strict=True):
                ends = Vec([0, *row.n, *(-n for n in row.n)], row.e)
                self.tops.append(combine([here, domain.radius], [ones, ends], size))
            self.floors = list(self.tops)
            return
        tops, floors = [], []
        for h in range(net.starts[k - 1], net.starts[k]):
            top, floor, off = self.tops[h], self.floors[h], Vec([0] * size, 0)
            if bounds.undecided(h):
                top = Vec([max(n, 0) for n in top.n], top.e)
                floor = floor if floor.n[0] > 0 else off
            alive = bounds.high[h] > 0
            tops.append(top if alive else off)
            floors.append(floor if alive else off)
        for row, bias in zip(layer.rows, layer.bias, strict=True):
            up, down = positive(row.list()), [min(w, ZERO) for w in row.list()]
            self.tops.append(combine([*up, *down, bias], [*tops, *floors, ones], size))
            self.floors.append(combine([*up, *down, bias], [*floors, *tops, ones], size))

    def value(self, t: int, kind: int, parts: dict[str, Any], bounds: Bounds) -> Fraction | None:
        """A lower bound on the objective of a leaf, None where it is empty."""
        net, domain, asked = self.net, self.domain, self.claim.alternatives[t]
        pi, mu, tau = (
            [*map(Fraction, parts["neurons"])],
            *map(positive, (parts["conditions"], parts["balls"])),
        )
        if (len(pi), len(mu), len(tau)) != (net.hidden, len(asked.rhs), net.hidden):
            raise ProofError(f"{len(pi)}, {len(mu)} and {len(tau)} multipliers")
        objective, radius = Fraction(kind != FARKAS), domain.radius or ONE
        lifts, used, nothing = [], {}, Vec([0] * domain.size, 0)
        for h, row in enumerate(self.tops):
            if tau[h]:
                start = max(row.n[0], 0)
                used[h] = (lambda *_, v=tau[h]: v), nothing, Fraction(start, 1 << row.e)
                lifts.append((-tau[h], Vec([max(n, 0) - start for n in row.n[1:]], row.e)))
        constant: Fraction
        form = [-v for v in combine(mu, asked.matrix, net.sizes[-1]).list()]
        constant, g = carried(net, bounds, net.depth, form, lambda h, *_: -pi[h], used)
        constant += sum(map(mul, mu, asked.rhs)) + dot(g, domain.center)
        both = Vec([*g.n, *(-n for n in g.n)], g.e)  # costs of p+ and p-, times r
        rows = [Vec([1] * (2 * domain.size), 0), both, *(row for _, row in lifts)]
        weights = [objective * radius, radius, *(w for w, _ in lifts)]
        costs = combine(weights, rows, 2 * domain.size)
        least = sum(min(n, 0) * room for n, room in zip(costs.n, self.rooms, strict=True))
        constant += Fraction(least, 1 << (costs.e + domain.e)) / radius
        if kind == FARKAS:
            return None if constant > 0 else ZERO
        return constant
