"""What a proof is about: the network, the inputs allowed, and the conditions."""

import hashlib
import struct
from bisect import bisect
from contextlib import suppress
from decimal import Decimal, localcontext
from functools import cached_property
from itertools import accumulate, pairwise

from reluopt_check.exact import HALF, INFINITY, NEAR, ONE, ZERO, Vector, combine, dot, minus, shown
from reluopt_check.files import File, InputError, need

VERSION, MOST = 2, 1000
Plane = tuple[Decimal, Vector]
"""Edge and cost of ``max(a, 0) <= edge + cost @ p`` of a neuron, p as in :class:`Claim`."""
Alternative = tuple[list[Vector], Vector]
"""Matrix and right sides of ``matrix @ logits >= rhs``."""
UNITS = {"l1": "sum |change|", "l2": "sum change^2", "linf": "max |change|"}


class Network:
    """A chain of dense layers with ReLUs between them; hidden neurons are counted through."""

    def __init__(self, file: File) -> None:
        file.field("activation", str, among=("relu",))
        about = file.field("architecture", dict)
        sizes: list[int] = about.get("sizes") if about.get("type") == "dense" else []
        fits = isinstance(sizes, list) and all(type(n) is int and n > 0 for n in sizes)
        fits = fits and len(file.tensors) == 2 * len(sizes) - 2 > 0 and sum(sizes[1:-1]) <= MOST
        need(fits, f"expected dense layers of up to {MOST} ReLUs, found {about!s:.80}", InputError)
        self.sizes, self.starts = tuple(sizes), [0, *accumulate(sizes[1:-1])]
        self.hidden, self.depth = self.starts[-1], len(sizes) - 2
        pairs = [*enumerate(pairwise(sizes))]
        self.weights = [file.take(f"layers.{k}.weight", m, n) for k, (n, m) in pairs]
        self.biases = [file.take(f"layers.{k}.bias", m) for k, (_, m) in pairs]
        rows = [row for w, b in zip(self.weights, self.biases, strict=True) for row in (*w, b)]
        self.fingerprint = fingerprint(rows, repr(self.sizes))

    def neurons(self, k: int) -> range:
        """The hidden neurons of a layer."""
        return range(self.starts[k], self.starts[k + 1])

    def form(self, h: int, factor: Decimal) -> tuple[int, Vector]:
        """A multiple of ``a_h`` as a form of its layer: the layer, and the coefficients."""
        k = bisect(self.starts, h) - 1
        return k, [factor * (h == each) for each in self.neurons(k)]

    def back(self, k: int, form: Vector) -> Vector:
        """``form @ weight`` of a layer."""
        return combine(form, self.weights[k], [ZERO] * self.sizes[k])

    def layer(self, k: int, x: Vector) -> Vector:
        """The values of a layer before its ReLUs."""
        return [dot(row, x) + b for row, b in zip(self.weights[k], self.biases[k], strict=True)]

    def logits(self, x: Vector) -> Vector:
        """The forward pass, exactly."""
        for k in range(self.depth):
            x = [max(value, ZERO) for value in self.layer(k, x)]
        return self.layer(self.depth, x)

    @cached_property
    def products(self) -> list[Vector]:
        """Inner products of the rows of the first layer."""
        return [[dot(a, b) for b in self.weights[0]] for a in self.weights[0]]


def fingerprint(rows: list[Vector], start: str = "") -> str:
    """SHA-256 of numbers as float64, after a text."""
    packed = (struct.pack(f"<{len(row)}d", *row) for row in rows)
    return hashlib.sha256(start.encode() + b"".join(packed)).hexdigest()


