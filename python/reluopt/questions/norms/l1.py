"""L1: ``sum|delta|``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms.base import Change, Ends, Norm
from reluopt.questions.norms.parts import split_change

if TYPE_CHECKING:
    from reluopt.numerics.flat import FlatNetwork
    from reluopt.numerics.input_sets import FlatInputSet
    from reluopt.numerics.linear_programs import ProgramBuilder

SPARSE_SHARE = 0.002
"""Share of the inputs that one step moves, 2 of 784. Tramer and Boneh (2019) use 1 % and more;
here that fools 5 images in 100 fewer at small radii."""


class L1(Norm):
    """``sum|delta|``, a linear program of the parts of the change."""

    name = "l1"
    costs = (1.0, 0.0)
    moves_few = True
    most_linear_regions = 16  # about 0.3 s of LPs
    linear_ball = True

    def objective(self, delta: FloatArray) -> float:
        return float(np.abs(delta).sum())

    def ball(self, objective: float) -> tuple[Norm, float]:
        return self, float(objective)

    @property
    def dual(self) -> Norm:
        return Norm.LINF

    def encode_change(
        self, builder: ProgramBuilder, low: FloatArray, high: FloatArray, *, spare: bool = False
    ) -> Change:
        return split_change(builder, low, high, self.costs)

    def encode_ball(
        self, builder: ProgramBuilder, low: FloatArray, high: FloatArray, radius: float
    ) -> Change:
        change = split_change(builder, low, high, (0.0, 0.0))
        if change.columns.size:
            builder.add_rows([(np.ones((1, change.columns.size)), change.columns)], -np.inf, radius)
        return change

    def flat_ball(
        self, flat: FlatNetwork, ends: Ends, center: FloatArray, radius: float
    ) -> FlatInputSet:
        from reluopt.numerics.input_sets import L1_BALL, around, sum_rounding

        # Beyond its nearest point of the box every move counts fully: |delta| = |gap| + |rest|.
        nearest = np.clip(center, *ends)
        gap = np.abs(nearest - center)
        rest = radius - float(gap.sum()) / sum_rounding(gap.size)
        return around(flat, ends, nearest, L1_BALL, np.nextafter(rest, np.inf))

    def lengths(self, changes: FloatArray) -> FloatArray:
        return np.asarray(np.abs(changes).sum(axis=1))

    def project(
        self, changes: FloatArray, low: FloatArray, high: FloatArray, radius: float
    ) -> FloatArray:
        """The nearest point: soft threshold, then clip (Croce and Hein 2021, Proposition 2.1)."""
        from reluopt.numerics.l1_projection import project_l1

        result = np.empty_like(changes)
        project_l1(changes, low, high, float(radius), result)
        return result

    def steepest(self, gradient: FloatArray) -> FloatArray:
        """Signs of the largest entries: one alone would meet its limit at once."""
        count = max(1, round(SPARSE_SHARE * gradient.shape[1]))
        size = np.abs(gradient)
        border = np.partition(size, -count, axis=1)[:, -count]
        chosen = np.sign(gradient) * ((size >= border[:, None]) & (size > 0.0))
        moved = np.maximum(np.abs(chosen).sum(axis=1), 1.0)
        return np.asarray(chosen / moved[:, None], dtype=np.float64)

    def _directions(self, generator: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        return generator.laplace(size=shape)
