"""What a proof is about: the network, the inputs allowed, and the conditions."""

from __future__ import annotations

import hashlib
import struct
from fractions import Fraction
from itertools import accumulate, pairwise
from math import inf, sqrt
from typing import Any, NamedTuple

from reluopt_check.exact import ZERO, Form, Vec, combine, dot, shown, vec
from reluopt_check.files import File, InputError, need

VERSION, MOST_HIDDEN, FINE = 2, 1000, 64
UNITS = {"l1": "sum |change|", "l2": "sum change^2", "linf": "max |change|"}


class Layer(NamedTuple):
    """An affine map."""

    rows: list[Vec]
    bias: Form
    inputs: int

    def __call__(self, x: Vec) -> Form:
        """Its values."""
        return [dot(row, x) + b for row, b in zip(self.rows, self.bias, strict=True)]

    def back(self, form: Form) -> Vec:
        """``form @ weight``."""
        return combine(form, self.rows, self.inputs)


class Network:
    """A chain of dense layers with ReLUs between them; hidden neurons are counted through."""

    def __init__(self, file: File) -> None:
        file.field("activation", str, among=("relu",))
        about = file.field("architecture", dict)
        sizes: Any = about.get("sizes") if about.get("type") == "dense" else None
        fits = isinstance(sizes, list) and all(type(n) is int and n > 0 for n in sizes)
        fits = fits and len(sizes) >= 2 and sum(sizes[1:-1]) <= MOST_HIDDEN
        wanted = f"dense layers of at most {MOST_HIDDEN} hidden neurons"
        need(fits, f"network: expected {wanted}, found {str(about)[:80]}", InputError)
        fits = len(file.tensors) == 2 * len(sizes) - 2
        need(fits, f"network: expected {len(sizes) - 1} weights and biases alone", InputError)
        self.sizes, self.layers = tuple(sizes), list[Layer]()
        digest = hashlib.sha256(repr(self.sizes).encode())
        for k, (inputs, outputs) in enumerate(pairwise(sizes)):
            weight = file.take(f"layers.{k}.weight", outputs, inputs)
            bias = file.take(f"layers.{k}.bias", outputs)
            for row in (*weight, bias):
                digest.update(packed(row))
            self.layers.append(Layer([*map(vec, weight)], [*map(Fraction, bias)], inputs))
        self.fingerprint, self.starts = digest.hexdigest(), [0, *accumulate(sizes[1:-1])]
        self.hidden, self.depth = self.starts[-1], len(sizes) - 2

    def logits(self, x: Vec) -> Form:
        """The forward pass, exactly."""
        for layer in self.layers[:-1]:
            x = vec(max(value, ZERO) for value in layer(x))
        return self.layers[-1](x)


def packed(values: tuple[Any, ...]) -> bytes:
    """As float64."""
    return struct.pack(f"<{len(values)}d", *values)


