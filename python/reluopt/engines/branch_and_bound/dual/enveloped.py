"""Does a box hold an input that meets an alternative? The tree about the slack."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.corners.units import units_of
from reluopt.engines.branch_and_bound.dual.attack import Witness
from reluopt.engines.branch_and_bound.dual.attacker import Attack
from reluopt.engines.branch_and_bound.dual.decision import Decision
from reluopt.engines.branch_and_bound.envelopes.neurons import bounded_program
from reluopt.engines.branch_and_bound.envelopes.patches import Changes
from reluopt.engines.branch_and_bound.envelopes.tree import EnvelopeTree
from reluopt.engines.branch_and_bound.search import BELOW_ZERO
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.tasks import Task

STEPS = 6
"""Gradient steps from each input that is looked at."""


class _Host:
    """A question, as the tree takes it.

    Attributes:
        witness: an input that meets an alternative, or None.
    """

    cutoff = -BELOW_ZERO

    def __init__(self, deadline: Deadline, attack: Attack) -> None:
        self.nodes = 0
        self._deadline, self._attack = deadline, attack
        self.witness: Witness | None = None

    @property
    def done(self) -> bool:
        return self.witness is not None or self._deadline.passed

    @property
    def seconds(self) -> float:
        return self._deadline.solver_seconds

    def look(self, image: FloatArray, alternative: int) -> None:
        which = np.array([alternative])
        found = self._attack.check(image[None, :], which, np.zeros(1))
        if found is None:
            found = self._attack.run(image[None, :].astype(np.float32), which, STEPS)
        self.witness = found if self.witness is None else self.witness

    def step(self, name: str) -> AbstractContextManager[None]:
        del name
        return nullcontext()

    def told(self, bound: float) -> None:
        del bound


def decided(
    network: ReLUNetwork,
    task: Task,
    ends: tuple[FloatArray, FloatArray],
    deadline: Deadline,
    attack: Attack,
) -> Decision:
    """What a box holds, of a network that :func:`~..envelopes.tree.takes`, scaled."""
    changes = Changes.of_box(*ends)
    program = bounded_program(changes, units_of(network), task.alternatives, deadline)
    host = _Host(deadline, attack)
    tree = EnvelopeTree(program, -np.inf, host)
    tree.grow()
    return Decision(witness=host.witness, slack=-tree.bound, nodes=host.nodes)
