r"""Programs of tiny changes, in units in which the interior point method is accurate.

The method stops at absolute residuals and products (:mod:`interior`) that fit objectives
between :math:`10^{-4}` and some hundreds. Where an image nearly lies on a decision boundary the
objective may be :math:`10^{-6}`, and a relative gap of :math:`10^{-6}` is out of reach. The program
is homogeneous: with :math:`\delta = r \delta'`, :math:`x = r x'`, with limits, right-hand sides,
constants of the terms and tilt divided by r and the multipliers :math:`\theta` as they are, every
part of the objective is :math:`r^2` times that of the scaled program, and :math:`z = r z'`. For a
power of two r nothing is rounded.

Nothing here is part of a proof: the safe bound takes the answer in the units of the image.
"""

from __future__ import annotations

import math

from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR
from reluopt.engines.branch_and_bound.l2.interior import InteriorPoint
from reluopt.engines.branch_and_bound.l2.iterate import Iterate
from reluopt.engines.branch_and_bound.l2.program import QuadraticProgram

SMALL = 1e-4
"""Objectives from here on are solved as they are: the method's smallest complementarity, 1e-14 for
each of some 1,600 products, is below a millionth of them."""


def unit_of(goal: float) -> float:
    """The unit r for a program whose objective is about ``goal``: a power of two, 1 unless small.

    Gaps are relative to :data:`~reluopt.answers.solution.GAP_DENOMINATOR_FLOOR` at least.
    """
    if goal >= SMALL:
        return 1.0
    return math.ldexp(1.0, math.frexp(math.sqrt(max(goal, GAP_DENOMINATOR_FLOOR)))[1])


def in_units(program: QuadraticProgram, unit: float) -> QuadraticProgram:
    """The program for changes and post-activations in multiples of ``unit``."""
    if unit == 1.0:
        return program
    return program._replace(
        low=program.low / unit,
        high=program.high / unit,
        tilt=program.tilt / unit,
        rhs=program.rhs / unit,
        cap=program.cap / unit,
        term_c=program.term_c / unit,
    )


def from_units(answer: InteriorPoint, unit: float) -> InteriorPoint:
    """The answer to the scaled program as one to the original; but for its early iterate."""
    if unit == 1.0:
        return answer
    square = unit * unit
    return answer._replace(
        bound=answer.bound * square,
        objective=answer.objective * square,
        best=_iterate_from(answer.best, unit),
    )


def _iterate_from(iterate: Iterate, unit: float) -> Iterate:
    """An iterate of the scaled program as one of the original."""
    square = unit * unit
    return iterate._replace(
        delta=iterate.delta * unit,
        x=iterate.x * unit,
        slack=iterate.slack * unit,
        z=iterate.z * unit,
        delta_low=iterate.delta_low * unit,
        delta_high=iterate.delta_high * unit,
        x_low=iterate.x_low * unit,
        x_high=iterate.x_high * unit,
        room=iterate.room * square,
        moment=iterate.moment * square,
    )
