r"""Where the program of a child starts: at an iterate of its parent's, far from the end.

A child has one neuron less than its parent, other weights of pixels (:mod:`.boxes`) or another
ball, and a few products more, so that most of what the interior point method must find is known.
Iterates near the end are of no use, as what has become small there stays small for long; the last
one whose gap exceeds :data:`~.interior.EARLY` times the objective, or one of the first two, takes
two thirds of the steps of a cold start, or less with a little of a cold start in it
(:data:`COLD`). It is kept in terms of the network: shares of ranges,
products with limits, rows and terms by what they are about. Multipliers are shrunk until M, which
is concave in them, is positive definite, and new products get little enough to keep it so. Any
start is valid: what a program proves is evaluated at its end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.l2.algebra import (
    cholesky,
    inverse_from_factor,
    is_positive_definite,
)
from reluopt.engines.branch_and_bound.l2.iterate import Iterate, start_iterate, unevenness
from reluopt.engines.branch_and_bound.l2.model import CONDITION, Model
from reluopt.engines.branch_and_bound.l2.program import QuadraticProgram, curvature
from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray, SingleMatrix

LEAST_SLACK = 0.2
"""Slacks of rows are at least this share of what they were, or, where rows are new, this."""

LEAST_PRODUCT = 0.1
"""Products of slacks and multipliers are at least this share of their mean."""

EVEN, COLD = 1.0, 0.05
"""A start is even whose gap is at most so many times its products, as where rows and terms are met;
others get this share of a cold start. Where products are small and rows are not met steps are
short: from such starts programs of wide boxes took up to 40, and chose worse."""

SHRUNK, SHRINKINGS = 0.93, 12
"""Multipliers that are not convex are shrunk by the first, at most so often, and once more."""

HALVINGS = 60
"""Most halvings of the multipliers of new products."""

CENTRED = 0.5
"""Share of the dual matrix that is what the new multipliers ask for at the same mean product."""

MOST_OWNERS = 2**28
"""More than there are neurons, and conditions."""


class Inherited(NamedTuple):
    """An iterate of a program, in terms of the network.

    Attributes:
        pixels: place of each pixel in its range, and products of both pulls with the range's width,
            shape ``(3, n_0)``.
        neuron: the undecided neurons, rising.
        posts: post-activations as shares of their caps, and products of both pulls with the caps,
            shape ``(3, u)``.
        row: what each row is about, and ``slack`` and ``z`` of the form itself.
        term: what each term is about, and ``psi`` and ``room`` of the product itself.
        moment: the dual matrix, in single precision: most of what there is.
    """

    pixels: FloatMatrix
    neuron: IntArray
    posts: FloatMatrix
    row: IntArray
    slack: FloatArray
    z: FloatArray
    term: IntArray
    psi: FloatArray
    room: FloatArray
    moment: SingleMatrix


def hand_on(model: Model, program: QuadraticProgram, iterate: Iterate) -> Inherited:
    """What children of a program may start from."""
    width = program.high - program.low
    place = (iterate.delta - program.low) / width
    share, cap = iterate.x / program.cap, program.cap
    return Inherited(
        np.stack([place, iterate.delta_low * width, iterate.delta_high * width]),
        model.neuron,
        np.stack([share, iterate.x_low * cap, iterate.x_high * cap]),
        _rows(model, program),
        iterate.slack * program.scale,
        iterate.z / program.scale,
        _terms(model, program),
        iterate.theta * program.term_scale,
        iterate.room / program.term_scale,
        iterate.moment.astype(np.float32),
    )


def start_below(
    above: Inherited, model: Model, program: QuadraticProgram, theta: FloatArray
) -> Iterate | None:
    """An interior start for a child's program; None where no convex multipliers are found.

    Args:
        above: of a node above.
        model: of the child, whose undecided neurons are some of those above.
        program: its program.
        theta: strictly convex multipliers, of which new products get theirs.
    """
    place = _found(above.neuron, model.neuron)
    if (place < 0).any():
        return None
    known = _found(above.term, _terms(model, program))
    multipliers = _multipliers(above, program, known, theta)
    if multipliers is None:
        return None
    mean = float(np.mean(above.slack * above.z))
    width = program.high - program.low
    delta = program.low + above.pixels[0] * width
    share, x_low, x_high = above.posts[:, place]
    x = share * program.cap
    slack, z = _slacks(above, model, program, (delta, x), mean)
    near = Iterate(
        delta,
        x,
        slack,
        z,
        above.pixels[1] / width,
        above.pixels[2] / width,
        x_low / program.cap,
        x_high / program.cap,
        multipliers,
        _room(above, program, known, multipliers, mean),
        _moment(above, program, place, multipliers, mean),
    )
    if unevenness(program, near) <= EVEN:
        return near
    pairs = zip(near, start_iterate(program, theta), strict=True)
    return Iterate(*[(1.0 - COLD) * warm + COLD * cold for warm, cold in pairs])


def _paired(first: IntArray, second: IntArray, limit: int) -> IntArray:
    """Pairs of numbers, none negative and the second below a limit, as one number each."""
    found: IntArray = first * limit + second
    return found


def _rows(model: Model, program: QuadraticProgram) -> IntArray:
    """What the rows of a program are about."""
    return _paired(model.kind[program.form], model.owner[program.form], MOST_OWNERS)


def _terms(model: Model, program: QuadraticProgram) -> IntArray:
    """What the terms of a program are about."""
    forms = _paired(model.kind[program.term_form], model.owner[program.term_form], MOST_OWNERS)
    return _paired(model.neuron[program.term_at], forms, (CONDITION + 1) * MOST_OWNERS)


def _found(names: IntArray, wanted: IntArray) -> IntArray:
    """Where each wanted name stands among some, of which there are any; -1 for none."""
    order = np.argsort(names, kind="stable")
    place = np.minimum(np.searchsorted(names[order], wanted), names.size - 1)
    return np.where(names[order[place]] == wanted, order[place], -1)


def _slacks(
    above: Inherited,
    model: Model,
    program: QuadraticProgram,
    point: tuple[FloatArray, FloatArray],
    mean: float,
) -> tuple[FloatArray, FloatArray]:
    """Slacks of the rows at a point, away from zero, and multipliers."""
    delta, x = point
    known = _found(above.row, _rows(model, program))
    left = program.rhs - program.rows_y @ (program.basis @ delta) - program.rows_x @ x
    least = np.where(known >= 0, above.slack[known] / program.scale, 1.0)
    slack = np.maximum(left, LEAST_SLACK * least)
    z = np.where(known >= 0, above.z[known] * program.scale, mean / slack)
    return slack, np.maximum(z, LEAST_PRODUCT * mean / slack)


def _multipliers(
    above: Inherited, program: QuadraticProgram, known: IntArray, theta: FloatArray
) -> FloatArray | None:
    """Strictly convex multipliers near those above, if there are any."""
    new = known < 0
    old = np.where(new, 0.0, above.psi[known] / program.term_scale)
    for _ in range(SHRINKINGS):
        if _convex(program, old):
            break
        old *= SHRUNK
    else:
        return None
    old *= SHRUNK
    added = np.where(new, theta, 0.0)
    for _ in range(HALVINGS):
        if _convex(program, old + 2.0 * added):  # halfway to where they would be too large
            return old + added
        added *= 0.5
    return None


def _convex(program: QuadraticProgram, theta: FloatArray) -> bool:
    """Whether the Hessian is positive definite for some multipliers."""
    return bool(is_positive_definite(curvature(program, theta).reduced))


def _room(
    above: Inherited,
    program: QuadraticProgram,
    known: IntArray,
    multipliers: FloatArray,
    mean: float,
) -> FloatArray:
    """What the one-sided terms have left, which are the products."""
    u = program.cap.size
    room = np.zeros(known.size)
    old = np.where(known[u:] >= 0, above.room[known[u:]] * program.term_scale[u:], 0.0)
    room[u:] = np.maximum(old, LEAST_PRODUCT * mean / multipliers[u:])
    return room


def _moment(
    above: Inherited,
    program: QuadraticProgram,
    place: IntArray,
    multipliers: FloatArray,
    mean: float,
) -> FloatMatrix:
    """The dual matrix of the neurons that are left, with some of what the multipliers ask for."""
    factor = curvature(program, multipliers).reduced
    cholesky(factor)
    asked = mean * inverse_from_factor(factor)
    found: FloatMatrix = (1.0 - CENTRED) * above.moment[np.ix_(place, place)] + CENTRED * asked
    return found
