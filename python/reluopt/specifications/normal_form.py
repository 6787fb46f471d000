r"""Formulas as disjoined regions: a box of inputs, and linear conditions on the outputs.

A formula becomes a disjunction of conjunctions. Those with the same bounds on inputs share a
region; its conditions are alternatives. Everything is rounded outward: a region holds all that the
decimals of the file allow, and its conditions are implied by theirs, so that what is proven of it
is proven of the formula. Strict comparisons count as not strict.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.margins import LogitConditions
from reluopt.specifications.formulas import Atom, Formula, Junction

MAX_ATOMS = 1_000_000
"""Most comparisons in the disjunction of conjunctions."""

MAX_NUMBERS = 2**25
"""Most numbers in boxes and conditions together: 256 MB."""

Ends = tuple[Fraction | None, Fraction | None]
Bounds = dict[int, Ends]

_FREE: Ends = (None, None)


@dataclass(frozen=True, eq=False)
class Region:
    """``{x in box : some alternative holds of the outputs}``, rounded outward.

    Attributes:
        box: inputs allowed.
        alternatives: each with rows on the outputs, perhaps none.
    """

    box: Box
    alternatives: tuple[LogitConditions, ...]

    def tightened(self, amount: float) -> Region:
        """The part of it where conditions hold even if each output is wrong by ``amount``."""
        alternatives = tuple(
            LogitConditions(each.matrix, each.rhs + amount * np.abs(each.matrix).sum(axis=1))
            for each in self.alternatives
        )
        return Region(self.box, alternatives)


@dataclass(frozen=True)
class _Term:
    """A conjunction: bounds on inputs (the ends that it names), and conditions on outputs."""

    bounds: Bounds
    rows: tuple[Atom, ...] = ()


def regions_of(asserted: Sequence[Formula], inputs: int, outputs: int) -> tuple[Region, ...]:
    """The regions of all formulas together; none where they contradict each other.

    Raises:
        InputError: a condition mixes inputs and outputs, or several inputs; an input has no
            bounds; there are too many cases; a factor has too many digits for float64.
    """
    flat = list(_flattened(Junction(True, tuple(asserted))))
    common: Bounds = {}
    cases: list[Formula] = []
    for part in flat:
        if not isinstance(part, Atom) or _rows(part):
            cases.append(part)
        elif not _narrow(common, part):
            return ()
    if _size(Junction(True, tuple(cases)))[1] > MAX_ATOMS:
        raise InputError(f"expected at most {MAX_ATOMS} comparisons in disjunctive normal form")
    terms = _expanded(Junction(True, tuple(cases)))
    grouped: dict[frozenset[tuple[int, Ends]], tuple[Bounds, list[tuple[Atom, ...]]]] = {}
    for term in terms:
        bounds = _met(common, term.bounds)
        if bounds is not None:
            key = frozenset(bounds.items())
            grouped.setdefault(key, (bounds, []))[1].append(term.rows)
    rows = sum(len(each) for _, terms_ in grouped.values() for each in terms_)
    if 2 * len(grouped) * inputs + rows * outputs > MAX_NUMBERS:
        raise InputError(f"expected at most {MAX_NUMBERS} numbers in boxes and conditions")
    lower, upper = _common_ends(common, inputs, [bounds for bounds, _ in grouped.values()])
    return tuple(
        Region(_box(lower, upper, bounds), tuple(_conditions(each, outputs) for each in terms_))
        for bounds, terms_ in grouped.values()
    )


def _flattened(part: Formula) -> Iterator[Formula]:
    """What a conjunction of conjunctions joins."""
    if isinstance(part, Junction) and (part.every or len(part.parts) == 1):
        for each in part.parts:
            yield from _flattened(each)
    else:
        yield part


def _rows(atom: Atom) -> bool:
    """Whether a comparison is about outputs; about inputs, it bounds a single one.

    Raises:
        InputError: it is about both, or about several inputs.
    """
    if not atom.terms or atom.terms[-1][0] < 0:
        return bool(atom.terms)
    if len(atom.terms) == 1:
        return False
    kind = "inputs and outputs together" if atom.terms[0][0] < 0 else "several inputs together"
    raise InputError(f"conditions on {kind} are not supported: expected boxes of inputs")


def _narrow(bounds: Bounds, atom: Atom) -> bool:
    """Take a bound on an input; False if nothing is left."""
    if not atom.terms:
        return atom.bound < 0 or (atom.bound == 0 and not atom.strict)
    ((key, factor),) = atom.terms
    end = atom.bound / factor
    return _cut(bounds, key, (end, None) if factor > 0 else (None, end))


def _cut(bounds: Bounds, key: int, ends: Ends) -> bool:
    """Take both ends of an input; False if nothing is left."""
    low, high = bounds.get(key, _FREE)
    if ends[0] is not None and (low is None or ends[0] > low):
        low = ends[0]
    if ends[1] is not None and (high is None or ends[1] < high):
        high = ends[1]
    bounds[key] = low, high
    return low is None or high is None or low <= high


def _met(common: Bounds, bounds: Bounds) -> Bounds | None:
    """``bounds`` with what all terms share of these inputs, or None if nothing is left."""
    met = dict(bounds)
    return met if all(_cut(met, key, common.get(key, _FREE)) for key in bounds) else None


def _size(part: Formula) -> tuple[int, int]:
    """How many conjunctions a formula becomes, and how many comparisons they have together."""
    if isinstance(part, Atom):
        return 1, 1
    sizes = [_size(each) for each in part.parts]
    if not part.every:
        return sum(count for count, _ in sizes), sum(atoms for _, atoms in sizes)
    count, atoms = 1, 0
    for cases, own in sizes:
        count, atoms = count * cases, atoms * cases + own * count
        if atoms > MAX_ATOMS:  # numbers without end would take long to multiply
            break
    return count, atoms


def _expanded(part: Formula) -> list[_Term]:
    """The conjunctions of a formula, without those that contradict themselves."""
    if isinstance(part, Atom):
        if _rows(part):
            return [_Term({}, (part,))]
        bounds: Bounds = {}
        return [_Term(bounds)] if _narrow(bounds, part) else []
    if not part.every:
        return [term for each in part.parts for term in _expanded(each)]
    bounds, rows, cases = {}, [], []
    for each in _flattened(part):
        if not isinstance(each, Atom):
            cases.append(_expanded(each))
        elif _rows(each):
            rows.append(each)
        elif not _narrow(bounds, each):
            return []
    terms = [_Term(bounds, tuple(rows))]
    for case in cases:
        terms = [both for one in terms for other in case if (both := _together(one, other))]
    return terms


def _together(one: _Term, other: _Term) -> _Term | None:
    """Both conjunctions, or None if they contradict each other."""
    bounds = dict(one.bounds)
    if not all(_cut(bounds, key, ends) for key, ends in other.bounds.items()):
        return None
    return _Term(bounds, one.rows + other.rows)


def _common_ends(
    common: Bounds, inputs: int, own: Sequence[Bounds]
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends that all regions share, outward; 0 where each region has its own.

    Raises:
        InputError: an input has no bounds.
    """
    missing = [key for key in range(inputs) if None in common.get(key, _FREE)] if own else []
    for bounds in own:
        for key in missing:
            if None in bounds.get(key, _FREE):
                raise InputError(
                    f"input {key}: expected a lower and an upper bound, found one missing"
                )
    lower, upper = np.zeros(inputs), np.zeros(inputs)
    for key, (low, high) in common.items():
        lower[key] = 0.0 if low is None else _below(low)
        upper[key] = 0.0 if high is None else _above(high)
    return lower, upper


