r"""Formulas over the inputs and outputs of a network, in exact rational numbers.

Variables are whole numbers: input i is i, output j is :math:`-1-j`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from reluopt.errors import InputError, shown
from reluopt.specifications.expressions import Tree

LARGEST = 10**100
"""Largest number, as for networks (:mod:`reluopt.questions.overflow`)."""

LARGEST_BITS = 4_000
"""Most bits of a numerator or denominator: products of decimals may not grow without end."""

_NUMBER = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Atom:
    """``sum(factor * variable) >= bound``, or ``>``.

    Attributes:
        terms: variables, each once and in order, with factors other than 0.
        bound: the right-hand side.
        strict: whether both sides may not be equal.
    """

    terms: tuple[tuple[int, Fraction], ...]
    bound: Fraction
    strict: bool

    def holds(self, values: Mapping[int, Fraction], lead: Fraction) -> bool:
        """Whether it is met, of outputs by at least ``lead``.

        As in the competition, the bound is the float64 number that is nearest to the decimal.
        """
        value = sum((factor * values[key] for key, factor in self.terms), Fraction(0))
        on_outputs = bool(self.terms) and self.terms[0][0] < 0
        bound = Fraction(float(self.bound)) + lead * on_outputs
        return value > bound if self.strict else value >= bound


@dataclass(frozen=True, slots=True)
class Junction:
    """All, or any, of some formulas."""

    every: bool
    parts: tuple[Formula, ...]

    def holds(self, values: Mapping[int, Fraction], lead: Fraction) -> bool:
        """Whether it is met; see :meth:`Atom.holds`."""
        test = all if self.every else any
        return test(part.holds(values, lead) for part in self.parts)


Formula: TypeAlias = Atom | Junction

Variable: TypeAlias = Callable[[str, str | None], int]
"""The variable of a name, and of the index in brackets behind it."""

Form: TypeAlias = dict[int | None, Fraction]
"""A linear form: factors of variables, and under None the constant."""


@lru_cache(maxsize=4096)
def number(text: str) -> Fraction | None:
    """The exact value of a decimal, or None if it is none."""
    return _checked(Fraction(text)) if _NUMBER.fullmatch(text) else None


def formula(tree: Tree, variable: Variable) -> Formula:
    """Read comparisons and what joins them.

    Raises:
        InputError: it is not of the language, or not linear.
    """
    head, rest = _operation(tree)
    if head in _JOINED:
        if not rest:
            raise InputError(f"{head}: expected formulas, found none")
        return Junction(_JOINED[head], tuple(formula(part, variable) for part in rest))
    if head not in _COMPARED:
        known = ", ".join((*_JOINED, *_COMPARED))
        raise InputError(f"expected a formula of {known}, found {shown(repr(head))}")
    sides = _joined_names(rest)
    if len(sides) != 2:
        raise InputError(f"{head}: expected two sides, found {len(sides)}")
    left, right = (_form(side, variable) for side in sides)
    return _COMPARED[head](left, right)


def _operation(tree: Tree) -> tuple[str, list[Tree]]:
    """The word that a list begins with, and the rest."""
    if isinstance(tree, str) or not tree or not isinstance(tree[0], str):
        raise InputError(f"expected an operator in parentheses, found {_told(tree)}")
    return tree[0], tree[1:]


def _told(tree: Tree) -> str:
    return shown(repr(tree)) if isinstance(tree, str) else f"{len(tree)} parts in parentheses"


def _joined_names(parts: Sequence[Tree]) -> list[Tree | tuple[str, str]]:
    """Indices in brackets belong to the name before them."""
    joined: list[Tree | tuple[str, str]] = []
    for part in parts:
        if isinstance(part, str) and part.startswith("["):
            if not joined or not isinstance(joined[-1], str):
                raise InputError(f"expected a name before {shown(part)}")
            joined[-1] = (joined[-1], part)
        else:
            joined.append(part)
    return joined


def _form(tree: Tree | tuple[str, str], variable: Variable) -> Form:
    """Read arithmetic."""
    if isinstance(tree, tuple):
        return {variable(*tree): Fraction(1)}
    if isinstance(tree, str):
        value = number(tree)
        return {variable(tree, None): Fraction(1)} if value is None else {None: value}
    head, rest = _operation(tree)
    parts = [_form(part, variable) for part in _joined_names(rest)]
    if head not in _COMPUTED or not parts:
        found = f"{shown(repr(head))} of {len(parts)} terms"
        raise InputError(f"expected {', '.join(_COMPUTED)} of terms, found {found}")
    return _COMPUTED[head](parts)


def _checked(value: Fraction) -> Fraction:
    """A number, refused if it is too large or too long."""
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if bits > LARGEST_BITS or abs(value) > LARGEST:
        raise InputError(f"expected numbers within ±{float(LARGEST):g}, of at most 1,000 digits")
    return value


def _sum(parts: Sequence[Form]) -> Form:
    return _combined(parts[0], parts[1:], 1)


def _difference(parts: Sequence[Form]) -> Form:
    """``(- a)`` negates, ``(- a b c)`` is a - b - c."""
    return _combined(parts[0], parts[1:], -1) if len(parts) > 1 else _combined({}, parts, -1)


def _combined(first: Form, others: Sequence[Form], sign: int) -> Form:
    total = dict(first)
    for form in others:
        for key, factor in form.items():
            total[key] = _checked(total.get(key, Fraction(0)) + sign * factor)
    return total


def _product(parts: Sequence[Form]) -> Form:
    """A product of forms of which at most one holds variables."""
    scale, linear = Fraction(1), None
    for form in parts:
        if form.keys() <= {None}:
            scale = _checked(scale * form.get(None, Fraction(0)))
        elif linear is not None:
            raise InputError("products of variables are not supported: expected linear arithmetic")
        else:
            linear = form
    return {
        key: _checked(scale * factor) for key, factor in (linear or {None: Fraction(1)}).items()
    }


_COMPUTED = {"+": _sum, "-": _difference, "*": _product}


def _at_least(left: Form, right: Form, strict: bool = False) -> Atom:
    """``left >= right``."""
    form = _combined(left, [right], -1)
    bound = -form.pop(None, Fraction(0))
    terms = sorted((key, factor) for key, factor in form.items() if factor and key is not None)
    return Atom(tuple(terms), bound, strict)


def _both(left: Form, right: Form) -> Junction:
    return Junction(True, (_at_least(left, right), _at_least(right, left)))


def _either(left: Form, right: Form) -> Junction:
    return Junction(False, (_at_least(left, right, True), _at_least(right, left, True)))


_JOINED = {"and": True, "or": False}

_COMPARED: Mapping[str, Callable[[Form, Form], Formula]] = {
    ">=": _at_least,
    "<=": lambda left, right: _at_least(right, left),
    ">": lambda left, right: _at_least(left, right, True),
    "<": lambda left, right: _at_least(right, left, True),
    "==": _both,
    "=": _both,
    "!=": _either,
}
