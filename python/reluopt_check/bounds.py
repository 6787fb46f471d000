"""Bounds of hidden neurons, and the one inequality that carries forms to the inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from itertools import chain, pairwise, product
from operator import mul
from typing import Any, ClassVar, NamedTuple, TypeAlias

from reluopt_check.exact import ONE, ZERO, Form, Vec, combine, rounded, shown, unit
from reluopt_check.files import File, InputError, need
from reluopt_check.model import Claim, Domain, Network


class Plane(NamedTuple):
    """``max(a, 0) <= edge + cost @ p`` of a neuron, p being changes (:class:`.model.Domain`)."""

    cost: Vec
    edge: Fraction

    @classmethod
    def above(cls, domain: Domain, start: Fraction, rise: Vec, cost: Vec) -> Plane:
        """The lowest such plane of a neuron with ``a <= start + rise @ p``, whatever the cost."""
        over = combine([1, -1], [cost, rise], domain.size)
        return cls(cost, max(-domain.least(cost), start - domain.least(over)))


Planes: TypeAlias = "Mapping[int, Plane] | None"
Rule = Callable[[int, Fraction], tuple[Fraction, Fraction]]
"""Of a neuron and the coefficient of its ReLU: how much of its plane is used, and the slope."""
Affine = tuple[Fraction, Vec]
"""Constant and cost, of constant + cost @ p."""
Ways = Callable[[int, int], Iterable[tuple[Rule, Planes]]]
NOTHING: Mapping[int, Any] = {}


def flat(*_: object) -> tuple[Fraction, Fraction]:
    """The slope 0, with which forms are bounded by intervals."""
    return ZERO, ZERO


Left = tuple[int, Fraction, Fraction, Fraction]
"""What a form of a layer leaves of neuron h is ``c max(a, 0) - m a``; h, c, t of a rule, m."""


def descended(net: Network, top: int, form: Form, rule: Rule) -> tuple[Fraction, Form, list[Left]]:
    """``form @ a`` of a layer as constant, form of the first layer, and what is left of neurons."""
    constant, left = ZERO, list[Left]()
    for k in range(top, 0, -1):
        constant += sum(map(mul, form, net.layers[k].bias))
        coefficients = enumerate(net.layers[k].back(form).list(), start=net.starts[k - 1])
        own = [(h, c, *rule(h, c)) for h, c in coefficients]
        form, left = [m for *_, m in own], left + own
    return constant, form, left


class Bounds(NamedTuple):
    """``low <= a <= high`` of all hidden neurons over some of a domain; phases are bounds, too."""

    domain: Domain
    low: list[Any]
    high: list[Any]

    def child(self, h: int, active: bool) -> Bounds:
        """With one phase fixed."""
        low, high = list(self.low), list(self.high)
        low[h] = max(low[h], ZERO) if active else low[h]
        high[h] = high[h] if active else min(high[h], ZERO)
        return Bounds(self.domain, low, high)

    def undecided(self) -> list[int]:
        """The neurons that may have both phases."""
        return [h for h, (a, b) in enumerate(zip(self.low, self.high, strict=True)) if a < 0 < b]

    def gap(self, h: int, c: Fraction, m: Fraction) -> Fraction:
        """The least ``c max(a, 0) - m a`` of a neuron: at an end, or at 0."""
        low, high = self.low[h], self.high[h]
        ends = (low, ZERO, high) if low < 0 < high else (low, high)
        return min(c * max(v, ZERO) - m * v for v in ends)

    def chosen(self, multipliers: Mapping[int, Any], shares: Mapping[int, Any]) -> Rule:
        """By alpha of undecided neurons, beta of decided ones; planes replace lines above."""

        def rule(h: int, c: Fraction) -> tuple[Fraction, Fraction]:
            p, low, high = max(Fraction(multipliers.get(h, 0)), ZERO), self.low[h], self.high[h]
            if low >= 0 or high <= 0:
                return ZERO, c - p if low >= 0 else p
            t = min(max(Fraction(shares.get(h, 0)), ZERO), ONE) * max(-c, ZERO)
            c += t
            return t, c * min(p, ONE) if c >= 0 else rounded(c * high / (high - low))

        return rule

    def carried(self, top: int, form: Form, rule: Rule, planes: Planes) -> Affine:
        """Constant and cost with ``form @ a + sum t (max(a, 0) - plane) >= constant + cost @ p``.

        The form is one of layer ``top``, t what the rule says: at least 0 of neurons that have a
        plane. Without ``planes`` these are 0, and t may have any sign.
        """
        domain, net = self.domain, self.domain.net
        constant, form, left = descended(net, top, form, rule)
        costs = [(ONE, domain.both(net.layers[0].back(form)))]
        for h, c, t, m in left:
            constant += self.gap(h, c + t, m)
            if t and planes is not None:
                constant -= t * planes[h].edge
                costs.append((-t, planes[h].cost))
        constant += sum(map(mul, form, domain.start))
        return constant, combine([w for w, _ in costs], [row for _, row in costs], domain.size)

    def confirm(self, old: Bounds, layers: Iterable[int], more: Ways = lambda *_: ()) -> bool:
        """Whether bounds that are tighter than older ones leave anything.

        By intervals, by lines that leave the smaller triangles, or by more, of neuron and sign.

        Raises:
            ProofError: nothing shows one of them.
        """
        net, low, high = self.domain.net, self.low, self.high

        def least(k: int, h: int, sign: int, rule: Rule, planes: Planes) -> Fraction:
            form = unit(h - net.starts[k], net.sizes[k + 1], sign).list()
            constant, cost = self.carried(k, form, rule, planes)
            return constant + self.domain.least(cost)

        smaller = self.chosen({h: int(high[h] > -low[h]) for h in self.undecided()}, NOTHING)
        for k in layers:
            neurons = range(net.starts[k], net.starts[k] + net.sizes[k + 1])
            for h, sign in product(neurons, (1, -1)):
                before, given = (b.low[h] if sign > 0 else -b.high[h] for b in (old, self))
                ways = chain([(flat, NOTHING)], more(h, sign), [(smaller, NOTHING)])
                fits = before >= given or any(least(k, h, sign, *way) >= given for way in ways)
                side = "lower" if sign > 0 else "upper"
                need(fits, f"neuron {h}: {shown(sign * given)} is no {side} bound")
            if any(low[h] > high[h] for h in neurons):
                return False
        return True


Leaf = Callable[[int, Bounds], tuple[bool, Fraction]]
"""Of a leaf and its bounds: whether the objective counts, and what it and all that counterexamples
cannot have positive add up to at least."""


class Stage:
    """Bounds over the domain, and the leaves of trees that begin there; a class for each norm."""

    parts: ClassVar[tuple[str, ...]]

    def __init__(self, file: File, claim: Claim, place: int, bounds: Bounds) -> None:
        self.file, self.claim, self.place, self.bounds = file, claim, place, bounds
        self.domain, self.net = bounds.domain, bounds.domain.net
        self.names = [*range(self.net.hidden)]

    def confirmed(self, old: Bounds) -> bool:
        """Whether anything is left within the bounds, all of which have been shown."""
        return self.bounds.confirm(old, range(self.net.depth))

    def leaves(self, t: int) -> Leaf:
        """What the leaves of a tree show."""
        kinds = self.file.take(f"tree.{t}.kinds", None, whole=True)
        cuts = [self._cut(part.format(t), len(kinds)) for part in self.parts]

        def shown(leaf: int, bounds: Bounds) -> tuple[bool, Fraction]:
            need(leaf < len(kinds) and kinds[leaf] in (1, 2), "nothing shows that it is empty")
            objective, own = kinds[leaf] == 1, [cut[leaf] for cut in cuts]
            return objective, self.value(t, bounds, objective, *own)

        return shown

    def value(self, t: int, bounds: Bounds, objective: bool, *parts: Any) -> Fraction:
        """What a leaf shows by its parts."""
        raise NotImplementedError

    def _cut(self, name: str, count: int) -> list[Any]:
        """Each leaf's share of a long vector."""
        ends = (0, *self.file.take(f"{name}.ends", count, whole=True))
        values = self.file.take(name, None)
        fits = list(ends) == sorted(ends) and ends[-1] == len(values)
        need(fits, f"tensor '{name}.ends': expected rising ends up to {len(values)}", InputError)
        return [values[a:b] for a, b in pairwise(ends)]

    def missed(self, t: int, bounds: Bounds, mixture: Form, rule: Rule, planes: Planes) -> Affine:
        """``mixture @ (rhs - matrix @ logits)``, at most 0 where that is met, :func:`carried`."""
        matrix, rhs = self.claim.alternatives[t]
        need(len(mixture) == len(rhs), "multipliers of other conditions")
        form = combine([-w for w in mixture], matrix, self.net.sizes[-1]).list()
        constant, cost = bounds.carried(self.net.depth, form, rule, planes)
        return constant + sum(map(mul, mixture, rhs)), cost
