"""L2: quadratic bounds, by products of what is not negative."""

from contextlib import suppress
from decimal import Decimal, localcontext
from itertools import combinations_with_replacement
from typing import Any

from reluopt_check.bounds import Bounds, descended
from reluopt_check.exact import HALF, NEAR, ONE, ZERO, Vector, combine, dot, plus
from reluopt_check.files import need, nested
from reluopt_check.stages import OBJECTIVE, Stage


def negative_curvature(matrix: list[Vector]) -> Decimal:
    """A small k >= 0 for which the symmetric ``matrix + k I`` is positive semidefinite.

    No eigenvalue of ``L L' + E`` lies below minus the largest row sum of ``|E|``, which is exact
    whatever L is: what a rounded Cholesky factorisation finds before it fails, if it does.
    """
    count, rows = range(len(matrix)), [[ZERO] * len(matrix) for _ in matrix]
    with localcontext(NEAR), suppress(ArithmeticError):
        shift = sum(matrix[i][i] for i in count) * Decimal("4e-15")
        for j, i in combinations_with_replacement(count, 2):
            rest = matrix[i][j] - dot(rows[i][:j], rows[j])
            rows[i][j] = (rest + shift).sqrt() if i == j else rest / rows[j][j]
    errors = [[abs(matrix[i][j] - dot(rows[i], rows[j])) for j in count] for i in count]
    return max((sum(row, ZERO) for row in errors), default=ZERO)


class L2(Stage):
    """By a tangent of ``|delta|^2 + sum of psi x_h l``, see docs/proof.md.

    Forms are in (x of undecided neurons, a of the first layer, 1).
    """

    parts = "tree.{0}.delta tree.{0}.x claim.{0}.neurons claim.{0}.conditions claim.{0}.products"

    def value(self, t: int, bounds: Bounds, kind: int, *numbers: Any) -> Decimal:
        """The tangent at a change and x, less what may lie below it."""
        (delta, own, pi, mu, products), open_ = numbers, bounds.undecided()
        net, claim, hidden = self.net, self.claim, self.net.hidden
        wanted = [net.sizes[0], len(open_), hidden, 0]
        found = [len(delta), len(own), len(pi), len(products) % 5]
        need(kind == OBJECTIVE and found == wanted, f"{found} numbers for {wanted}, kind {kind}")
        forms = self._forms(t, bounds, nested(products, len(products) // 5, 5))
        x = dict.fromkeys(self.names, ZERO) | dict(zip(open_, own, strict=True))
        point = [*x.values(), *net.layer(0, plus(claim.image, delta)), ONE]
        tangent = combine(own, forms.values(), [ZERO] * len(point))
        for h, form in forms.items():
            slope = dot(form, point)
            tangent[h] += slope
            tangent[-1] -= slope * x[h]

        def rule(h: int, c: Decimal) -> tuple[Decimal, None, Decimal]:
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

        def passed(h: int, c: Decimal) -> tuple[Decimal, None, Decimal]:
            return ZERO, None, c if bounds.low[h] >= 0 else ZERO

        for *pair, alpha, beta, psi in products:
            h, f = map(int, pair)
            need(h in forms and 0 <= f < net.hidden + len(rhs), f"a product of {h} and {f}")
            if f < net.hidden:
                k, own = net.form(f, beta + alpha * (bounds.low[f] >= 0))
                least = bounds.gap(f, alpha, -beta)
            else:
                k, own, least = net.depth, matrix[f - net.hidden], rhs[f - net.hidden]
            constant, on_a, left = descended(net, k, own, passed)
            on_x = dict.fromkeys(self.names, ZERO) | {e: c for e, c, *_ in left if e in forms}
            if f in forms:
                on_x[f] += alpha
            zero = h == f and alpha == 1 == -beta
            form = [*on_x.values(), *on_a, constant - least]
            forms[h] = combine([psi if zero else min(psi, ZERO)], [form], forms[h])
        return forms

    def _curvature(self, forms: dict[int, Vector]) -> list[Vector]:
        """``M = K - G W W' G' / 2`` of docs/proof.md."""
        nothing, own = [ZERO] * self.net.sizes[1], forms.items()
        cross = {h: form[self.net.hidden : -1] for h, form in own}
        half = {h: combine(g, self.net.products, nothing) for h, g in cross.items()}
        return [[a[j] + b[i] - HALF * dot(half[i], cross[j]) for j, b in own] for i, a in own]
