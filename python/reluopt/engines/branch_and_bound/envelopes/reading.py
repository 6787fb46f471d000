"""What a program's point tells: an image, its linear region, and where to split."""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.envelopes.program import Decisions, Program, Solved
from reluopt.numerics.arrays import FloatArray

SPLITTABLE = 1e-9
"""How far a unit or neuron must be above what it is at a point, relative to its range, for being
split there: the programs' tolerance."""

UNUSED = 1e-6
"""What units and neurons count for whose planes and chords a bound does not use."""


def region_of(program: Program, point: FloatArray) -> Decisions:
    """The linear region of a point's input."""
    values = [patch.values(point[program.layout.p]) for patch in program.patches]
    pieces: dict[int, tuple[int, ...]] = {u: (int(v.argmax()),) for u, v in enumerate(values)}
    phases: dict[int, bool] = {}
    below = np.array([own.max() for own in values])
    for own in program.layers[:-1]:
        z = own.pieces.forward(below)
        phases.update({len(phases) + place: bool(value > 0.0) for place, value in enumerate(z)})
        below = np.maximum(z, 0.0)
    return Decisions(pieces, phases)


def split(program: Program, solved: Solved, decisions: Decisions) -> list[Decisions]:
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
        return [Decisions(decisions.pieces, each) for each in phases]
    if unit is None:
        return []
    patch, allowed = program.patches[unit], program.allowed(unit, decisions)
    point = np.zeros(program.layout.p.size)
    values = patch.values(point if solved.point is None else solved.point[program.layout.p])
    lead = max(allowed, key=lambda piece: float(values[piece]))
    sides = (lead,), tuple(piece for piece in allowed if piece != lead)
    return [Decisions({**decisions.pieces, unit: side}, decisions.phases) for side in sides]


def _any(program: Program, decisions: Decisions) -> tuple[int | None, int | None]:
    """A unit that is undecided, or else a neuron above."""
    for unit in range(len(program.patches)):
        if len(program.allowed(unit, decisions)) > 1:
            return unit, None
    hidden = sum(own.pieces.output_size for own in program.layers[:-1])
    open_ = (program.lower[:hidden] < 0.0) & (program.upper[:hidden] > 0.0)
    left = [neuron for neuron in np.flatnonzero(open_).tolist() if neuron not in decisions.phases]
    return None, left[0] if left else None


def _unit(program: Program, solved: Solved, decisions: Decisions) -> tuple[int | None, float]:
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


def _neuron(program: Program, solved: Solved, decisions: Decisions, least: float) -> int | None:
    """The neuron above the first units that counts most, if more than so much."""
    assert solved.point is not None
    found, first = None, 0
    for layer in program.layout.above[:-1]:
        z, x = solved.point[layer.z], solved.point[layer.x]
        own = slice(first, first + layer.x.size)
        excess, multipliers = x - np.maximum(z, 0.0), solved.duals[layer.chords]
        above = excess > SPLITTABLE * (program.upper[own] - program.lower[own])
        counts = np.where(above, excess, 0.0) * (UNUSED + multipliers)
        for place in np.flatnonzero(counts > least).tolist():
            if first + place not in decisions.phases and counts[place] > least:
                least, found = float(counts[place]), first + place
        first += layer.x.size
    return found
