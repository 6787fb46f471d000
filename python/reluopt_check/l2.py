"""L2: quadratic bounds, by products of what is not negative."""

from __future__ import annotations

from bisect import bisect
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from reluopt_check.bounds import Bounds, Stage, descended
from reluopt_check.exact import (
    ONE,
    ZERO,
    Form,
    Vec,
    combine,
    dot,
    negative_curvature,
    positive,
    unit,
    vec,
)
from reluopt_check.files import need, nested


class Term(NamedTuple):
    """``factor * x_h * form``, never positive; forms are in (x, a of the first layer, 1)."""

    factor: Fraction
    h: int
    form: Vec


class L2(Stage):
    """By a tangent of ``|delta|^2 + sum of terms``, see docs/proof.md."""

    parts = (
        *("tree.{}.delta", "tree.{}.x"),
        *("claim.{}.neurons", "claim.{}.conditions", "claim.{}.products"),
    )

    def value(self, t: int, bounds: Bounds, objective: bool, *parts: Any) -> Fraction:
        """The tangent at a change and x, less what may lie below it."""
        net, domain, open_ = self.net, self.domain, bounds.undecided()
        (delta, own, pi), mu = ([*map(Fraction, part)] for part in parts[:3]), positive(parts[3])
        found, wanted = [*map(len, (delta, own, pi))], [net.sizes[0], len(open_), net.hidden]
        fits = objective and found == wanted and len(parts[4]) % 5 == 0
        need(fits, f"parts of {found} for {wanted} numbers, or that show emptiness")
        x = dict.fromkeys(self.names, ZERO) | dict(zip(open_, own, strict=True))
        terms = self._terms(t, bounds, nested(parts[4], len(parts[4]) // 5, 5))
        forms, weights = [z.form for z in terms], [z.factor * x[z.h] for z in terms]
        whole = combine(weights, forms, net.hidden + net.sizes[1] + 1).list()
        on_x, on_a, constant = whole[: net.hidden], whole[net.hidden : -1], whole[-1]
        changed = [a + b for a, b in zip(domain.center.list(), delta, strict=True)]
        point = vec([*x.values(), *net.layers[0](vec(changed)), ONE])
        for z in terms:
            value = z.factor * dot(z.form, point)
            on_x[z.h] += value
            constant -= value * x[z.h]

        def rule(h: int, c: Fraction) -> tuple[Fraction, Fraction]:
            return on_x[h], (c if bounds.low[h] >= 0 else ZERO) - pi[h]

        rest, cost = self.missed(t, bounds, mu, rule, None)
        constant += rest + dot(vec(on_a), vec(domain.start)) - sum(d * d for d in delta)
        slopes = vec(a + 2 * d for a, d in zip(net.layers[0].back(on_a).list(), delta, strict=True))
        constant += domain.least(combine([1, 1], [cost, domain.both(slopes)], domain.size))
        reach = sum((max(abs(x[h]), abs(bounds.high[h] - x[h])) ** 2 for h in open_), ZERO)
        return constant - negative_curvature(self._curvature(terms, open_)) / 2 * reach

    def _terms(self, t: int, bounds: Bounds, rows: list[Any]) -> list[Term]:
        """Of h, f, alpha, beta, psi: ``psi x_h (alpha x_f + beta a_f + constant)``.

        ``x_h (x_h - a_h)`` is 0, and its psi may have any sign. Conditions follow neurons.
        """
        net, open_, terms = self.net, {*bounds.undecided()}, list[Term]()
        matrix, rhs = self.claim.alternatives[t]
        for row in rows:
            (h, f), (alpha, beta, psi) = map(int, row[:2]), map(Fraction, row[2:])
            need(h in open_ and 0 <= f < net.hidden + len(rhs), f"a product of {h} and {f}")
            if f < net.hidden:
                k = bisect(net.starts, f) - 1
                own = unit(f - net.starts[k], net.sizes[k + 1]).list()
                scale = beta + (alpha if bounds.low[f] >= 0 else 0)
                form = self._expanded(bounds, k, [scale * v for v in own])
                form[f] += alpha if f in open_ else 0
                form[-1] -= bounds.gap(f, alpha, -beta)
            else:
                form = self._expanded(bounds, net.depth, matrix[f - net.hidden].list())
                form[-1] -= rhs[f - net.hidden]
            zero = h == f and alpha == 1 == -beta
            terms.append(Term(psi if zero else min(psi, ZERO), h, vec(form)))
        return terms

    def _expanded(self, bounds: Bounds, k: int, form: Form) -> Form:
        """A form of a layer in (x of undecided neurons, a of the first layer, 1)."""

        def rule(h: int, c: Fraction) -> tuple[Fraction, Fraction]:
            return ZERO, c if bounds.low[h] >= 0 else ZERO

        constant, on_a, left = descended(self.net, k, form, rule)
        known = {h: c for h, c, *_ in left if bounds.low[h] < 0 < bounds.high[h]}
        return [*(known.get(h, ZERO) for h in self.names), *on_a, constant]

    @cached_property
    def products(self) -> list[Vec]:
        """Of the rows of the first layer."""
        rows = self.net.layers[0].rows
        return [vec([dot(a, b) for b in rows]) for a in rows]

    def _curvature(self, terms: list[Term], open_: list[int]) -> list[Form]:
        """``M = K - G W W' G' / 2`` of docs/proof.md."""
        hidden, width, whole, cross = self.net.hidden, self.net.sizes[1], dict[int, Any](), {}
        for h in open_:
            own = [z for z in terms if z.h == h]
            row = combine([z.factor for z in own], [z.form for z in own], hidden + width + 1)
            whole[h], cross[h] = row.list(), Vec(row.n[hidden:-1], row.e)
        half = {h: combine(cross[h].list(), self.products, width) for h in open_}
        return [
            [whole[i][j] + whole[j][i] - dot(half[i], cross[j]) / 2 for j in open_] for i in open_
        ]
