"""Leaves in L2: quadratic bounds from forms that are not negative."""

from __future__ import annotations

from fractions import Fraction
from operator import mul
from typing import Any

from reluopt_check.bounds import Bounds, confirm
from reluopt_check.exact import (
    ONE,
    ZERO,
    Vec,
    combine,
    dot,
    negative_curvature,
    positive,
    rounded,
    unit,
    vec,
)
from reluopt_check.files import ProofError
from reluopt_check.model import Claim, Domain, Network

BOUND, THIN = 1, Fraction(1e-6)


class L2:
    """Forms in (x of undecided neurons, a of the first layer, 1), see docs/proof.md."""

    parts: tuple[str, ...] = ("delta", "x", "z", "psi", "term_at", "term_form")

    def __init__(self, net: Network, domain: Domain, claim: Claim) -> None:
        self.net, self.domain, self.claim, rows = net, domain, claim, net.layers[0].rows
        self.width, self.open = len(rows), list[int]()
        self.products = [vec([dot(a, b) for b in rows]) for a in rows]
        self.largest = claim.length([max(-a, b) for a, b in zip(*claim.ends(), strict=True)])

    def grows(self, old: Bounds | None, new: Bounds) -> bool:
        """Confirm bounds over the ball."""
        self.open = [h for h in range(self.net.hidden) if new.undecided(h)]
        return confirm(self.net, self.domain, old, new)

    def _forms(self, t: int, bounds: Bounds) -> tuple[list[Vec], list[Fraction]]:
        """All forms, x, U - x, x - a, chord - x, phases, conditions; and the U."""
        net, open_ = self.net, [h for h in range(self.net.hidden) if bounds.undecided(h)]
        size, caps, kinds = (
            len(open_) + self.width + 1,
            list[Fraction](),
            [list[Vec]() for _ in "xUsc+"],
        )
        one, stage = unit(size - 1, size), [unit(len(open_) + i, size) for i in range(self.width)]
        for k, layer in enumerate(net.layers):
            if k > 0:
                affine = zip(layer.rows, layer.bias, strict=True)
                stage = [combine([*row.list(), b], [*stage, one], size) for row, b in affine]
            for h, a in enumerate(stage if k < net.depth else (), start=net.starts[k]):
                low, high = min(bounds.low[h], -THIN), max(bounds.high[h], THIN)
                if bounds.undecided(h):
                    x = stage[h - net.starts[k]] = unit(len(caps), size)
                    slope = rounded(high / (high - low))
                    offset = max(-slope * low, (1 - slope) * high)
                    made: Any = [1, 0, 0], [-1, high, 0], [1, 0, -1], [-1, offset, slope]
                    for kind, weights in zip(kinds, made, strict=False):
                        kind.append(combine(weights, [x, one, a], size))
                    caps.append(high)
                    continue
                if h in self.open:
                    kinds[4].append(combine([1 if bounds.low[h] >= 0 else -1], [a], size))
                if bounds.low[h] < 0:
                    stage[h - net.starts[k]] = Vec([0] * size, 0)
        asked = zip(self.claim.alternatives[t].matrix, self.claim.alternatives[t].rhs, strict=True)
        kinds.append([combine([*c.list(), -d], [*stage, one], size) for c, d in asked])
        return [row for kind in kinds for row in kind], caps

    def value(self, t: int, kind: int, parts: dict[str, Any], bounds: Bounds) -> Fraction | None:
        """A lower bound on the objective of a leaf, None where it is empty."""
        forms, caps = self._forms(t, bounds)
        u, domain, at, owner = len(caps), self.domain, parts["term_at"], parts["term_form"]
        lengths, terms = [len(parts[name]) for name in self.parts], len(at)
        fits = lengths == [domain.size, u, len(forms), terms, terms, terms] and kind == BOUND
        relu = list(at[:u]) == [*range(u)] and list(owner[:u]) == [*range(2 * u, 3 * u)]
        if not (fits and relu and {*at} <= {*range(u)} and {*owner} <= {*range(len(forms))}):
            raise ProofError(f"parts that do not fit {u} undecided neurons and {len(forms)} forms")
        psi = [Fraction(v) if k < u else min(Fraction(v), ZERO) for k, v in enumerate(parts["psi"])]
        delta = _clipped(parts["delta"], *self.claim.ends())
        x = _clipped(parts["x"], [ZERO] * u, caps)
        moved = [a + b for a, b in zip(self.claim.image, delta, strict=True)]
        point = vec([*x, *self.net.layers[0](vec(moved)), ONE])
        values, omega = [dot(form, point) for form in forms], [-z for z in positive(parts["z"])]
        on_x, size = [ZERO] * u, u + self.width + 1
        for k, i, f in zip(psi, at, owner, strict=True):
            omega[f] += k * x[i]
            on_x[i] += k * values[f]
        slopes = combine(omega, forms, size).list()
        total = sum((d * d for d in delta), ZERO) + sum(map(mul, omega, values))
        pixels = self.net.layers[0].back(slopes[u:-1]).list()
        slopes = [a + b for a, b in zip(slopes, on_x, strict=False)]
        slopes += [g + 2 * d for g, d in zip(pixels, delta, strict=True)]
        limits = [(ZERO, cap) for cap in caps] + [*zip(*self.claim.ends(), strict=True)]
        for slope, v, (low, high) in zip(slopes, [*x, *delta], limits, strict=True):
            total += min(slope * (low - v), slope * (high - v))
        kappa = negative_curvature(self._curvature(forms, psi, [*zip(at, owner, strict=True)], u))
        if kappa is None:
            raise ProofError("a quadratic form that is not convex")
        total -= kappa / 2 * sum(max(v, cap - v) ** 2 for v, cap in zip(x, caps, strict=True))
        return None if total > self.largest else total

    def _curvature(
        self, forms: list[Vec], psi: list[Fraction], terms: list[tuple[int, int]], u: int
    ) -> list[list[Fraction]]:
        """``M = K - G W W' G' / 2``."""
        whole = []
        for i in range(u):
            own = [(k, forms[f]) for k, (j, f) in zip(psi, terms, strict=True) if i == j]
            row = combine([k for k, _ in own], [form for _, form in own], u + self.width + 1)
            whole.append(row.list())
        cross = [vec(row[u:-1]) for row in whole]
        half = [combine(row.list(), self.products, self.width) for row in cross]
        pairs = range(u)
        return [
            [whole[i][j] + whole[j][i] - dot(half[i], cross[j]) / 2 for j in pairs] for i in pairs
        ]


def _clipped(values: Any, low: list[Fraction], high: list[Fraction]) -> list[Fraction]:
    return [min(max(Fraction(v), a), b) for v, a, b in zip(values, low, high, strict=True)]
