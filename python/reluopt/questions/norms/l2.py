"""L2: the square of the length, ``sum delta^2``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms.base import Change, Ends, Norm, free_change

if TYPE_CHECKING:
    from reluopt.numerics.flat import FlatNetwork
    from reluopt.numerics.input_sets import FlatInputSet
    from reluopt.numerics.linear_programs import ProgramBuilder


class L2(Norm):
    """``sum delta^2``, a quadratic program; lengths are its roots."""

    name = "l2"
    costs = (0.0, 1.0)
    most_linear_regions = 60  # about 0.05 s of QPs

    def objective(self, delta: FloatArray) -> float:
        return float(delta @ delta)

    def distance_of(self, objective: float) -> float:
        return float(np.sqrt(objective))

    def ball(self, objective: float) -> tuple[Norm, float]:
        return self, self.distance_of(objective)

    @property
    def dual(self) -> Norm:
        return self

    def encode_change(
        self, builder: ProgramBuilder, low: FloatArray, high: FloatArray, *, spare: bool = False
    ) -> Change:
        return free_change(builder, low, high, quadratic=1.0)

    def flat_ball(
        self, flat: FlatNetwork, ends: Ends, center: FloatArray, radius: float
    ) -> FlatInputSet:
        from reluopt.numerics.input_sets import L2_BALL, around, sum_rounding

        gap = np.clip(center, *ends) - center
        missed = float(np.sqrt((gap * gap).sum())) > radius * sum_rounding(gap.size)
        return around(flat, ends, center, L2_BALL, -1.0 if missed else radius)

    def lengths(self, changes: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt((changes * changes).sum(axis=1)))