class Domain:
    """Inputs ``center + up - down``, one of ``up_j`` and ``down_j`` being 0; p holds both.

    Of n inputs p has 2 n entries, ``0 <= p <= rooms``, and ``sum p <= radius`` (L1) or
    ``sum p^2 <= radius^2`` (L2).
    """

    def __init__(self, net: Network, center: Vec, rooms: Form, norm: str, radius: Fraction) -> None:
        n, e = vec([*rooms, radius])
        self.net, self.center, self.norm, self.radius = net, center, norm, radius
        self.rooms, self.e, self.size = [v << FINE for v in n], e + FINE, 2 * len(center.n)
        self.budget, self.start = self.rooms.pop(), net.layers[0](center)

    def both(self, g: Vec) -> Vec:
        """``g @ (up - down)`` as costs of p."""
        return Vec([*g.n, *(-v for v in g.n)], g.e)

    def least(self, cost: Vec) -> Fraction:
        """At most the minimum of ``cost @ p``."""
        gains = [(-c, room) for c, room in zip(cost.n, self.rooms, strict=True) if c < 0]
        most: Any = sum(gain * room for gain, room in gains)
        left = self.budget
        if self.norm == "l2":
            most = min(most, self._euclidean(gains, cost.e))
        if self.norm == "l1" and sum(room for _, room in gains) > left:
            most = 0
            for gain, room in sorted(gains, reverse=True):
                most += gain * min(room, left)
                left -= min(room, left)
        return Fraction(-most, 1 << (cost.e + self.e))

    def _euclidean(self, gains: list[tuple[int, int]], e: int) -> Any:
        """``gain @ p <= sum max(gain - s q, 0) room + s (q @ q + r^2) / 2`` for any s > 0, q."""
        t, last = 0.0, -1.0
        try:
            floats = [(gain / (1 << e), room / (1 << self.e)) for gain, room in gains]
            while t > last * (1 + 1e-15):  # t, of |min(t gain, room)| = r, rises
                clipped = sum(room**2 for gain, room in floats if t * gain > room)
                free = sum(gain**2 for gain, room in floats if t * gain <= room)
                last, t = t, sqrt((float(self.radius) ** 2 - clipped) / free)
            d, n = (Fraction(1 << e, 1 << self.e) / Fraction(t)).as_integer_ratio()
        except (ArithmeticError, ValueError):
            return inf
        total = d * self.budget**2
        for gain, room in gains:
            q = min(n * gain // d, room)
            total += 2 * (n * gain - d * q) * room + d * q * q
        return Fraction(total, 2 * n)


class Alternative(NamedTuple):
    """``matrix @ logits >= rhs``."""

    matrix: list[Vec]
    rhs: Form

    def words(self) -> str:
        """Rows ``x_t >= f x_j + g`` that differ in j alone together."""
        kinds: dict[str, list[str]] = {}
        for row, right in zip(self.matrix, self.rhs, strict=True):
            ups = [f"{shown(v)} x{j}" for j, v in enumerate(row.list()) if v > 0]
            downs = [(shown(-v), str(j)) for j, v in enumerate(row.list()) if v < 0]
            factor, labels = downs[0] if len(downs) == 1 else (str(downs), "")
            kind = f"{' + '.join(ups)} >= {shown(right)} + {factor} x"
            kinds.setdefault(kind, []).append(labels)
        return ", ".join(f"{kind}[{','.join(labels)}]" for kind, labels in kinds.items())


class Claim:
    """What a proof says that it proves, all of it read from its file."""

    def __init__(self, file: File, net: Network) -> None:
        fields = File(file.field("claim", dict), {})
        fields.field("version", int, among=(VERSION,))
        self.norm: str = fields.field("norm", str, among=(*UNITS,))
        self.verdict = fields.field("question", str, among=("distance", "verdict")) == "verdict"
        given = fields.field("bound", float, *[type(None)] * (not self.verdict))
        need(0 <= (given or 0) < inf, f"claim: expected a bound >= 0, found {given}", InputError)
        self.bound = None if given is None else Fraction(given)
        self.name = repr(fields.field("name", str)[:60])
        ends = (file.take(f"claim.{name}", net.sizes[0]) for name in ("image", "lower", "upper"))
        image, self.lower, self.upper = ends
        self.sha256, self.center = hashlib.sha256(packed(image)).hexdigest(), vec(image)
        need(self.holds(image), "claim: expected an image inside of the box", InputError)
        count = fields.field("alternatives", int, among=range(1, len(file.tensors)))
        self.alternatives = list[Alternative]()
        for t in range(count):
            matrix = file.take(f"claim.{t}.matrix", None, net.sizes[-1])
            rhs = file.take(f"claim.{t}.rhs", len(matrix))
            self.alternatives.append(Alternative([*map(vec, matrix)], [*map(Fraction, rhs)]))
        self.stages: list[int] = fields.field("stages", list)
        fits = len(self.stages) == count and all(type(s) is int for s in self.stages)
        need(fits, f"stages: expected one for each of {count} alternatives", InputError)
        self.answered = fields.field("incumbent", int, type(None), among=(None, *range(count)))
        ups, downs = self.change(self.upper), self.change(self.lower)
        self.rooms = [*ups, *(-v for v in downs)]
        self.farthest = self.length([max(v, -w) for v, w in zip(ups, downs, strict=True)])
        power = 2 if self.verdict and self.norm == "l2" else 1
        self.limit = self.farthest if self.bound is None else min(self.bound**power, self.farthest)

    def domain(self, net: Network, radius: Fraction | None) -> Domain:
        """The inputs of the box within a radius; all that the claim is about must be there."""
        r = self.farthest + 1 if radius is None else radius
        reach = r * r if self.norm == "l2" else r
        need(reach >= self.limit, f"a claim about another set than that within {shown(r)}")
        return Domain(net, self.center, [min(room, r) for room in self.rooms], self.norm, r)

    def check(self, objective: bool, value: Fraction) -> None:
        """Refuse a leaf that shows only so much, of the objective or of what must be positive."""
        value, wanted = (max(value, ZERO), self.limit) if objective else (value, ZERO)
        equal = objective and not self.verdict and self.limit == self.bound
        fits = value > wanted or (equal and value == wanted)
        more = "" if equal else "more than "
        need(fits, f"shows {shown(value)}, claimed is {more}{shown(wanted)}")

    def change(self, point: Any) -> Form:
        """From the image to a point."""
        return [Fraction(v) - c for v, c in zip(point, self.center.list(), strict=True)]

    def holds(self, point: Any) -> bool:
        """Whether a point lies in the box."""
        return all(a <= v <= b for a, v, b in zip(self.lower, point, self.upper, strict=True))

    def length(self, change: Form) -> Fraction:
        """The objective of a change: L1, the square of L2, or Linf."""
        if self.norm == "l2":
            return sum((d * d for d in change), ZERO)
        return sum(map(abs, change), ZERO) if self.norm == "l1" else max(map(abs, change))
