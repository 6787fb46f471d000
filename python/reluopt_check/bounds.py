"""Bounds of hidden neurons, trees, and the one inequality that carries forms to the inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from operator import mul
from typing import Any, NamedTuple

from reluopt_check.exact import ONE, ZERO, Vec, combine, rounded, shown, unit
from reluopt_check.files import File, ProofError
from reluopt_check.model import Domain, Network

LEAF = -1


class Bounds(NamedTuple):
    """``low <= a <= high`` of all hidden neurons; phases are bounds, too."""

    low: list[Fraction]
    high: list[Fraction]

    def child(self, h: int, active: bool) -> Bounds:
        """With one phase fixed."""
        low, high = list(self.low), list(self.high)
        low[h] = max(low[h], ZERO) if active else low[h]
        high[h] = high[h] if active else min(high[h], ZERO)
        return Bounds(low, high)

    def undecided(self, h: int) -> bool:
        """Whether a neuron may have both phases."""
        return self.low[h] < 0 < self.high[h]


Slope = Callable[[int, Fraction, Fraction, Fraction], Fraction]
"""Of neuron, coefficient and bounds: what to replace the coefficient of the ReLU by."""
Planes = Mapping[int, tuple[Callable[[Fraction, bool], Fraction], Vec, Fraction]]
"""Of neurons ``plane @ input + edge >= max(a, 0)``, and how much of it is used, for a coefficient
and whether the neuron is undecided."""


def flat(*_: object) -> Fraction:
    """The slope 0, with which forms are bounded by intervals."""
    return ZERO


def usual(_: int, c: Fraction, low: Fraction, high: Fraction) -> Fraction:
    """The slope that leaves the smaller triangle."""
    return multiplied(c, low, high, Fraction(high > -low) if low < 0 < high else ZERO)


def multiplied(c: Fraction, low: Fraction, high: Fraction, p: Fraction) -> Fraction:
    """The slope that a multiplier means: alpha of undecided neurons, beta of decided ones."""
    if low >= 0:
        return c - max(p, ZERO)
    if high <= 0:
        return max(p, ZERO)
    return c * min(max(p, ZERO), ONE) if c >= 0 else rounded(c * high / (high - low))


def carried(
    net: Network, bounds: Bounds, top: int, form: list[Fraction], slope: Slope, planes: Planes
) -> tuple[Fraction, Vec]:
    """Constant and g with ``form @ a >= constant + g @ input`` for a of layer ``top``.

    ``c max(a, 0) >= m a + min (c max(v, 0) - m v)`` over the ends v of a's range, and 0 if inside.
    """
    constant, parts = ZERO, list[tuple[Fraction, Vec]]()
    for k in range(top, -1, -1):
        constant += sum(map(mul, form, net.layers[k].bias))
        form_below = net.layers[k].back(form)
        if k == 0:
            break
        form = []
        for h, c in enumerate(form_below.list(), start=net.starts[k - 1]):
            low, high = bounds.low[h], bounds.high[h]
            if h in planes:
                amount, plane, edge = planes[h]
                t = amount(c, bounds.undecided(h))
                c += t
                constant -= t * edge
                parts.append((-t, plane))
            m = slope(h, c, low, high)
            ends = (low, ZERO, high) if low < 0 < high else (low, high)
            constant += min(c * max(v, ZERO) - m * v for v in ends)
            form.append(m)
    weights, rows = [ONE, *(w for w, _ in parts)], [form_below, *(plane for _, plane in parts)]
    return constant, combine(weights, rows, net.sizes[0])


def confirm(
    net: Network,
    domain: Domain,
    old: Bounds | None,
    new: Bounds,
    *more: Callable[[int, int, int], Fraction | float],
) -> bool:
    """Confirm bounds that are tighter than older ones; False where they show that nothing is left.

    ``more`` are other lower bounds on ``sign * a``, of layer, neuron and sign.

    Raises:
        ProofError: nothing shows one of them.
    """

    def linear(slope: Slope, k: int, i: int, sign: int) -> Fraction:
        form = unit(i, net.sizes[k + 1], sign).list()
        constant, g = carried(net, new, k, form, slope, {})
        return constant + domain.least(g)

    ways: list[Any] = [partial(linear, flat), *more, partial(linear, usual)]

    for k, start in enumerate(net.starts[:-1]):
        for i in range(net.sizes[k + 1]):
            h = start + i
            for sign, given in ((1, new.low[h]), (-1, -new.high[h])):
                if old and (old.low[h] if sign > 0 else -old.high[h]) >= given:
                    continue
                if not any(way(k, i, sign) >= given for way in ways):
                    side = "lower" if sign > 0 else "upper"
                    raise ProofError(f"neuron {h}: {shown(sign * given)} is no {side} bound")
        if any(new.low[h] > new.high[h] for h in range(start, net.starts[k + 1])):
            return False
    return True


class Place(NamedTuple):
    """A leaf that is not shown to be empty: where it stands, its number, its bounds."""

    where: str
    leaf: int
    bounds: Bounds


def leaves(
    file: File, t: int, net: Network, domain: Domain, root: Bounds, names: list[int]
) -> Iterator[Place]:
    """The leaves of a tree, which cover all inputs of the root.

    Args:
        file: of the proof.
        t: the alternative.
        net: the network.
        domain: the inputs.
        root: bounds that hold for all of them.
        names: the hidden neurons that the splits count.
    """
    splits = file.take(f"tree.{t}.splits", None).values
    marks, kept = (0,) * len(splits), iter(list[Bounds]())
    if f"tree.{t}.refined" in file.tensors:
        marks = file.take(f"tree.{t}.refined", len(splits)).values
        kept = iter(pairs(file, f"claim.{t}.nodes", net.hidden))
    stack, leaf = [(root, True, 0)], 0
    for node, (name, mark) in enumerate(zip(splits, marks, strict=True)):
        where = f"alternative {t}, node {node}"
        if not stack:
            raise ProofError(f"{where}: the tree has ended before")
        bounds, alive, depth = stack.pop()
        if mark:
            new = next(kept, None)
            if new is None:
                raise ProofError(f"{where}: no bounds are kept")
            try:
                alive = alive and confirm(net, domain, bounds, new)
            except ProofError as error:
                raise ProofError(f"{where}, {error}") from None
            bounds = new
        if name == LEAF:
            if alive:
                yield Place(where, leaf, bounds)
            leaf += 1
        elif not 0 <= name < len(names) or depth > len(names):
            raise ProofError(f"{where}: a split of neuron {name}")
        else:
            for active in (True, False):
                below, h = bounds.child(names[name], active), names[name]
                stack.append((below, alive and below.low[h] <= below.high[h], depth + 1))
    if stack:
        raise ProofError(f"alternative {t}: {len(stack)} leaves are missing")


def pairs(file: File, name: str, hidden: int) -> list[Bounds]:
    """Kept bounds."""
    rows = file.take(name, None, 2, hidden).rows()
    return [Bounds([*map(Fraction, r[:hidden])], [*map(Fraction, r[hidden:])]) for r in rows]
