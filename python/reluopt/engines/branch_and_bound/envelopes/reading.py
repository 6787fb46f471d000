"""What a program's point tells: an image, its linear region, and where to split."""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.envelopes.program import EnvelopeProgram, Fixed, Outcome
from reluopt.numerics.arrays import FloatArray

SPLITTABLE = 1e-9
"""How far a unit or neuron must be above what it is at a point, relative to its range, for being
split there: the programs' tolerance."""

UNUSED = 1e-6
"""What units and neurons count for whose planes and chords a bound does not use."""


def linear_region_of(program: EnvelopeProgram, point: FloatArray) -> Fixed:
    """The linear region of a point's input."""
    values = [patch.values(point[program.layout.p]) for patch in program.patches]
    pieces: dict[int, tuple[int, ...]] = {u: (int(v.argmax()),) for u, v in enumerate(values)}
    phases: dict[int, bool] = {}
    below = np.array([own.max() for own in values])
    for own in program.layers[:-1]:
        z = own.pieces.forward(below)
        phases.update({len(phases) + place: bool(value > 0.0) for place, value in enumerate(z)})
        below = np.maximum(z, 0.0)
    return Fixed(pieces, phases)


def split(program: EnvelopeProgram, solved: Outcome, decisions: Fixed) -> list[Fixed]:
    """The two sides of a unit or neuron; none where all are decided.

    The one that counts most at the point comes first or, where there is none or no point, any.
    """
    unit, neuron = None, None
    if solved.point is not None:
        unit, worth = _unit(program, solved, decisions)
        neuron = _neuron(program, solved, decisions, worth)
    if unit is None and neuron is None:
        unit, neuron = _any(program, decisions)
    if neuron is not None:
        phases = ({**decisions.phases, neuron: active} for active in (False, True))
        return [Fixed(decisions.pieces, each) for each in phases]
    if unit is None:
        return []
    patch, allowed = program.patches[unit], program.allowed(unit, decisions)
    point = np.zeros(program.layout.p.size)
    values = patch.values(point if solved.point is None else solved.point[program.layout.p])
    lead = max(allowed, key=lambda piece: float(values[piece]))
    sides = (lead,), tuple(piece for piece in allowed if piece != lead)
    return [Fixed({**decisions.pieces, unit: side}, decisions.phases) for side in sides]


def _any(program: EnvelopeProgram, decisions: Fixed) -> tuple[int | None, int | None]:
    """A unit that is undecided, or else a neuron above."""
    for unit in range(len(program.patches)):
        if len(program.allowed(unit, decisions)) > 1:
            return unit, None
    hidden = program.layout.z.size
    open_ = (program.lower[:hidden] < 0.0) & (program.upper[:hidden] > 0.0)
    left = [neuron for neuron in np.flatnonzero(open_).tolist() if neuron not in decisions.phases]
    return None, left[0] if left else None


def _unit(program: EnvelopeProgram, solved: Outcome, decisions: Fixed) -> tuple[int | None, float]:
    """The first unit that counts most, and how much."""
    assert solved.point is not None
    excess = program.excess(solved.point)
    counts = np.where(excess > SPLITTABLE * program.ranges, excess, 0.0) * (UNUSED + solved.worth)
    for unit in np.argsort(-counts, kind="stable").tolist():
        if counts[unit] <= 0.0:
            break
        if len(program.allowed(unit, decisions)) > 1:
            return unit, float(counts[unit])
    return None, 0.0


def _neuron(
    program: EnvelopeProgram, solved: Outcome, decisions: Fixed, least: float
) -> int | None:
    """The neuron above the first units that counts most, if more than so much."""
    assert solved.point is not None
    layout, hidden = program.layout, program.layout.z.size
    z, x = solved.point[layout.z], solved.point[layout.x]
    excess = x - np.maximum(z, 0.0)
    above = excess > SPLITTABLE * (program.upper[:hidden] - program.lower[:hidden])
    counts = np.where(above, excess, 0.0) * (UNUSED + solved.duals[layout.chords])
    counts[list(decisions.phases)] = 0.0
    best = int(counts.argmax()) if hidden else -1
    return best if best >= 0 and counts[best] > least else None
