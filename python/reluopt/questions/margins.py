"""By how much a target's logit must lead: margins, and the linear conditions they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray, frozen_array

STRICT_GAP = 1e-4
"""Logit lead that :class:`RelativeMargin` asks for on top of its ratio. It excludes ties (an exact
tie is no success) and stands far above the 1e-6 to 1e-9 feasibility tolerances of MIP solvers,
while trained logits differ by 0.1 to 10."""


RATIO_DIGITS = 12
"""Decimal ratios such as 1.2 are meant exactly, but 1.2 - 1 is not 0.2 without rounding."""


@dataclass(frozen=True, eq=False)
class LogitConditions:
    """Linear conditions ``matrix @ logits >= rhs`` that an answer must meet.

    Attributes:
        matrix: shape ``(conditions, n_K)``.
        rhs: shape ``(conditions,)``.
    """

    matrix: FloatArray
    rhs: FloatArray

    def __post_init__(self) -> None:
        matrix, rhs = frozen_array(self.matrix), frozen_array(self.rhs)
        if matrix.ndim != 2 or rhs.shape != (matrix.shape[0],):
            raise InputError(
                f"conditions: expected a matrix and one right-hand side a row, found shapes "
                f"{matrix.shape} and {rhs.shape}"
            )
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "rhs", rhs)

    def slack(self, logits: FloatArray) -> FloatArray:
        """``matrix @ logits - rhs`` for ``(n_K,)`` or ``(batch, n_K)``; all >= 0 when met."""
        return logits @ self.matrix.T - self.rhs


class Margin(Protocol):
    """By how much the target's logit must lead the others.

    Attributes:
        bare: whether images that the network does not classify as the target can meet it.
    """

    bare: ClassVar[bool]

    def conditions(self, target: int, classes: int) -> LogitConditions:
        """The conditions for ``target`` among ``classes`` logits."""
        ...

    def __hash__(self) -> int:
        """Equal margins give equal conditions, which may be kept."""
        ...


def _leads(target: int, classes: int, factor: float) -> FloatArray:
    """Rows ``x_t - factor * x_j`` for every ``j != t``, shape ``(classes - 1, classes)``."""
    rows = -factor * np.eye(classes)
    rows[:, target] = 1.0
    return np.delete(rows, target, axis=0)


def _check_fraction(fraction: float) -> None:
    if not (np.isfinite(fraction) and fraction >= 0.0):
        raise InputError(f"margin: expected a fraction >= 0, found {fraction}")


@dataclass(frozen=True)
class RelativeMargin:
    """``x_t >= (1 + fraction) x_j`` and ``x_t >= x_j + strict_gap`` for every other label j.

    The second condition matters: with negative logits the first alone allows ``x_t < x_j``, and an
    exact tie is no success.

    Attributes:
        fraction: relative lead; the thesis (Linkola 2023) uses 0.2, that is ``x_t >= 1.2 x_j``.
        strict_gap: absolute lead in logit units, > 0.
        over: the one label that the fraction counts over; None means every other. With the true
            label it is the condition of the CTU assignment (2022), section 5:
            ``x_d <= 0.95 max_k x_k`` is a fraction of 1/0.95 - 1 over d, target any.

    Example:
        >>> import reluopt as ro
        >>> ro.RelativeMargin(0.2).conditions(1, 2).matrix  # of x_1 over x_0
        array([[-1.2,  1. ],
               [-1. ,  1. ]])
    """

    fraction: float = 0.2
    strict_gap: float = STRICT_GAP
    over: int | None = None
    bare: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)
        if self.over is not None and self.over < 0:
            raise InputError(f"margin: expected a label after ':', found {self.over}")
        if not (np.isfinite(self.strict_gap) and self.strict_gap > 0.0):
            raise InputError(f"margin: expected a strict gap > 0, found {self.strict_gap}")

    def conditions(self, target: int, classes: int) -> LogitConditions:
        """Both families of rows; the ratio rows are left out when ``fraction`` is 0."""
        leads = _leads(target, classes, 1.0)
        gaps = np.full(classes - 1, self.strict_gap)
        if self.fraction == 0.0:
            return LogitConditions(leads, gaps)
        ratios = _leads(target, classes, 1.0 + self.fraction)
        if self.over is not None:
            if self.over >= classes:
                raise InputError(
                    f"margin: expected a label from 0 to {classes - 1} after ':', found {self.over}"
                )
            ratios = ratios[np.delete(np.arange(classes), target) == self.over]
        rhs = np.append(np.zeros(len(ratios)), gaps)
        return LogitConditions(np.vstack([ratios, leads]), rhs)

    def __str__(self) -> str:
        return f"x{_ratio(self.fraction)}" + ("" if self.over is None else f":{self.over}")


@dataclass(frozen=True)
class BareRelativeMargin:
    """The thesis' condition to the letter: ``x_t >= (1 + fraction) x_j`` and nothing else.

    It allows images that the network does not classify as the target (negative logits, ties).
    It is kept to reproduce published figures; such images are never reported as a success.

    Example:
        >>> import reluopt as ro
        >>> bare = ro.BareRelativeMargin(0.2).conditions(1, 2)
        >>> bare.matrix @ [-1.0, -1.1] >= bare.rhs  # met, though x_1 < x_0
        array([ True])
    """

    fraction: float = 0.2
    bare: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)

    def conditions(self, target: int, classes: int) -> LogitConditions:
        """The ratio rows alone."""
        return LogitConditions(_leads(target, classes, 1.0 + self.fraction), np.zeros(classes - 1))

    def __str__(self) -> str:
        return f"bare-x{_ratio(self.fraction)}"


@dataclass(frozen=True)
class AbsoluteMargin:
    """``x_t >= x_j + kappa`` for every other label j, with ``kappa > 0`` in logit units.

    Example:
        >>> import reluopt as ro
        >>> ro.AbsoluteMargin(0.5).conditions(1, 3).rhs  # x_1 ahead of x_0 and of x_2
        array([0.5, 0.5])
    """

    kappa: float
    bare: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.kappa) and self.kappa > 0.0):
            raise InputError(
                f"margin: expected kappa > 0 (0 would end in ties), found {self.kappa}"
            )

    def conditions(self, target: int, classes: int) -> LogitConditions:
        """One row for every other label."""
        return LogitConditions(_leads(target, classes, 1.0), np.full(classes - 1, self.kappa))

    def __str__(self) -> str:
        return f"+{_short(self.kappa)}"


def _short(value: float) -> str:
    """The shortest text that reads back as ``value``, without a trailing ``.0``."""
    return repr(float(value)).removesuffix(".0")


def _ratio(fraction: float) -> str:
    """``1 + fraction`` as people write it; see :func:`parse_margin` for the rounding."""
    return _short(round(1.0 + fraction, RATIO_DIGITS))


def parse_margin(text: str) -> Margin:
    """Read ``x1.2`` (relative; ``x1.2:9`` over label 9 alone), ``+0.1`` or ``bare-x1.2``.

    Raises:
        InputError: anything else, or a number out of range.
    """
    prefix, kind = next(((p, k) for p, k in _KINDS if text.startswith(p)), ("", None))
    number, colon, label = text.removeprefix(prefix).partition(":")
    try:
        value, over = float(number), int(label) if colon else None
    except ValueError:
        kind = None
    if kind is None or (over is not None and kind is not RelativeMargin):
        raise InputError(f"margin: expected x1.2, x1.2:9, +0.1 or bare-x1.2, found {text!r}")
    if kind is AbsoluteMargin:
        return AbsoluteMargin(value)
    if not value >= 1.0:
        raise InputError(f"margin: expected a ratio of at least 1, found {text!r}")
    fraction = round(value - 1.0, RATIO_DIGITS)
    return RelativeMargin(fraction, over=over) if kind is RelativeMargin else kind(fraction)


_KINDS: tuple[tuple[str, type[RelativeMargin | BareRelativeMargin | AbsoluteMargin]], ...] = (
    ("bare-x", BareRelativeMargin),
    ("x", RelativeMargin),
    ("+", AbsoluteMargin),
)
