"""Bounds of the neurons above the first units, by linear programs with planes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.corners.units import Units
from reluopt.engines.branch_and_bound.envelopes.patches import Changes, patches_of
from reluopt.engines.branch_and_bound.envelopes.program import NOTHING, EnvelopeProgram
from reluopt.questions.tasks import Alternative

SHARE = 0.25
"""Most of the time that bounds of neurons may take."""

ROUNDS = 4
"""Rounds of planes for a bound."""

MOST = 100
"""Units that a round looks at."""


def bounded_program(
    changes: Changes, units: Sequence[Units], alternatives: Sequence[Alternative], end: Deadline
) -> EnvelopeProgram:
    """The program over a set, with the neurons above the first units bounded.

    Args:
        changes: the set.
        units: of the network, the logits last.
        alternatives: what is asked.
        end: when all must be over, of which bounds take a share.
    """
    program = EnvelopeProgram(changes, patches_of(units[0], changes), units[1:], alternatives)
    narrow_neurons(program, end.share(SHARE))
    return program


def narrow_neurons(program: EnvelopeProgram, deadline: Deadline) -> None:
    """Narrow the undecided neurons of a program's hidden layers, layer after layer."""
    first = 0
    for own in program.layers[:-1]:
        lower, upper = program.lower.copy(), program.upper.copy()
        here = np.arange(first, first + own.pieces.output_size)
        for neuron in here[(lower[here] < 0.0) & (upper[here] > 0.0)]:
            column = int(program.layout.z[neuron])
            least = max(lower[neuron], _least(program, column, 1.0, deadline))
            if least < 0.0:
                upper[neuron] = min(upper[neuron], -_least(program, column, -1.0, deadline))
            if least <= upper[neuron]:
                lower[neuron] = least
        if (lower > program.lower).any() or (upper < program.upper).any():
            program.rebuild(lower, upper)
        first += here.size


def _least(program: EnvelopeProgram, column: int, sign: float, deadline: Deadline) -> float:
    """Below a variable, or its negative, over the set."""
    cost, found = np.zeros(program.layout.program.cost.size), -np.inf
    cost[column] = sign
    program.decide(None, NOTHING)
    for _ in range(ROUNDS):
        if deadline.passed:
            break
        solved = program.solve(deadline.solver_seconds, cost)
        found = max(found, solved.bound)
        if solved.point is None or found >= 0.0:
            break
        if not program.add_planes(solved, NOTHING, MOST, deadline.solver_seconds):
            break
    return found