class Claim:
    """What a proof says that it proves, and the inputs among which it looks, all from its file.

    Inputs are ``image + up - down``, one of ``up_j`` and ``down_j`` being 0; p holds both. Of n
    inputs p has 2 n entries, ``0 <= p <= rooms``, and ``sum p <= radius`` (L1) or
    ``sum p^2 <= radius^2`` (L2).
    """

    def __init__(self, file: File, net: Network) -> None:
        fields = File(file.field("claim", dict), {}, b"")
        fields.field("version", int, among=(VERSION,))
        self.norm: str = fields.field("norm", str, among=(*UNITS,))
        self.verdict = fields.field("question", str, among=("distance", "verdict")) == "verdict"
        self.bound = fields.length("bound", *[type(None)] * (not self.verdict))
        self.name = repr(fields.field("name", str)[:60])
        ends = (file.take(f"claim.{name}", net.sizes[0]) for name in ("image", "lower", "upper"))
        self.image, self.lower, self.upper = ends
        self.sha256 = fingerprint([self.image])
        need(self.holds(self.image), "claim: expected an image inside of the box", InputError)
        count = fields.field("alternatives", int, among=range(1, len(file.tensors)))
        self.alternatives: list[Alternative] = []
        for t in range(count):
            matrix = file.take(f"claim.{t}.matrix", None, net.sizes[-1])
            self.alternatives.append((matrix, file.take(f"claim.{t}.rhs", len(matrix))))
        self.stages: list[int] = fields.field("stages", list)
        self.answered = fields.field("incumbent", int, type(None), among=(None, *range(count)))
        ups, downs = minus(self.upper, self.image), minus(self.image, self.lower)
        farthest = self.length([*map(max, ups, downs)])
        radius = file.length("radius", int, type(None))
        radius = self.radius = farthest + 1 if radius == INFINITY else radius
        square = self.verdict and self.norm == "l2"
        self.limit = min(self.bound * self.bound if square else self.bound, farthest)
        fits = (radius * radius if self.norm == "l2" else radius) >= self.limit
        need(fits, f"a claim about another set than that within {shown(radius)}")
        self.rooms = [min(room, radius) for room in ups + downs]
        self.net, self.start = net, net.layer(0, self.image)

    def check(self, objective: bool, value: Decimal) -> None:
        """Refuse a leaf that shows only so much, of the objective or of what must be positive."""
        value, wanted = (max(value, ZERO), self.limit) if objective else (value, ZERO)
        equal = objective and not self.verdict and self.limit == self.bound
        fits = value > wanted or (equal and value == wanted)
        more = "" if equal else "more than "
        need(fits, f"shows {shown(value)}, claimed is {more}{shown(wanted)}")

    def holds(self, point: Vector) -> bool:
        """Whether a point lies in the box."""
        return all(a <= v <= b for a, v, b in zip(self.lower, point, self.upper, strict=True))

    def length(self, change: Vector) -> Decimal:
        """The objective of a change: L1, the square of L2, or Linf."""
        if self.norm == "l2":
            return dot(change, change)
        return sum(map(abs, change), ZERO) if self.norm == "l1" else max(map(abs, change))

    def both(self, g: Vector) -> Vector:
        """``g @ (up - down)`` as costs of p."""
        return g + [-v for v in g]

    def least(self, constant: Decimal, cost: Vector) -> Decimal:
        """At most the minimum of ``constant + cost @ p``."""
        gains = [(-c, room) for c, room in zip(cost, self.rooms, strict=True) if c < 0]
        most, left = ZERO, self.radius if self.norm == "l1" else INFINITY
        for gain, room in sorted(gains, reverse=True) if left < INFINITY else gains:
            most += gain * min(room, left)
            left -= min(room, left)
        return constant - (min(most, self._euclidean(gains)) if self.norm == "l2" else most)

    def _euclidean(self, gains: list[tuple[Decimal, Decimal]]) -> Decimal:
        """``gain @ p <= sum max(gain - s q, 0) room + s (q @ q + r^2) / 2`` for any s > 0, q.

        The least has q = min(gain / s, room) of length r: with 1 / s that rises towards it.
        """
        s, t, last, square = ZERO, ZERO, -ONE, self.radius * self.radius
        with localcontext(NEAR), suppress(ArithmeticError):
            near = [(+gain, +room) for gain, room in gains]
            while t > last * Decimal("1.000000000000001"):
                clipped = sum(room * room for gain, room in near if t * gain > room)
                free = sum(gain * gain for gain, room in near if t * gain <= room)
                last, t = t, ((square - clipped) / free).sqrt()
            s = 1 / t
            q = [min(gain / s, room) for gain, room in near]
        if not s:
            return INFINITY
        over = [max(gain - s * v, ZERO) * room for (gain, room), v in zip(gains, q, strict=True)]
        return sum(over, s * HALF * (dot(q, q) + square))

    def above(self, start: Decimal, rise: Vector, cost: Vector) -> Plane:
        """The lowest plane over ``max(a, 0)`` with ``a <= start + rise @ p``, whatever the cost."""
        return -min(self.least(ZERO, cost), self.least(-start, minus(cost, rise))), cost
