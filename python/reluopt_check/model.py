"""What a proof is about: the network, the inputs allowed, the conditions, bounds of neurons."""

import hashlib
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal, localcontext
from functools import cached_property, partial
from itertools import accumulate, combinations_with_replacement, pairwise, product
from typing import Any, NamedTuple

from reluopt_check.exact import HALF, INFINITY, NEAR, ONE, ZERO, Vector, combine, dot, plus, shown
from reluopt_check.files import File, InputError, need

VERSION, MOST = 3, 1000
UNITS = {"l1": "sum |change|", "l2": "sum change^2", "linf": "max |change|"}
Plane = tuple[Decimal, Vector]
"""Edge and cost of ``max(a, 0) <= edge + cost @ p`` of a neuron, p as in :class:`Claim`."""
Slope = tuple[Decimal, Plane | None, Decimal]
"""t, a plane that t times is used, and m of ``(c + t) max(a, 0) >= m a + ..``."""
Rule = Callable[[int, Decimal], Slope]
"""Of neuron h with ``c max(a, 0)`` in a form."""
Used = tuple[Decimal, Plane]
"""Share and plane that stands for the line above a ReLU, that share of it."""


class Network:
    """A chain of dense layers with ReLUs between them; hidden neurons are counted through."""

    def __init__(self, file: File) -> None:
        file.field("activation", str, among=("relu",))
        about = file.field("architecture", dict)
        sizes, dense = [*map(int, about.get("sizes", ()))], about.get("type") == "dense"
        fits = len(file.tensors) == 2 * len(sizes) - 2 > 0 < min(sizes) and sum(sizes[1:-1]) <= MOST
        need(
            dense and fits,
            f"expected dense layers of up to {MOST} ReLUs, found {about!s:.80}",
            InputError,
        )
        self.sizes, self.starts = tuple(sizes), [0, *accumulate(sizes[1:-1])]
        self.hidden, self.depth = self.starts[-1], len(sizes) - 2
        pairs = [*enumerate(pairwise(sizes))]
        self.weights = [file.take(f"layers.{k}.weight", m, n) for k, (n, m) in pairs]
        self.biases = [file.take(f"layers.{k}.bias", m) for k, (_, m) in pairs]
        rows = [row for w, b in zip(self.weights, self.biases, strict=True) for row in (*w, b)]
        self.fingerprint = fingerprint(rows, repr(self.sizes))

    def form(self, h: int, factor: Decimal) -> tuple[int, Vector]:
        """A multiple of ``a_h`` as a form of its layer: the layer, and the coefficients."""
        k = sum(start <= h for start in self.starts) - 1
        return k, [factor * (h == each) for each in range(self.starts[k], self.starts[k + 1])]

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

    def descended(self, top: int, form: Vector, rule: Rule) -> tuple[Decimal, Vector, list[Any]]:
        """``form @ a`` of a layer: constant, form of the first one, and what is left of neurons.

        That is ``c max(a, 0) - m a``: h, c and what the rule says.
        """
        constant, left = ZERO, list[Any]()
        for k in range(top, 0, -1):
            constant += dot(form, self.biases[k])
            own = [(h, c, rule(h, c)) for h, c in enumerate(self.back(k, form), self.starts[k - 1])]
            form, left = [slope[-1] for *_, slope in own], left + own
        return constant, form, left


def fingerprint(rows: list[Vector], start: str = "") -> str:
    """SHA-256 of numbers as float64, after a text."""
    packed = (struct.pack(f"<{len(row)}d", *row) for row in rows)
    return hashlib.sha256(start.encode() + b"".join(packed)).hexdigest()


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


class Claim:
    """What a proof says that it proves, and the inputs among which it looks, all from its file.

    Inputs are ``image + up - down``, one of ``up_j`` and ``down_j`` being 0; p holds both. Of n
    inputs p has 2 n entries, ``0 <= p <= rooms``, and ``sum p <= radius`` (L1) or
    ``sum p^2 <= radius^2`` (L2). Alternatives are ``matrix @ logits >= rhs``.
    """

    def __init__(self, file: File, net: Network) -> None:
        need(file.field("network_sha256", str) == net.fingerprint, "it is about another network")
        fields = File(file.field("claim", dict), {}, b"")
        fields.field("version", int, among=(VERSION,))
        self.norm: str = fields.field("norm", str, among=(*UNITS,))
        self.verdict = fields.field("question", str, among=("distance", "verdict")) == "verdict"
        self.bound = fields.length("bound", *[type(None)] * (not self.verdict))
        self.name = ascii(fields.field("name", str)[:60])
        ends = (file.take(f"claim.{name}", net.sizes[0]) for name in ("image", "lower", "upper"))
        self.image, self.lower, self.upper = ends
        self.sha256 = fingerprint([self.image])
        need(self.holds(self.image), "claim: expected an image inside of the box", InputError)
        count = fields.field("alternatives", int, among=range(1, len(file.tensors)))
        self.alternatives: list[tuple[list[Vector], Vector]] = []
        for t in range(count):
            matrix = file.take(f"claim.{t}.matrix", None, net.sizes[-1])
            self.alternatives.append((matrix, file.take(f"claim.{t}.rhs", len(matrix))))
        self.stages: list[int] = fields.field("stages", list)
        self.answered = fields.field("incumbent", int, type(None), among=(None, *range(count)))
        ups, downs = plus(self.upper, self.image, -ONE), plus(self.image, self.lower, -ONE)
        farthest = self.length([*map(max, ups, downs)])
        self.radius = min(file.length("radius", int, type(None)), farthest + 1)
        square, reach = (v * v if self.norm == "l2" else v for v in (self.bound, self.radius))
        self.limit = min(square if self.verdict else self.bound, farthest)
        need(
            reach >= self.limit, f"a claim about another set than that within {shown(self.radius)}"
        )
        self.rooms = [min(room, self.radius) for room in ups + downs]
        self.net, self.start = net, net.layer(0, self.image)

    def check(self, objective: bool, value: Decimal) -> None:
        """Refuse a leaf that shows only so much, of the objective or of what must be positive."""
        value, wanted = (max(value, ZERO), self.limit) if objective else (value, ZERO)
        equal = objective and not self.verdict and self.limit == self.bound
        more, fits = ("", value >= wanted) if equal else ("more than ", value > wanted)
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
        s, q, t, last, square = ONE, [ZERO] * len(gains), ZERO, -ONE, self.radius * self.radius
        with localcontext(NEAR), suppress(ArithmeticError):
            near = [(+gain, +room) for gain, room in gains]
            while t > last * Decimal("1.000000000000001"):
                clipped = sum(room * room for gain, room in near if t * gain > room)
                free = sum(gain * gain for gain, room in near if t * gain <= room)
                last, t = t, ((square - clipped) / free).sqrt()
            s = 1 / t
            q = [min(gain / s, room) for gain, room in near]
        over = [max(gain - s * v, ZERO) * room for (gain, room), v in zip(gains, q, strict=True)]
        return sum(over, s * HALF * (dot(q, q) + square))

    def above(self, start: Decimal, rise: Vector, cost: Vector) -> Plane:
        """The lowest plane over ``max(a, 0)`` with ``a <= start + rise @ p``, whatever the cost."""
        return -min(self.least(ZERO, cost), self.least(-start, plus(cost, rise, -ONE))), cost


