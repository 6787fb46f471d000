"""What a proof is about: the network, the inputs allowed, and the conditions."""

from __future__ import annotations

import hashlib
import struct
from fractions import Fraction
from itertools import accumulate, pairwise
from math import inf, sqrt
from typing import Any, NamedTuple

from reluopt_check.exact import ZERO, Vec, combine, dot, knapsack, shown, vec
from reluopt_check.files import File, InputError, pieces

MOST_HIDDEN = 1000


class Layer(NamedTuple):
    """An affine map."""

    rows: list[Vec]
    bias: list[Fraction]
    inputs: int

    def __call__(self, x: Vec) -> list[Fraction]:
        """Its values."""
        return [dot(row, x) + b for row, b in zip(self.rows, self.bias, strict=True)]

    def back(self, form: list[Fraction]) -> Vec:
        """``form @ weight``."""
        return combine(form, self.rows, self.inputs)


class Network:
    """A chain of dense layers with ReLUs between them; hidden neurons are counted through."""

    def __init__(self, file: File) -> None:
        file.field("activation", str, among=("relu",))
        about = file.field("architecture", dict)
        sizes: Any = about.get("sizes") if about.get("type") == "dense" else None
        fine = isinstance(sizes, list) and all(type(n) is int and n > 0 for n in sizes)
        if not fine or len(sizes) < 2 or len(file.tensors) != 2 * len(sizes) - 2:
            raise InputError(f"network: expected dense layers, found {str(about)[:80]}")
        if sum(sizes[1:-1]) > MOST_HIDDEN:
            raise InputError(f"network: expected at most {MOST_HIDDEN} hidden neurons")
        self.sizes, self.layers = tuple(sizes), list[Layer]()
        digest = hashlib.sha256(repr(self.sizes).encode())
        for k, (inputs, outputs) in enumerate(pairwise(sizes)):
            weight = file.take(f"layers.{k}.weight", outputs, inputs).values
            bias = file.take(f"layers.{k}.bias", outputs).values
            digest.update(packed(weight) + packed(bias))
            n, e = vec(weight)
            rows = [Vec(row, e) for row in pieces(n, inputs)]
            self.layers.append(Layer(rows, [Fraction(b) for b in bias], inputs))
        self.fingerprint, self.starts = digest.hexdigest(), [0, *accumulate(sizes[1:-1])]
        self.hidden, self.depth = self.starts[-1], len(sizes) - 2

    def logits(self, x: Vec) -> list[Fraction]:
        """The forward pass, exactly."""
        for layer in self.layers[:-1]:
            x = vec(max(value, ZERO) for value in layer(x))
        return self.layers[-1](x)


def packed(values: tuple[Any, ...]) -> bytes:
    """As float64."""
    return struct.pack(f"<{len(values)}d", *values)


