"""Linf: ``max|delta|``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms.base import Change, Ends, Norm, free_change

if TYPE_CHECKING:
    from reluopt.numerics.flat import FlatNetwork
    from reluopt.numerics.input_sets import FlatInputSet
    from reluopt.numerics.linear_programs import ProgramBuilder


class LInf(Norm):
    """``max|delta|``, a linear program with one more variable and two rows an input."""

    name = "linf"
    moves_all = True
    most_linear_regions = 12  # about 0.3 s of LPs
    linear_ball = True

    def objective(self, delta: FloatArray) -> float:
        return float(np.abs(delta).max(initial=0.0))

    def ball(self, objective: float) -> tuple[Norm, float]:
        return self, float(objective)

    @property
    def dual(self) -> Norm:
        return Norm.L1

    def encode_change(
        self, builder: ProgramBuilder, low: FloatArray, high: FloatArray, *, spare: bool = False
    ) -> Change:
        change = free_change(builder, low, high)
        reach = float(np.max(np.maximum(high, -low), initial=0.0))
        largest = builder.add_variables([0.0], [reach], cost=1.0)
        rows = []
        for sign, needed in ((1.0, low < 0.0), (-1.0, high > 0.0)):
            part = change.matrix[needed] if spare else change.matrix
            edge = np.ones((part.shape[0], 1))
            rows.append([(edge, largest), (sign * part, change.columns)])
        return Change(
            change.matrix, change.columns, largest, lambda delta: np.abs(delta).max(), tuple(rows)
        )

    def encode_ball(
        self, builder: ProgramBuilder, low: FloatArray, high: FloatArray, radius: float
    ) -> Change:
        return free_change(builder, np.maximum(low, -radius), np.minimum(high, radius))

    def flat_ball(
        self, flat: FlatNetwork, ends: Ends, center: FloatArray, radius: float
    ) -> FlatInputSet:
        from reluopt.numerics.input_sets import BOX_ONLY, around, difference

        lower = np.maximum(ends[0], difference(center, np.full_like(center, radius), -np.inf))
        upper = np.minimum(ends[1], difference(center, np.full_like(center, -radius), np.inf))
        middle = np.clip(center, lower, np.maximum(lower, upper))
        empty = bool((lower > upper).any())
        return around(flat, (lower, upper), middle, BOX_ONLY, -1.0 if empty else radius)

    def lengths(self, changes: FloatArray) -> FloatArray:
        return np.asarray(np.abs(changes).max(axis=1, initial=0.0))

    def project(
        self, changes: FloatArray, low: FloatArray, high: FloatArray, radius: float
    ) -> FloatArray:
        return np.clip(np.clip(changes, low, high), -radius, radius)

    def steepest(self, gradient: FloatArray) -> FloatArray:
        return np.asarray(np.sign(gradient), dtype=np.float64)

    def random_changes(
        self, generator: np.random.Generator, shape: tuple[int, ...], radius: float
    ) -> FloatArray:
        return generator.uniform(-radius, radius, shape)