class Bounds(NamedTuple):
    """``low <= a <= high`` of all hidden neurons for some inputs; phases are bounds, too."""

    claim: Claim
    low: Vector
    high: Vector

    def undecided(self) -> list[int]:
        """The neurons that may have both phases."""
        return [h for h, (a, b) in enumerate(zip(self.low, self.high, strict=True)) if a < 0 < b]

    def gap(self, h: int, c: Decimal, m: Decimal) -> Decimal:
        """The least ``c max(a, 0) - m a`` of a neuron: at an end, or at 0."""
        low, high = self.low[h], self.high[h]
        return min(c * max(v, ZERO) - m * v for v in (low, high, min(max(low, ZERO), high)))

    def rule(self, ways: dict[int, Decimal], used: dict[int, Used], h: int, c: Decimal) -> Slope:
        """By alpha of undecided neurons, beta of decided ones; planes replace lines above."""
        p, low, high = max(ways.get(h, ZERO), ZERO), self.low[h], self.high[h]
        if low >= 0 or high <= 0:
            return ZERO, None, NEAR.plus(c - p if low >= 0 else p)
        if c >= 0:
            return ZERO, None, NEAR.multiply(c, min(p, ONE))
        share, plane = used.get(h, (ZERO, None))
        t = NEAR.multiply(-c, min(max(share, ZERO), ONE))
        return t, plane, NEAR.divide((c + t) * high, high - low)

    def carried(self, top: int, form: Vector, rule: Rule) -> tuple[Decimal, Vector]:
        """Constant and cost with ``form @ a + sum t (max(a, 0) - plane) >= constant + cost @ p``.

        The form is one of layer ``top``. Of neurons without a plane the form has t max(a, 0), too.
        """
        constant, form, left = self.claim.net.descended(top, form, rule)
        cost = self.claim.both(self.claim.net.back(0, form))
        for h, c, (t, plane, m) in left:
            constant += self.gap(h, c + t, m)
            if plane and t:
                constant, cost = constant - t * plane[0], plus(cost, plane[1], -t)
        return constant + dot(form, self.claim.start), cost

    def missed(self, t: int, mixture: Vector, rule: Rule) -> tuple[Decimal, Vector]:
        """``mixture @ (rhs - matrix @ logits)``, <= 0 where an alternative is met, carried."""
        net, (matrix, rhs) = self.claim.net, self.claim.alternatives[t]
        mu = [max(v, ZERO) for v in mixture]
        form = combine([-v for v in mu], matrix, [ZERO] * net.sizes[-1])
        constant, cost = self.carried(net.depth, form, rule)
        return constant + dot(mu, rhs), cost

    def confirm(self, old: "Bounds", ways: Callable[[int, int], Iterable[Rule]]) -> bool:
        """Whether bounds that are tighter than older ones leave anything.

        By intervals, by lines that leave the smaller triangles, or by ways of a neuron and sign.

        Raises:
            ProofError: nothing shows one of them.
        """
        net, low, high, sides = self.claim.net, self.low, self.high, ((1, "lower"), (-1, "upper"))
        lines = partial(self.rule, {h: ONE for h in self.undecided() if high[h] > -low[h]}, {})
        for h, (sign, side) in product(range(net.hidden), sides):
            before, given = (b.low[h] if sign > 0 else -b.high[h] for b in (old, self))
            rules: list[Rule] = [lambda *_: (ZERO, None, ZERO), lines, *ways(h, sign)]
            shows = (self.carried(*net.form(h, Decimal(sign)), rule) for rule in rules)
            fits = before >= given or any(self.claim.least(*each) >= given for each in shows)
            need(fits, f"neuron {h}: {shown(sign * given)} is no {side} bound")
            if side == "upper" and low[h] > high[h]:
                return False
        return True