def _box(lower: FloatArray, upper: FloatArray, bounds: Bounds) -> Box:
    """The common box, cut by a region's own bounds."""
    lower, upper = lower.copy(), upper.copy()
    for key, (low, high) in bounds.items():
        assert low is not None
        assert high is not None
        lower[key], upper[key] = _below(low), _above(high)
    return Box(lower, upper)


def _conditions(rows: Sequence[Atom], outputs: int) -> LogitConditions:
    """``matrix @ outputs >= rhs``, implied by ``rows``."""
    matrix, rhs = np.zeros((len(rows), outputs)), np.zeros(len(rows))
    for place, row in enumerate(rows):
        scale = _scale(row)
        for key, factor in row.terms:
            matrix[place, -1 - key] = float(factor * scale)
        rhs[place] = _below(row.bound * scale)
    return LogitConditions(matrix, rhs)


def _scale(row: Atom) -> Fraction:
    """A positive number that makes all factors float64 numbers.

    Raises:
        InputError: their whole numbers have more than 53 bits.
    """
    factors = [factor for _, factor in row.terms]
    if all(Fraction(float(factor)) == factor for factor in factors):
        return Fraction(1)
    multiple = math.lcm(*(factor.denominator for factor in factors))
    divisor = math.gcd(*(int(factor * multiple) for factor in factors))
    scale = Fraction(multiple, divisor)
    if any(abs(factor * scale) > 2**53 for factor in factors):
        raise InputError("factors of outputs with so many digits are not supported")
    return scale


def _below(value: Fraction) -> float:
    """The largest float64 number that is at most ``value``."""
    near = float(value)
    return near if Fraction(near) <= value else math.nextafter(near, -math.inf)


def _above(value: Fraction) -> float:
    """The smallest float64 number that is at least ``value``."""
    return -_below(-value)
