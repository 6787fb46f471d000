"""Bounds of hidden neurons, and the one inequality that carries forms to the inputs."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import chain, product
from typing import NamedTuple

from reluopt_check.exact import NEAR, ONE, ZERO, Vector, combine, dot, shown
from reluopt_check.files import need
from reluopt_check.model import Claim, Network, Plane

Rule = Callable[[int, Decimal], tuple[Decimal, Plane | None, Decimal]]
"""Of neuron h with ``c max(a, 0)`` in a form: t, a plane that t times is used, and the slope m."""
Used = tuple[Decimal, Plane]
"""Share and plane that stands for the line above a ReLU, that share of it."""
Left = list[tuple[int, Decimal, Decimal, Plane | None, Decimal]]
"""What forms leave of neurons, ``c max(a, 0) - m a``: h, c and, of a rule, t, plane and m."""


def intervals(*_: object) -> tuple[Decimal, None, Decimal]:
    """The slope 0, with which forms are bounded by intervals."""
    return ZERO, None, ZERO


def descended(net: Network, top: int, form: Vector, rule: Rule) -> tuple[Decimal, Vector, Left]:
    """``form @ a`` of a layer: constant, form of the first layer, and what is left of neurons."""
    constant, left = ZERO, Left()
    for k in range(top, 0, -1):
        constant += dot(form, net.biases[k])
        own = [(h, c, *rule(h, c)) for h, c in enumerate(net.back(k, form), net.starts[k - 1])]
        form, left = [m for *_, m in own], left + own
    return constant, form, left


class Bounds(NamedTuple):
    """``low <= a <= high`` of all hidden neurons for some inputs; phases are bounds, too."""

    claim: Claim
    low: Vector
    high: Vector

    def child(self, h: int, active: bool) -> "Bounds":
        """With one phase fixed."""
        low, high = [*self.low], [*self.high]
        low[h] = max(low[h], ZERO) if active else low[h]
        high[h] = high[h] if active else min(high[h], ZERO)
        return Bounds(self.claim, low, high)

    def undecided(self) -> list[int]:
        """The neurons that may have both phases."""
        return [h for h, (a, b) in enumerate(zip(self.low, self.high, strict=True)) if a < 0 < b]

    def gap(self, h: int, c: Decimal, m: Decimal) -> Decimal:
        """The least ``c max(a, 0) - m a`` of a neuron: at an end, or at 0."""
        low, high = self.low[h], self.high[h]
        ends = (low, ZERO, high) if low < 0 < high else (low, high)
        return min(c * max(v, ZERO) - m * v for v in ends)

    def rule(self, multipliers: Mapping[int, Decimal], used: Mapping[int, Used]) -> Rule:
        """By alpha of undecided neurons, beta of decided ones; planes replace lines above."""

        def chosen(h: int, c: Decimal) -> tuple[Decimal, Plane | None, Decimal]:
            p, low, high = max(multipliers.get(h, ZERO), ZERO), self.low[h], self.high[h]
            if low >= 0 or high <= 0:
                return ZERO, None, NEAR.plus(c - p if low >= 0 else p)
            if c >= 0:
                return ZERO, None, NEAR.multiply(c, min(p, ONE))
            share, plane = used.get(h, (ZERO, None))
            t = NEAR.multiply(-c, min(max(share, ZERO), ONE))
            return t, plane, NEAR.divide((c + t) * high, high - low)

        return chosen

    def carried(self, top: int, form: Vector, rule: Rule) -> tuple[Decimal, Vector]:
        """Constant and cost with ``form @ a + sum t (max(a, 0) - plane) >= constant + cost @ p``.

        The form is one of layer ``top``. Of neurons without a plane the form has t max(a, 0), too.
        """
        net, (constant, form, left) = self.claim.net, descended(self.claim.net, top, form, rule)
        cost = self.claim.both(net.back(0, form))
        for h, c, t, plane, m in left:
            constant += self.gap(h, c + t, m)
            if plane:
                constant, cost = constant - t * plane[0], combine([-t], [plane[1]], cost)
        return constant + dot(form, self.claim.start), cost

    def missed(self, t: int, mixture: Vector, rule: Rule) -> tuple[Decimal, Vector]:
        """``mixture @ (rhs - matrix @ logits)``, <= 0 where an alternative is met, carried."""
        net, (matrix, rhs) = self.claim.net, self.claim.alternatives[t]
        need(len(mixture) == len(rhs), "multipliers of other conditions")
        mu = [max(v, ZERO) for v in mixture]
        form = [-v for v in combine(mu, matrix, [ZERO] * net.sizes[-1])]
        constant, cost = self.carried(net.depth, form, rule)
        return constant + dot(mu, rhs), cost

    def confirm(self, old: "Bounds", ways: Callable[[int, int], Iterable[Rule]]) -> bool:
        """Whether bounds that are tighter than older ones leave anything.

        By intervals, by lines that leave the smaller triangles, or by ways of a neuron and sign.

        Raises:
            ProofError: nothing shows one of them.
        """
        net, low, high, sides = self.claim.net, self.low, self.high, ((1, "lower"), (-1, "upper"))
        smaller = self.rule({h: ONE for h in self.undecided() if high[h] > -low[h]}, {})
        for k in range(net.depth):
            for h, (sign, side) in product(net.neurons(k), sides):
                before, given = (b.low[h] if sign > 0 else -b.high[h] for b in (old, self))
                rules = chain([intervals, smaller], ways(h, sign))
                shows = (self.carried(*net.form(h, Decimal(sign)), rule) for rule in rules)
                fits = before >= given or any(self.claim.least(*each) >= given for each in shows)
                need(fits, f"neuron {h}: {shown(sign * given)} is no {side} bound")
            if any(low[h] > high[h] for h in net.neurons(k)):
                return False
        return True
