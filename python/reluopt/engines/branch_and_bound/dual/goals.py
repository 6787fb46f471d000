"""What trees have to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.dual.certificate import (
    Forms,
    divided_down,
    lower_bounds,
    mixed,
)
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.layers import root_batch
from reluopt.engines.branch_and_bound.dual.planes import Planes, usable
from reluopt.engines.branch_and_bound.dual.slots import Batch
from reluopt.numerics.arrays import AnyFloat, ByteMatrix, FloatArray, IntArray
from reluopt.questions.margins import LogitConditions


@dataclass(frozen=True, eq=False)
class Goal:
    """What is to be shown: forms of the logits exceed a threshold.

    Attributes:
        rows: shape ``(forms, n_K)``; zeros where there are conditions.
        constants: shape ``(forms,)``.
        conditions: None, or conditions of which mixtures are the one form.
    """

    rows: FloatArray
    constants: FloatArray
    conditions: LogitConditions | None = None

    def root(self, chain: Chain) -> Batch:
        """A node over the whole box for each form."""
        count = 0 if self.conditions is None else self.conditions.rhs.size
        return root_batch(chain, self.rows.astype(np.float32), self.constants, count)

    def bounds(
        self,
        chain: Chain,
        planes: Planes,
        form: IntArray,
        phases: ByteMatrix,
        free: tuple[AnyFloat, ...],
    ) -> FloatArray:
        """Proven lower bounds on some forms, for given phases and multipliers of any value.

        ``free`` holds multipliers of neurons, shares of planes, and the mixture of conditions,
        whose bounds are those of mixtures that add up to 1.
        """
        forms = Forms(len(chain.layers) - 1, self.rows[form], self.constants[form])
        if self.conditions is None:
            return lower_bounds(chain, forms, phases, free[0], free[1], planes)
        mixture = usable(free[2])
        forms = mixed(forms, self.conditions, mixture, chain)
        found = lower_bounds(chain, forms, phases, free[0], free[1], planes)
        return divided_down(found, mixture.sum(axis=1), self.conditions.rhs.size)


def goal_of(conditions: Sequence[LogitConditions]) -> Goal:
    """That none of some conditions is met: ``rhs - matrix @ logits`` is positive.

    Args:
        conditions: of one row each; or one, of several rows, of which mixtures are the form.
    """
    first = conditions[0]
    if first.rhs.size == 1:
        rows = np.array([-each.matrix[0] for each in conditions])
        return Goal(rows, np.array([each.rhs[0] for each in conditions]))
    return Goal(np.zeros((1, first.matrix.shape[1])), np.zeros(1), first)