class Domain:
    """``center + change`` with ``low <= change <= high``, and a ball around 0 of a norm if any."""

    def __init__(
        self, center: Vec, ends: tuple[list[Fraction], list[Fraction]], norm: str, radius: Fraction
    ) -> None:
        self.center, self.norm, self.radius, self.size = center, norm, radius, len(center.n)
        self.low, self.high = ends
        n, self.e = vec([*self.low, *self.high, radius])
        self.lows, self.highs, self.budget = n[: self.size], n[self.size : -1], n[-1]

    def least(self, form: Vec) -> Fraction:
        """At most the minimum of ``form @ (center + change)``."""
        return dot(form, self.center) - self._most([-g for g in form.n], form.e)

    def _most(self, g: list[int], e: int) -> Fraction:
        ends = list(zip(g, self.lows, self.highs, strict=True))
        if self.norm == "l1":
            rooms = (b if v > 0 else -a for v, a, b in ends)
            return Fraction(knapsack(map(abs, g), rooms, self.budget), 1 << (e + self.e))
        box = Fraction(sum(max(v * a, v * b) for v, a, b in ends), 1 << (e + self.e))
        if self.norm != "l2":
            return box
        t = self._multiplier(g, e)
        if not 1e-150 < t < 1e150:
            return min(box, Fraction(sum(map(abs, g)) * self.budget, 1 << (e + self.e)))
        # 2 t g @ d <= r^2 + sum_i max over d_i of (2 t g_i d_i - d_i^2), for any t > 0
        top, bottom = t.as_integer_ratio()
        shift = e + bottom.bit_length() - 1
        both = max(shift, self.e)
        up, total = both - self.e, (self.budget << (both - self.e)) ** 2
        for v, a, b in ends:
            w = (v * top) << (both - shift)
            end = min(max(w, a << up), b << up)
            total += (2 * w - end) * end
        return min(box, Fraction(total, 1 << (2 * both)) / (2 * Fraction(t)))

    def _multiplier(self, given: list[int], e: int) -> float:
        """About the t with ``|clip(t g)| = r``, from below; 0 where it is not found."""
        try:
            g, square = [v / (1 << e) for v in given], float(self.radius) ** 2
            ends = [(v, float(a), float(b)) for v, a, b in zip(g, self.low, self.high, strict=True)]
            before, t = 0.0, sqrt(square / sum(v * v for v in g))
            while t > before * (1 + 1e-15):
                clips = [(v, min(max(t * v, a), b)) for v, a, b in ends]
                free = sum(v * v for v, d in clips if d == t * v)
                before, t = t, sqrt((square - sum(d * d for v, d in clips if d != t * v)) / free)
        except (ArithmeticError, ValueError):
            return 0.0
        return before


class Alternative(NamedTuple):
    """``matrix @ logits >= rhs``."""

    matrix: list[Vec]
    rhs: list[Fraction]

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

    def __init__(self, file: File, network: Network) -> None:
        fields, size = File(file.field("claim", dict), {}), network.sizes[0]
        self.verdict = fields.field("question", str, among=("distance", "verdict")) == "verdict"
        self.norm: str = fields.field("norm", str, among=("l1", "l2", "linf"))
        given = fields.field("bound", float, int, type(None))
        if (given is None and self.verdict) or not 0 <= (given or 0) < inf:
            raise InputError(f"claim: expected a bound or radius >= 0, found {given}")
        self.bound = None if given is None else Fraction(given)
        self.name = repr(fields.field("name", str)[:60])
        image, lower, upper = (
            file.take(f"claim.{name}", size).values for name in ("image", "lower", "upper")
        )
        self.sha256, self.center = hashlib.sha256(packed(image)).hexdigest(), vec(image)
        self.image, self.lower, self.upper = (
            [Fraction(v) for v in x] for x in (image, lower, upper)
        )
        if not self.holds(self.image):
            raise InputError("claim: expected an image inside of the box")
        count = fields.field("alternatives", int)
        if not 1 <= count <= len(file.tensors):
            raise InputError(f"claim: expected alternatives, found {count}")
        self.alternatives = list[Alternative]()
        for t in range(count):
            matrix = file.take(f"claim.{t}.matrix", None, network.sizes[-1]).rows()
            rhs = file.take(f"claim.{t}.rhs", len(matrix)).values
            self.alternatives.append(Alternative([*map(vec, matrix)], [*map(Fraction, rhs)]))
        self.answered = fields.field("incumbent", int, type(None), among=(None, *range(count)))
        if self.answered is not None:
            self.answer = vec(file.take("claim.incumbent", size).values)

    def holds(self, point: list[Fraction]) -> bool:
        """Whether a point lies in the box."""
        return all(a <= v <= b for a, v, b in zip(self.lower, point, self.upper, strict=True))

    def ends(self) -> tuple[list[Fraction], list[Fraction]]:
        """The box, as limits on the change."""
        low, high = (
            [a - b for a, b in zip(ends, self.image, strict=True)]
            for ends in (self.lower, self.upper)
        )
        return low, high

    def length(self, change: list[Fraction]) -> Fraction:
        """The objective of a change: L1, the square of L2, or Linf."""
        if self.norm == "l2":
            return sum((d * d for d in change), ZERO)
        return sum(map(abs, change), ZERO) if self.norm == "l1" else max(map(abs, change))
