"""L1: Lagrangian bounds, with planes through the corners of the ball."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from reluopt_check.bounds import Bounds, Plane, Stage
from reluopt_check.exact import ONE, ZERO, Vec, combine, positive, unit
from reluopt_check.files import need
from reluopt_check.model import FINE


class L1(Stage):
    """The corners are no change, and the whole radius spent on one input, up or down."""

    parts = ("tree.{}.neurons", "tree.{}.conditions", "tree.{}.balls")

    def confirmed(self, old: Bounds) -> bool:
        """From the second on by planes, too, and by lines below ReLUs that touch them at p = 0."""
        self.planes: dict[int, Plane] = {}
        self.shares, self.active = dict[int, int](), dict[int, int]()
        self.rule = self.bounds.chosen(self.active, self.shares)
        ways = [(self.rule, self.planes)] if self.place else []
        open_ = {*self.bounds.undecided()} if self.place else set[int]()
        for k, start in enumerate(self.net.starts[:-1]):
            if not self.bounds.confirm(old, [k], lambda *_: ways):
                return False
            for h in open_ & {*range(start, self.net.starts[k + 1])}:
                self._cornered(k, h)
        return True

    def _cornered(self, k: int, h: int) -> None:
        """The plane through what the ReLU of a neuron is at most at the corners."""
        domain, radius = self.domain, self.domain.radius or ONE
        forms = [unit(h - self.net.starts[k], self.net.sizes[k + 1], s).list() for s in (1, -1)]
        found = [self.bounds.carried(k, form, self.rule, self.planes) for form in forms]
        (low, _), (start, fall) = found
        ones, moved = Vec([1] * (domain.size + 1), 0), fall._replace(n=[0, *fall.n])
        corners = combine([-start, -radius], [ones, moved], domain.size + 1)
        first, *others = (max(n, 0) for n in corners.n)
        top, bottom = radius.as_integer_ratio()
        cost = [((n - first) * bottom << FINE) // top for n in others]
        rise = fall._replace(n=[-n for n in fall.n])
        self.shares[h], self.active[h] = 1, int(low > 0)
        self.planes[h] = Plane.above(domain, -start, rise, Vec(cost, corners.e + FINE))

    def value(self, t: int, bounds: Bounds, objective: bool, *parts: Any) -> Fraction:
        """Multipliers of neurons are slopes; those of balls say how much of a plane is used."""
        pi, mu, tau = [*map(Fraction, parts[0])], positive(parts[1]), positive(parts[2])
        need(len(pi) == len(tau) == self.net.hidden, "multipliers of other neurons")
        used = {h: tau[h] for h in self.planes}

        def rule(h: int, _: Fraction) -> tuple[Fraction, Fraction]:
            return used.get(h, ZERO), -pi[h]

        constant, cost = self.missed(t, bounds, mu, rule, self.planes)
        ones = Vec([int(objective)] * self.domain.size, 0)
        return constant + self.domain.least(combine([1, 1], [cost, ones], self.domain.size))
